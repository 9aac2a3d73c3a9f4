"""A session of golive's own account on a server that it runs, without the driver: for work that must begin at once.

Loading the driver takes longer than cloning a database. This is the simple query protocol (PostgreSQL's manual,
"Message Flow") over the server's own socket, where the operating system says who asks: no password, no TLS, text only.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

VERSION = 3 << 16
LEAVING = 1.0
"""Seconds in which a server gives back what it held for a session, a slot for example; it closes the socket then."""
_HEAD = struct.Struct(">cI")


class WireError(Exception):
    """The server refused, or went away; the text is its own."""


class Session:
    """One query at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def query(self, text: str) -> list[tuple[str | None, ...]]:
        """The rows of the statement. WireError when it fails."""
        self._writer.write(_message(b"Q", text.encode() + b"\0"))
        return await self.answer()

    async def answer(self) -> list[tuple[str | None, ...]]:
        """Up to the server's word that it is ready for a query."""
        rows: list[tuple[str | None, ...]] = []
        refused: str | None = None
        while True:
            kind, body = await self._read()
            if kind == b"D":
                rows.append(_row(body))
            elif kind == b"E":
                refused = _reason(body)
            elif kind == b"R" and body[:4] != b"\0\0\0\0":
                raise WireError("it asks for a password where golive's own account needs none")
            elif kind == b"Z":
                if refused is not None:
                    raise WireError(refused)
                return rows

    async def _read(self) -> tuple[bytes, bytes]:
        try:
            kind, length = _HEAD.unpack(await self._reader.readexactly(_HEAD.size))
            body = await self._reader.readexactly(length - 4)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise WireError("the server ended the session") from error
        if kind == b"E" and _field(body, b"S", "V") in ("FATAL", "PANIC"):
            raise WireError(_reason(body))
        return kind, body


@asynccontextmanager
async def session(folder: Path, port: int, user: str, database: str) -> AsyncIterator[Session]:
    """Of the server whose socket is in `folder`. WireError when it takes none."""
    try:
        reader, writer = await asyncio.open_unix_connection(folder / f".s.PGSQL.{port}")
    except OSError as error:
        raise WireError(f"it does not take connections: {error.strerror or error}") from error
    try:
        words = ("user", user, "database", database, "application_name", "golive", "client_encoding", "UTF8")
        body = struct.pack(">I", VERSION) + b"".join(word.encode() + b"\0" for word in words) + b"\0"
        writer.write(struct.pack(">I", len(body) + 4) + body)
        made = Session(reader, writer)
        await made.answer()
        yield made
    finally:
        with contextlib.suppress(OSError, TimeoutError):
            writer.write(_message(b"X", b""))
            async with asyncio.timeout(LEAVING):
                await reader.read()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def ready(folder: Path, port: int, user: str, timeout: float) -> None:
    """Returns when that server takes sessions. WireError when it does not within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    pauses = itertools.chain(itertools.repeat(0.01, 20), itertools.repeat(0.05))
    while True:
        try:
            async with session(folder, port, user, "postgres"):
                return
        except WireError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(next(pauses))


def _message(kind: bytes, body: bytes) -> bytes:
    return _HEAD.pack(kind, len(body) + 4) + body


def _row(body: bytes) -> tuple[str | None, ...]:
    (count,), at = struct.unpack_from(">H", body), 2
    found: list[str | None] = []
    for _ in range(count):
        (length,), at = struct.unpack_from(">i", body, at), at + 4
        found.append(None if length < 0 else body[at : at + length].decode())
        at += max(length, 0)
    return tuple(found)


def _reason(body: bytes) -> str:
    return _field(body, b"M") or "it gave no reason"


def _field(body: bytes, *names: bytes | str) -> str:
    """The first of an error's fields that it has."""
    fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
    wanted = [name if isinstance(name, bytes) else name.encode() for name in names]
    return next((fields[name] for name in wanted if name in fields), "")
