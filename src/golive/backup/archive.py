"""A stream sealed so that nothing can be read, changed, left out, swapped or cut off unseen.

    header   magic (8) · salt (16) · proof of the key (16) · CRC-32 of those (4)
    frame    length and "this is the last" (4) · up to 1 MiB of the stream: zstd, then AES-256-GCM
    …

Each archive has a key of its own, HKDF-SHA256 of the user's key and the salt, so a frame's number can be its nonce: a
frame left out, doubled or moved does not open. The last one is marked under the seal, so an archive cut off between two
frames is found too (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015). `name` is sealed in as
well: one backup's archive put in another's place does not open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import io
import secrets
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from golive.errors import BackupFailed, BackupUntried, UsageError
from golive.secret import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FRAME = 1 << 20
"""Bytes of the stream in a frame."""
LEVEL = 1
"""Of zstd: within a tenth of the size of level 3 on data files of PostgreSQL, at twice its speed."""
MAGIC = b"golive\x00\x01"
LAST = 1 << 31
TAG = 16
PREFIX = "golive-backup-"
_HEADER = struct.Struct(">8s16s16sI")
_HEAD = struct.Struct(">I")
_LONGEST = FRAME + (FRAME >> 8) + 1024
"""Bytes of a sealed frame: zstd lets data that it cannot press grow by less than this (ZSTD_COMPRESSBOUND)."""


@dataclass(frozen=True)
class Key:
    """32 random bytes. `id` names it without telling it, so that a backup can say which key it wants."""

    secret: Secret

    @classmethod
    def new(cls) -> Key:
        return cls(Secret(PREFIX + base64.b32encode(secrets.token_bytes(32)).decode().rstrip("=").lower()))

    @classmethod
    def parse(cls, text: str) -> Key:
        """A key as `secret` shows it, blanks and case of no account. UsageError when it is none."""
        key = cls(Secret("".join(text.split()).lower()))
        try:
            key.raw()
        except (ValueError, binascii.Error) as error:
            raise UsageError(
                "this is not a key of golive's backups",
                why=f"one is {PREFIX} and 52 letters and digits",
                hint="look where the key was kept when backups were set up; without it they cannot be read",
            ) from error
        return key

    @property
    def id(self) -> str:
        return _derived(self.raw(), b"", b"golive key id", 6).hex()

    def raw(self) -> bytes:
        text = self.secret.reveal()
        raw = base64.b32decode(text.removeprefix(PREFIX).upper() + "====")
        if not text.startswith(PREFIX) or len(raw) != 32:
            raise ValueError("length")
        return raw


@dataclass(frozen=True)
class Sealed:
    """What was written: bytes of the stream, bytes of the archive and its SHA-256."""

    plain: int
    size: int
    sha256: str


class Writer:
    """Write the stream, then `close`; an archive that was not closed is known as cut off."""

    def __init__(self, target: BinaryIO, key: Key, name: str) -> None:
        import zstandard

        salt = secrets.token_bytes(16)
        self._cipher, proof = _keys(key, salt)
        self._name = name.encode()
        self._press = zstandard.ZstdCompressor(level=LEVEL)
        self._target, self._digest = target, hashlib.sha256()
        self._pending = bytearray()
        self._number = self._plain = self._size = 0
        start = MAGIC + salt + proof
        self._put(start + _HEAD.pack(zlib.crc32(start)))

    def write(self, data: bytes) -> None:
        self._pending += data
        # One byte more than a frame: the last frame is only known when the stream has ended.
        while len(self._pending) > FRAME:
            self._frame(bytes(self._pending[:FRAME]), 0)
            del self._pending[:FRAME]

    def close(self) -> Sealed:
        self._frame(bytes(self._pending), LAST)
        return Sealed(self._plain, self._size, self._digest.hexdigest())

    def _frame(self, data: bytes, last: int) -> None:
        pressed = self._press.compress(data)
        head = _HEAD.pack((len(pressed) + TAG) | last)
        self._put(head + self._cipher.encrypt(_nonce(self._number), pressed, head + self._name))
        self._number += 1
        self._plain += len(data)

    def _put(self, data: bytes) -> None:
        self._target.write(data)
        self._digest.update(data)
        self._size += len(data)


def read(source: BinaryIO, key: Key, name: str, sha256: str | None = None) -> Iterator[bytes]:
    """The stream, a frame at a time; each is whole and as it was written before it is handed out.

    BackupFailed at the first thing that is wrong: another key, a changed byte, an end too early or too late. `sha256`
    is compared last: it finds another archive of the same name and key.
    """
    import zstandard
    from cryptography.exceptions import InvalidTag

    digest = hashlib.sha256()
    cipher = _opened(source, key, name, digest)
    unpress = zstandard.ZstdDecompressor()
    number, last, position = 0, 0, _HEADER.size
    while not last:
        head = _exactly(source, _HEAD.size, name, position)
        length, last = _HEAD.unpack(head)[0] & ~LAST, _HEAD.unpack(head)[0] & LAST
        if not TAG <= length <= _LONGEST:
            raise _damaged(name, position)
        body = _exactly(source, length, name, position)
        try:
            pressed = cipher.decrypt(_nonce(number), body, head + name.encode())
        except InvalidTag as error:
            raise _damaged(name, position) from error
        digest.update(head + body)
        position += len(head) + length
        number += 1
        if data := unpress.decompress(pressed, max_output_size=FRAME):
            yield data
    if source.read(1):
        raise _damaged(name, position, "it goes on after its end")
    if sha256 is not None and not hmac.compare_digest(digest.hexdigest(), sha256):
        raise _damaged(name, 0, "it is whole, but not the archive that its manifest names")


class Reader(io.RawIOBase):
    """The stream as a file."""

    def __init__(self, frames: Iterator[bytes]) -> None:
        self._frames = frames
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = memoryview(next(self._frames, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _opened(source: BinaryIO, key: Key, name: str, digest: hashlib._Hash) -> AESGCM:
    header = _exactly(source, _HEADER.size, name, 0)
    magic, salt, proof, checksum = _HEADER.unpack(header)
    if magic[:6] == MAGIC[:6] and magic != MAGIC and zlib.crc32(header[:-4]) == checksum:
        raise BackupUntried(
            f"{name} was written by a newer golive", where=name, hint="upgrade golive, then try again; nothing changed"
        )
    if magic != MAGIC or zlib.crc32(header[:-4]) != checksum:
        raise _damaged(name, 0)
    digest.update(header)
    cipher, expected = _keys(key, salt)
    if not hmac.compare_digest(proof, expected):
        raise BackupFailed(
            f"{name} is sealed with another key",
            where=name,
            why=f"the key given is {key.id}",
            hint="give the key that was kept when this backup was made; its manifest names the key",
        )
    return cipher


def _exactly(source: BinaryIO, count: int, name: str, position: int) -> bytes:
    parts, missing = [], count
    while missing and (part := source.read(missing)):
        parts.append(part)
        missing -= len(part)
    if missing:
        raise _damaged(name, position, "it ends too early: it was cut off")
    return b"".join(parts)


def _damaged(name: str, position: int, why: str = "its bytes are not the ones that were written") -> BackupFailed:
    return BackupFailed(
        f"{name} is damaged",
        where=f"{name}, byte {position}" if position else name,
        why=why,
        hint="nothing was changed; use another backup, and look at the disk this one is on",
    )


def _keys(key: Key, salt: bytes) -> tuple[AESGCM, bytes]:
    """The cipher of one archive, and the proof that it is the right key's."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    raw = key.raw()
    return AESGCM(_derived(raw, salt, b"golive archive", 32)), _derived(raw, salt, b"golive archive proof", 16)


def _derived(raw: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(hashes.SHA256(), length, salt, info).derive(raw)


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")
