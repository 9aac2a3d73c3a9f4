"""A Redis client of one connection: what golive asks Redis for (PING, INFO, CONFIG, ACL) needs no library.

The protocol is RESP2 (redis.io, "Redis serialization protocol specification"): every Redis and valkey speaks it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golive.secret import Secret

Value = str | int | list["Value"] | None
LONGEST = 64 << 20
"""Bytes accepted in one answer; a server that announces more is not Redis."""

SILENCE = 60.0
PIECE = 1 << 20
HANDSHAKE = 4.0
"""Seconds for TLS. A Redis without it waits for the end of a line: this tells it from a host that is silent."""


class RedisError(Exception):
    """Redis answered with an error, or with what is not RESP. The text holds no argument of the command."""


@dataclass(frozen=True)
class Address:
    """Where to connect: `socket`, else host and port; with TLS when `tls` is a context."""

    host: str = "127.0.0.1"
    port: int = 6379
    socket: Path | None = None
    tls: ssl.SSLContext | None = None


class Connection:
    """One command at a time. Bytes that are no UTF-8 come as surrogates, and go back as what they were."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def call(self, *words: str | int) -> Value:
        """The answer to one command. RedisError when Redis refuses it."""
        self._writer.write(_request(words))
        await self._writer.drain()
        return await self._read()

    async def many(self, commands: Sequence[Sequence[str | int]]) -> list[Value | RedisError]:
        """The answers to several commands, sent at once; a refusal stands in its place."""
        self._writer.write(b"".join(map(_request, commands)))
        found: list[Value | RedisError] = []
        for _ in commands:
            try:
                found.append(await self._read())
            except RedisError as error:
                found.append(error)
        return found

    async def receive(self) -> Value:
        """What a subscription sends; waits for it."""
        return await self._read()

    async def _read(self) -> Value:
        found = await self._value()
        if isinstance(found, RedisError):
            raise found
        return found

    async def _value(self) -> Value | RedisError:
        """A refusal inside a list (EXEC) stands in its place: what comes after it has to be read all the same."""
        line = await self._reader.readuntil(b"\r\n")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode(errors="replace")
        if kind == b"-":
            return RedisError(rest.decode(errors="replace"))
        if kind not in b":$*" or not rest.lstrip(b"-").isdigit():
            raise RedisError("what answers there does not speak Redis's protocol")
        count = int(rest)
        if kind == b":":
            return count
        if count > LONGEST:
            raise RedisError("an answer of impossible length")
        if count < 0:
            return None
        if kind == b"*":
            parts: list[Any] = [await self._value() for _ in range(count)]
            return parts
        return (await self._reader.readexactly(count + 2))[:-2].decode(errors="surrogateescape")

    async def snapshot(self) -> AsyncIterator[bytes]:
        """What Redis holds at this moment, as the RDB that a new replica is given; the connection is of no use after.

        Redis writes a line feed now and then while it prepares one. EOFError when it stops in the middle, TimeoutError
        after `SILENCE` seconds without a byte.
        """
        await self.call("REPLCONF", "capa", "eof")  # it may come straight from memory, with a mark at its end
        self._writer.write(b"*1\r\n$4\r\nSYNC\r\n")
        line = b""
        while not line.strip():
            async with asyncio.timeout(SILENCE):
                line = await self._reader.readuntil(b"\n")
        if line[:1] == b"-":
            raise RedisError(line[1:].decode(errors="replace").strip())
        mark = line.strip().removeprefix(b"$EOF:") if line.startswith(b"$EOF:") else b""
        left = 0 if mark else int(line[1:])
        held = b""
        while mark or left:
            async with asyncio.timeout(SILENCE):
                data = await self._reader.read(PIECE if mark else min(PIECE, left))
            if not data:
                raise EOFError("Redis ended the snapshot in the middle")
            if not mark:
                left -= len(data)
                yield data
                continue
            held += data
            if held.endswith(mark):
                yield held[: -len(mark)]
                return
            if held[: -len(mark)]:
                yield held[: -len(mark)]
            held = held[-len(mark) :]

    async def info(self, *sections: str) -> dict[str, str]:
        """INFO as a dictionary; one call a section, since Redis 6 takes one at a time."""
        found: dict[str, str] = {}
        for section in sections:
            text = str(await self.call("INFO", section))
            found |= dict(line.split(":", 1) for line in text.splitlines() if ":" in line and line[:1] != "#")
        return found


def _request(words: Sequence[str | int]) -> bytes:
    parts = [str(word).encode(errors="surrogateescape") for word in words]
    return b"".join([b"*%d\r\n" % len(parts), *(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)])


@contextlib.asynccontextmanager
async def connect(
    address: Address, user: str | None = None, password: Secret | None = None, timeout: float = 10
) -> AsyncIterator[Connection]:
    """An authenticated connection. OSError, TimeoutError, EOFError or RedisError when there is none to be had."""
    async with asyncio.timeout(timeout):
        if address.socket:
            streams = await asyncio.open_unix_connection(str(address.socket))
        else:
            streams = await asyncio.open_connection(
                address.host, address.port, ssl=address.tls, ssl_handshake_timeout=HANDSHAKE if address.tls else None
            )
    connection = Connection(*streams)
    try:
        async with asyncio.timeout(timeout):
            if password:
                await connection.call("AUTH", *([user] if user else []), password.reveal())
        yield connection
    finally:
        streams[1].close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await streams[1].wait_closed()
