"""The key file beside the state: the key that everything secret is sealed with, itself sealed by a passphrase or not.

    32 bytes                                         the first key of a home
    {"id", "host", "key"}                            one that took its place
    {"id", "host", "passphrase": {…}, "sealed"}      one that only a passphrase opens

`id` tells keys apart. `host` is what the host is called in its backups: derived from its first key, and the same ever
after. Neither tells anything of a key.

A rotation writes the new one to `key.next` first. Which of the two holds is said by the state, so that both are there
as long as it may be either.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golive.errors import Locked, StateError
from golive.secret import Secret
from golive.system.files import write_atomic

LENGTH = 32
NONCE, SALT = 12, 16
"""Bytes; a nonce as NIST SP 800-38D recommends for GCM, a salt as RFC 9106 does for Argon2."""
ARGON2 = {"kdf": "argon2id", "iterations": 3, "lanes": 4, "memory_kib": 64 * 1024}
"""The second of the two settings that RFC 9106 recommends everywhere; the first wants 2 GiB."""
MOST_MEMORY = 4 * 1024 * 1024
"""KiB; a file that asks for more was not written here."""


@dataclass(frozen=True)
class KeyFile:
    """What a key file says. `plain` is the key; None when a passphrase has `sealed` it, by `parameters`."""

    id: str
    host: str
    plain: bytes | None = None
    parameters: Mapping[str, Any] | None = None
    sealed: bytes = b""

    def open(self, passphrase: Secret | None) -> bytes:
        """The key. StateError without the passphrase that sealed it."""
        if self.plain is not None:
            return self.plain
        if passphrase is None:
            raise locked()
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        cipher = AESGCM(_derived(passphrase, self.parameters or {}))
        try:
            return cipher.decrypt(self.sealed[:NONCE], self.sealed[NONCE:], self._bound())
        except (InvalidTag, ValueError) as error:
            raise StateError(
                "the passphrase does not open golive's key",
                why="it is another one, or the key file was changed",
                hint="try again; golive vault passphrase changes it, with the one before at hand",
            ) from error

    def _bound(self) -> bytes:
        return f"golive key {self.id} {self.host}".encode()

    def encoded(self) -> bytes:
        kept: dict[str, Any] = {"id": self.id, "host": self.host}
        if self.plain is not None:
            kept["key"] = base64.b64encode(self.plain).decode()
        else:
            kept |= {"passphrase": dict(self.parameters or {}), "sealed": base64.b64encode(self.sealed).decode()}
        return json.dumps(kept, indent=2).encode() + b"\n"


def make(key: bytes, host: str, passphrase: Secret | None) -> KeyFile:
    """For a key that takes the place of another one of the same host."""
    made = KeyFile(id_of(key), host, key)
    if passphrase is None:
        return made
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    parameters = {**ARGON2, "salt": base64.b64encode(os.urandom(SALT)).decode()}
    nonce = os.urandom(NONCE)
    sealed = AESGCM(_derived(passphrase, parameters)).encrypt(nonce, key, made._bound())
    return KeyFile(made.id, host, None, parameters, nonce + sealed)


def parse(raw: bytes, path: Path) -> KeyFile:
    """StateError when it is none."""
    if len(raw) == LENGTH or not raw.startswith(b"{"):
        if len(raw) != LENGTH:
            raise _damaged(path, f"{len(raw)} bytes instead of {LENGTH}")
        return KeyFile(id_of(raw), host_of(raw), plain=raw)
    try:
        kept = json.loads(raw)
        id, host = str(kept["id"]), str(kept["host"])
        if "key" in kept:
            plain = base64.b64decode(kept["key"], validate=True)
            if id_of(plain) != id:
                raise ValueError("its key is not the one it names")  # noqa: TRY301 - said as damage, below
            return KeyFile(id, host, plain)
        sealed = base64.b64decode(kept["sealed"], validate=True)
        return KeyFile(id, host, None, dict(kept["passphrase"]), sealed)
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, why: str) -> StateError:
    return StateError(f"the encryption key {path} is damaged", why=why, hint="put the file back from where you keep it")


def read(path: Path) -> KeyFile | None:
    """None when there is no such file."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(
            f"the encryption key {path} cannot be used",
            why=error.strerror,
            hint="make it readable for the user who runs golive",
        ) from error
    return parse(raw, path)


def write(path: Path, raw: bytes) -> None:
    """On the disk when this returns, its name as well."""
    write_atomic(path, raw, mode=0o600)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def following(path: Path) -> Path:
    """Where the next key is while a rotation has not ended."""
    return path.with_name(f"{path.name}.next")


def id_of(key: bytes) -> str:
    return hashlib.sha256(b"golive vault\0" + key).hexdigest()[:12]


def host_of(key: bytes) -> str:
    """Of the first key of a home."""
    return hashlib.sha256(b"golive host\0" + key).hexdigest()[:16]


def host_id(raw: bytes) -> str:
    """By the content of a key file, which needs no passphrase for it."""
    if raw.startswith(b"{") and len(raw) != LENGTH:
        return str(json.loads(raw)["host"])
    return host_of(raw)


def is_locked(path: Path) -> bool:
    """Whether it takes a passphrase to open a key file."""
    found = read(path)
    return found is not None and found.plain is None


def locked() -> Locked:
    return Locked(
        "golive's secrets are locked: a passphrase opens them, and none was given",
        hint="run the command at a terminal, which asks for it; or GOLIVE_PASSPHRASE_FILE=FILE, or the systemd "
        "credential golive-passphrase",
    )


def _derived(passphrase: Secret, parameters: Mapping[str, Any]) -> bytes:
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    try:
        if parameters["kdf"] != ARGON2["kdf"] or parameters["memory_kib"] > MOST_MEMORY:
            raise ValueError("written by another golive")  # noqa: TRY301 - said below with the rest
        kdf = Argon2id(
            salt=base64.b64decode(parameters["salt"], validate=True),
            length=LENGTH,
            iterations=parameters["iterations"],
            lanes=parameters["lanes"],
            memory_cost=parameters["memory_kib"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(
            "this golive cannot open the key with a passphrase", why=str(error), hint="upgrade golive"
        ) from error
    return kdf.derive(passphrase.reveal().encode())
