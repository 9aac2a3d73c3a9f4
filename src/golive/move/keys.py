"""The Redis side of a move: what keys hold, the notices of their changes, and writing them back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from golive.move.mapping import Mapped, Refused, Row
from golive.secret import Secret
from golive.system import resp

TROUBLE = (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError, resp.RedisError)
PAGE = 500
WANTED = "KA"
"""Key-space events of all kinds, see notify-keyspace-events."""


@dataclass(frozen=True)
class Source:
    """How to reach a Redis: its socket, or host and port. `user` may set notify-keyspace-events, else keys are looked
    through again and again."""

    user: str
    password: Secret
    socket: Path | None = None
    host: str = "127.0.0.1"
    port: int = 6379
    database: int = 0
    tls: bool = False

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[resp.Connection]:
        """One of TROUBLE when there is no connection to be had."""
        import ssl

        tls = ssl.create_default_context() if self.tls else None
        address = resp.Address(self.host, self.port, self.socket, tls)
        async with resp.connect(address, self.user or None, self.password) as connection:
            await connection.call("SELECT", self.database)
            yield connection


@dataclass(frozen=True)
class Content:
    """What a key holds; `ttl` in seconds, None for ever. `row` is None when there is no key, `refused` says why a key
    cannot be a row."""

    key: str
    row: Row | None = None
    ttl: float | None = None
    refused: str = ""


async def contents(connection: resp.Connection, mapped: Mapped, keys: Sequence[str]) -> list[Content]:
    """What these keys hold now."""
    verb = "HGETALL" if mapped.kind == "hash" else "GET"
    # One answer of Redis's to both, or the time to live could be that of another value.
    asked = [each for key in keys for each in (("MULTI",), (verb, key), ("PTTL", key), ("EXEC",))]
    answers = await connection.many(asked)
    return [_content(mapped, key, answers[4 * at + 3]) for at, key in enumerate(keys)]


def _content(mapped: Mapped, key: str, answer: resp.Value | resp.RedisError) -> Content:
    if not isinstance(answer, list) or any(isinstance(part, resp.RedisError) for part in answer):
        return Content(key, refused=f"it is not a {mapped.kind}")
    value, left = answer
    if left == _GONE or value is None or value == []:
        return Content(key)
    life = left / 1000 if isinstance(left, int) and left >= 0 else None
    given = dict(zip(value[::2], value[1::2], strict=True)) if isinstance(value, list) else str(value)
    try:
        return Content(key, mapped.row(key, given), life)  # type: ignore[arg-type] # HGETALL answers with texts
    except Refused as error:
        return Content(key, refused=str(error))


_GONE = -2


async def scan(connection: resp.Connection, mapped: Mapped) -> AsyncIterator[list[str]]:
    """All keys of this kind, some at a time; one may come twice."""
    cursor = "0"
    while True:
        answer = await connection.call("SCAN", cursor, "MATCH", mapped.glob, "COUNT", PAGE)
        if not isinstance(answer, list) or not isinstance(answer[1], list):
            raise resp.RedisError("SCAN did not answer with keys")
        cursor, found = str(answer[0]), [str(key) for key in answer[1]]
        if mine := [key for key in found if mapped.parse(key) is not None]:
            yield mine
        if cursor == "0":
            return


async def gone(connection: resp.Connection, keys: Sequence[str]) -> list[str]:
    """Those that are not there."""
    answers = await connection.many([("EXISTS", key) for key in keys])
    return [key for key, answer in zip(keys, answers, strict=True) if answer == 0]


async def put(
    connection: resp.Connection, mapped: Mapped, key: str, row: Mapping[str, str | None], ttl: float | None
) -> None:
    """Make the key what the row is. Refused for a row that no key can be."""
    given = mapped.given(row)
    life = max(1, round(ttl * 1000)) if ttl is not None else None
    commands: list[tuple[str | int, ...]] = [("MULTI",)]
    if mapped.kind == "string":
        if given[""] is None:
            raise Refused("its value is NULL")
        commands.append(("SET", key, given[""], "KEEPTTL"))
    elif mapped.kind == "hash":
        there = [part for name, value in given.items() if value is not None for part in (name, value)]
        if absent := [name for name, value in given.items() if value is None]:
            commands.append(("HDEL", key, *absent))
        if there:
            commands.append(("HSET", key, *there))
    else:
        commands.append(("SET", key, await _object(connection, key, given), "KEEPTTL"))
    if mapped.expires:
        commands.append(("PEXPIRE", key, life) if life is not None else ("PERSIST", key))
    for answer in await connection.many([*commands, ("EXEC",)]):
        if isinstance(answer, resp.RedisError):
            raise answer


async def _object(connection: resp.Connection, key: str, given: Mapping[str, str | None]) -> str:
    """The JSON of now with these fields changed; each value is JSON itself."""
    current = await connection.call("GET", key)
    found: dict[str, object] = {}
    with contextlib.suppress(ValueError):
        found = json.loads(str(current)) if current is not None else {}
    if not isinstance(found, dict):
        found = {}
    found |= {name: None if value is None else json.loads(value) for name, value in given.items()}
    return json.dumps(found, ensure_ascii=False)


@dataclass
class Notices:
    """Keys of which a notice came, in their order; `lost` once the subscription has ended."""

    dirty: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Key → the last event, and when the first came."""
    lost: Exception | None = None
    came: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def notices(source: Source, maps: Sequence[Mapped]) -> AsyncIterator[Notices]:
    """Collects notices from here on."""
    found = Notices()
    async with source.connected() as connection:
        for mapped in maps:
            await connection.call("PSUBSCRIBE", f"__keyspace@{source.database}__:{mapped.glob}")
        listening = asyncio.create_task(_listen(connection, source.database, found))
        try:
            yield found
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def _listen(connection: resp.Connection, database: int, found: Notices) -> None:
    start = len(f"__keyspace@{database}__:")
    try:
        while True:
            message = await connection.receive()
            if isinstance(message, list) and message[0] == "pmessage":
                key = str(message[2])[start:]
                found.dirty[key] = (str(message[3]), found.dirty.get(key, ("", time.monotonic()))[1])
                found.came.set()
    except TROUBLE as error:
        found.lost = error
        found.came.set()


async def notify(connection: resp.Connection) -> str | None:
    """Ask Redis for notices; the setting of before. None where it does not let us."""
    try:
        answer = await connection.call("CONFIG", "GET", "notify-keyspace-events")
        before = str(answer[1]) if isinstance(answer, list) and len(answer) > 1 else ""
        await connection.call("CONFIG", "SET", "notify-keyspace-events", "".join(sorted({*before, *WANTED})))
    except resp.RedisError:
        return None
    return before
