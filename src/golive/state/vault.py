"""Encryption at rest: AES-256-GCM with the key of the key file beside the state."""

from __future__ import annotations

import contextlib
import hmac
import json
import os
from collections.abc import Callable
from pathlib import Path

from golive.errors import StateError
from golive.secret import Secret
from golive.state import keyfile
from golive.state.keyfile import LENGTH, NONCE, KeyFile

Environments = dict[str, dict[str, Secret]]
"""service → variable → value: the snapshot a release keeps."""

Ask = Callable[[], Secret | None]
"""For the passphrase, where the key has one; None when nobody knows it."""


class Vault:
    """Seals text to bytes and opens it again. `context` binds a value to its place, so rows cannot be swapped.

    Nonces are random: far fewer than 2^32 values are ever sealed with one key.
    """

    def __init__(self, key: bytes, passphrase: Secret | None = None) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._key = key
        self._cipher = self._before = AESGCM(key)
        self.passphrase = passphrase

    @classmethod
    def open_or_create(cls, path: Path, *, may_create: bool, sealed_by: str | None, ask: Ask) -> Vault:
        """The vault of the key that sealed the state: that of the file, or the next one when a rotation was ended
        half-way, which is then brought to its end. Made when `may_create`.

        StateError when the key is gone or is another one, or its passphrase is not known.
        """
        found = _settled(path, sealed_by, may_create=may_create)
        if found is None:
            if not may_create:
                raise StateError(
                    f"the encryption key {path} is missing",
                    why="the secrets in the state were sealed with it",
                    hint="put the key file back from where you keep it, or set the secrets again",
                )
            key = os.urandom(LENGTH)
            _write(path, key)
            return cls(key)
        passphrase = None if found.plain is not None else ask()
        return cls(found.open(passphrase), passphrase)

    @property
    def id(self) -> str:
        return keyfile.id_of(self._key)

    def follow(self, before: Vault) -> None:
        """It opens what that one sealed, too: somebody may have read a value before all were sealed anew."""
        self._before = before._cipher

    def derived(self, purpose: str) -> Secret:
        """A secret of this key's own for one purpose: 32 bytes in hex. Another one once the key is changed."""
        return Secret(hmac.new(self._key, f"golive {purpose}".encode(), "sha256").hexdigest())

    def seal(self, secret: Secret, context: str) -> bytes:
        nonce = os.urandom(NONCE)
        return nonce + self._cipher.encrypt(nonce, secret.reveal().encode(), context.encode())

    def unseal(self, sealed: bytes, context: str) -> Secret:
        from cryptography.exceptions import InvalidTag

        for cipher in (self._cipher, self._before):
            with contextlib.suppress(InvalidTag, ValueError):
                return Secret(cipher.decrypt(sealed[:NONCE], sealed[NONCE:], context.encode()).decode())
        raise StateError(
            f"cannot decrypt {context}",
            why="the key file is not the one that sealed it, or the value was changed",
            hint="put the right key file back beside state.db",
        )

    def seal_environments(self, values: Environments, context: str) -> bytes:
        plain = {service: {k: v.reveal() for k, v in env.items()} for service, env in values.items()}
        return self.seal(Secret(json.dumps(plain)), context)

    def unseal_environments(self, sealed: bytes, context: str) -> Environments:
        plain = json.loads(self.unseal(sealed, context).reveal())
        return {service: {k: Secret(v) for k, v in env.items()} for service, env in plain.items()}


def _settled(path: Path, sealed_by: str | None, *, may_create: bool) -> KeyFile | None:
    """The key file that holds. A rotation that was ended half-way is settled: the state says on which side of it."""
    found, beside = keyfile.read(path), keyfile.following(path)
    coming = keyfile.read(beside)
    if coming is not None and sealed_by == coming.id:
        beside.replace(path)
        keyfile.sync_folder(path.parent)
        return coming
    if found is not None and not may_create and sealed_by not in (None, found.id):
        raise StateError(
            f"the encryption key {path} is not the one that the state is sealed with",
            why=f"this is key {found.id}, the state is sealed with {sealed_by}; golive vault rotate makes another one",
            hint="put the key file back that belongs to this state",
        )
    beside.unlink(missing_ok=True)
    return found


def _write(path: Path, key: bytes) -> None:
    try:
        keyfile.write(path, key)
    except OSError as error:
        raise StateError(
            f"the encryption key {path} cannot be used",
            why=error.strerror,
            hint="make it writable for the user who runs golive",
        ) from error
