"""What copies and follows, in a process of its own; killed at any moment, the next one goes on.

It takes no order but the one row in `golive.move`: whether PostgreSQL is followed too, and which side the app reads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg

from golive.errors import GoliveError
from golive.move import keys, rows
from golive.move.keys import Content, Notices
from golive.move.mapping import Mapped, Refused, Row
from golive.move.rows import Connection, Note, Table
from golive.move.values import Move
from golive.system import resp

TICK = 0.1
SAY = 1.0
AGAIN = 5.0
"""Seconds between two looks through all keys, of a Redis that sends no notices."""
_LOCK = 0x676F6C697665_6D76  # "golivemv"


@dataclass
class Figures:
    """What the worker did since it began. `lag` is the longest that a notice waited in the last second, in seconds;
    `refused` are keys that cannot be rows, with the reason, at most twenty."""

    copied: int = 0
    deleted: int = 0
    back: int = 0
    sweeps: int = 0
    lag: float = 0.0
    notices: bool = True
    refused: dict[str, str] = field(default_factory=dict)

    def refuse(self, key: str, why: str) -> None:
        if len(self.refused) < 20 or key in self.refused:  # as said above
            self.refused[key] = why


async def work(move: Move, report: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
    """Returns when the move is over. GoliveError when a side was lost: begin again."""
    try:
        async with rows.connected(move.url) as connection, move.source.connected() as redis:
            while not await _locked(connection, move.name):
                await asyncio.sleep(TICK)
            tables = [await Table.of(connection, mapped, index) for index, mapped in enumerate(move.maps)]
            told = await keys.notify(redis) is not None
            async with keys.notices(move.source, move.maps) as noticed:
                worker = _Worker(move, connection, redis, tables, noticed, Figures(notices=told), report)
                try:
                    await worker.run()
                except psycopg.errors.UndefinedTable:
                    if await rows.note(connection, move.name) is not None:
                        raise
    except psycopg.Error as error:
        raise GoliveError("the move lost PostgreSQL", why=str(error).strip()) from None
    except keys.TROUBLE as error:
        raise GoliveError("the move lost Redis", why=str(error) or type(error).__name__) from None


async def _locked(connection: Connection, name: str) -> bool:
    statement = "SELECT pg_try_advisory_lock(%s, hashtext(%s))"
    row = await (await connection.execute(statement, [_LOCK % 2**31, name])).fetchone()
    return bool(row and row[0])


@dataclass
class _Worker:
    move: Move
    connection: Connection
    redis: resp.Connection
    tables: Sequence[Table]
    noticed: Notices
    figures: Figures
    report: Callable[[dict[str, Any]], None]
    _echo: dict[str, tuple[Row, float | None] | None] = field(default_factory=dict)
    """What this worker itself wrote to Redis last, by key: the notice of it says nothing new."""
    _said: float = 0.0
    _note: Note | None = None

    async def run(self) -> None:
        note = await rows.note(self.connection, self.move.name)
        while note is not None:
            self._note = note
            if self.noticed.lost:
                raise self.noticed.lost
            if note.both_ways:
                await self._back()
            if not self.figures.sweeps or not self.figures.notices:
                await self._sweep(note)
            await self._forward()
            await self._say()
            await self._wait()
            note = await rows.note(self.connection, self.move.name)

    async def _wait(self) -> None:
        seconds = TICK if self.figures.notices else AGAIN
        try:
            async with asyncio.timeout(seconds):
                await self.noticed.came.wait()
        except TimeoutError:
            return

    async def _sweep(self, note: Note) -> None:
        """Everything once: what is missing or other is written, rows whose key has gone are deleted. After the cut-over
        only what is missing: then PostgreSQL is right."""
        keep = note.truth == "postgres"
        for table in self.tables:
            async for found in keys.scan(self.redis, table.mapped):
                await self._copy(table, await keys.contents(self.redis, table.mapped, found), keep=keep)
                await self._forward()
                await self._say()
            if not keep:
                await self._delete_stale(table)
        self.figures.sweeps += 1
        await self._say(now=True)

    async def _delete_stale(self, table: Table) -> None:
        stale: list[str] = []
        async for page in table.keys(self.connection):
            stale += await keys.gone(self.redis, [self._key(table, row) for row in page])
        for key in stale:
            await self._delete(
                table, [each for each in await keys.contents(self.redis, table.mapped, [key]) if not each.row]
            )

    def _key(self, table: Table, row: Row) -> str:
        try:
            return table.mapped.key(row)
        except Refused as error:
            self.figures.refuse(str(row), str(error))
            return ""

    async def _forward(self) -> None:
        """What Redis gave notice of."""
        while self.noticed.dirty:
            self.noticed.came.clear()
            dirty = list(self.noticed.dirty.items())[: rows.BATCH]
            for key, _ in dirty:
                del self.noticed.dirty[key]
            for table in self.tables:
                mine = [key for key, (event, _) in dirty if table.mapped.parse(key) and not self._evicted(event)]
                if mine:
                    found = await keys.contents(self.redis, table.mapped, mine)
                    fresh = [each for each in found if not self._is_echo(table, each)]
                    await self._copy(table, fresh, keep=False)
                    await self._delete(table, [each for each in fresh if each.row is None and not each.refused])
            self.figures.lag = max(self.figures.lag, *(time.monotonic() - since for _, (_, since) in dirty))
            await self._say()
        self.noticed.came.clear()

    def _evicted(self, event: str) -> bool:
        """Memory was short in Redis: no reason to lose it in PostgreSQL, once that is what the app reads."""
        return event == "evicted" and self._note is not None and self._note.truth == "postgres"

    def _is_echo(self, table: Table, found: Content) -> bool:
        if found.key not in self._echo:
            return False
        wrote = self._echo[found.key]
        if wrote is None or found.row is None:
            return wrote is None and found.row is None
        return table.mapped.given(wrote[0]) == table.mapped.given(found.row)

    async def _copy(self, table: Table, found: Sequence[Content], *, keep: bool) -> None:
        for each in found:
            if each.refused:
                self.figures.refuse(each.key, each.refused)
            else:
                self.figures.refused.pop(each.key, None)
        there = [each for each in found if each.row is not None]
        for each in there:
            self._echo.pop(each.key, None)
        if not there:
            return
        try:
            await table.write(self.connection, [(each.row or {}, each.ttl) for each in there], keep=keep)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            if len(there) == 1:
                self.figures.refuse(there[0].key, error.diag.message_primary or "PostgreSQL refused it")
                return
            for each in there:  # one of them: find it, and copy the others
                await self._copy(table, [each], keep=keep)
            return
        self.figures.copied += len(there)

    async def _delete(self, table: Table, found: Sequence[Content]) -> None:
        if found:
            await table.delete(self.connection, [table.mapped.parse(each.key) or {} for each in found])
            self.figures.deleted += len(found)

    async def _back(self) -> None:
        """What others changed in PostgreSQL, to Redis."""
        while changed := await rows.changes(self.connection, self.move.name):
            for table in self.tables:
                mine = {self._key(table, row): row for _, index, row in changed if index == table.index}
                mine.pop("", None)
                now = await table.read(self.connection, list(mine.values()))
                for key, found in zip(mine, now, strict=True):
                    await self._put(table, key, found)
            await rows.done(self.connection, [id for id, _, _ in changed])
            await self._say()

    async def _put(self, table: Table, key: str, found: tuple[Row, float | None] | None) -> None:
        try:
            if found is None or (found[1] is not None and found[1] <= 0):
                self._echo[key] = None
                await self.redis.call("DEL", key)
            else:
                await keys.put(self.redis, table.mapped, key, *found)
                self._echo[key] = _plain(table.mapped, found)
        except Refused as error:
            self.figures.refuse(key, str(error))
            return
        self.figures.back += 1

    async def _say(self, *, now: bool = False) -> None:
        if not now and time.monotonic() - self._said < SAY:
            return
        self._said = time.monotonic()
        counted = asdict(self.figures)
        await rows.say(self.connection, self.move.name, counted, swept=bool(self.figures.sweeps))
        self.report({**counted, **(asdict(self._note) if self._note else {})})
        self.figures.lag = 0.0
        for key in list(self._echo)[: -100 * rows.BATCH]:
            del self._echo[key]


def _plain(mapped: Mapped, found: tuple[Row, float | None]) -> tuple[Row, float | None]:
    """As `Mapped.row` would have it from Redis: texts of a JSON object without their quotes."""
    if mapped.kind != "json":
        return found
    import json

    texts: Row = {}
    for name, value in found[0].items():
        loaded = json.loads(value) if value is not None and name not in mapped.parts else value
        texts[name] = loaded if loaded is None or isinstance(loaded, str) else json.dumps(loaded)
    return texts, found[1]
