"""Encryption at rest: AES-256-GCM with a key file beside the state (mode 0600)."""

from __future__ import annotations

import json
import os
from pathlib import Path

from golive.errors import StateError
from golive.secret import Secret
from golive.system.files import write_atomic

Environments = dict[str, dict[str, Secret]]
"""service → variable → value: the snapshot a release keeps."""

NONCE = 12
"""Bytes, as NIST SP 800-38D recommends for GCM; random, and far fewer than 2^32 seals are ever made."""


class Vault:
    """Seals text to bytes and opens it again. `context` binds a value to its place, so rows cannot be swapped."""

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(key)

    @classmethod
    def open_or_create(cls, path: Path, *, may_create: bool) -> Vault:
        """The vault of a key file, made when `may_create`. StateError when the key that sealed the state is gone."""
        try:
            if not path.exists():
                if not may_create:
                    raise StateError(
                        f"the encryption key {path} is missing",
                        why="the secrets in the state were sealed with it",
                        hint="put the key file back from where you keep it, or set the secrets again",
                    )
                write_atomic(path, os.urandom(32), mode=0o600)
            key = path.read_bytes()
        except OSError as error:
            raise StateError(
                f"the encryption key {path} cannot be used",
                why=error.strerror,
                hint="make it readable for the user who runs golive",
            ) from error
        if len(key) != 32:
            raise StateError(f"the encryption key {path} is damaged", why=f"{len(key)} bytes instead of 32")
        return cls(key)

    def seal(self, secret: Secret, context: str) -> bytes:
        nonce = os.urandom(NONCE)
        return nonce + self._cipher.encrypt(nonce, secret.reveal().encode(), context.encode())

    def unseal(self, sealed: bytes, context: str) -> Secret:
        from cryptography.exceptions import InvalidTag

        try:
            return Secret(self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], context.encode()).decode())
        except (InvalidTag, ValueError) as error:
            raise StateError(
                f"cannot decrypt {context}",
                why="the key file is not the one that sealed it, or the value was changed",
                hint="put the right key file back beside state.db",
            ) from error

    def seal_environments(self, values: Environments, context: str) -> bytes:
        plain = {service: {k: v.reveal() for k, v in env.items()} for service, env in values.items()}
        return self.seal(Secret(json.dumps(plain)), context)

    def unseal_environments(self, sealed: bytes, context: str) -> Environments:
        plain = json.loads(self.unseal(sealed, context).reveal())
        return {service: {k: Secret(v) for k, v in env.items()} for service, env in plain.items()}
