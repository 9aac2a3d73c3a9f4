"""The steps of a move: begin, hold both sides against each other, follow PostgreSQL too, end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import psycopg

from golive.errors import Conflict, GoliveError
from golive.move import keys, rows
from golive.move.keys import Content
from golive.move.mapping import Refused
from golive.move.rows import Connection, Table, Truth
from golive.move.values import Compared, Move
from golive.system import resp

TRIES = 5
"""How often what differs is looked at again: what is under way is no difference."""
PAUSE = 0.3
SHOWN = 10


async def start(move: Move) -> dict[str, Any]:
    """Checks that it can work, and notes that it is under way. Conflict, MigrationFailed or GoliveError when not;
    nothing was changed then."""
    async with _both(move) as (connection, redis, tables):
        if await rows.note(connection, move.name) is None:
            for table in tables:
                if not await table.empty(connection):
                    raise Conflict(
                        f"the table {table.mapped.table} is not empty",
                        where=table.mapped.table,
                        why="the move makes it what Redis holds, and would delete rows that have no key",
                        hint="empty it, or map the keys to a table of their own",
                    )
        await rows.prepare(connection, move.name)
        before = await keys.notify(redis)
        await connection.execute(
            "UPDATE golive.move SET notify = coalesce(notify, %s) WHERE name = %s", [before, move.name]
        )
        return {"notices": before is not None}


async def status(move: Move) -> dict[str, Any]:
    """What is noted and was counted; `under_way` False when there is no such move."""
    async with rows.connected(move.url) as connection:
        note = await rows.note(connection, move.name)
        if note is None:
            return {"under_way": False}
        waiting = await rows.waiting(connection, move.name)
        return {"under_way": True, **asdict(note), "waiting": waiting, **await rows.figures(connection, move.name)}


async def compare(move: Move) -> Compared:
    """Every key against its row, and the other way round."""
    async with _both(move) as (connection, redis, tables):
        found = Compared(0, 0)
        for table in tables:
            one = await _table(connection, redis, table)
            found = Compared(
                found.keys + one.keys, found.rows + one.rows,
                *((a + b)[:SHOWN] for a, b in (
                    (found.different, one.different), (found.missing, one.missing), (found.extra, one.extra),
                    (found.refused, one.refused),
                )),
            )  # fmt: skip
        return found


async def _table(connection: Connection, redis: resp.Connection, table: Table) -> Compared:
    seen: set[str] = set()
    wrong: list[str] = []
    refused: list[str] = []
    async for page in keys.scan(redis, table.mapped):
        fresh = [key for key in dict.fromkeys(page) if key not in seen]
        seen.update(fresh)
        found = await keys.contents(redis, table.mapped, fresh)
        refused += [f"{each.key}: {each.refused}" for each in found if each.refused]
        wrong += await _wrong(connection, table, found)
    count, extra = 0, []
    async for rows_ in table.keys(connection):
        count += len(rows_)
        for row in rows_:
            try:
                extra += [key] if (key := table.mapped.key(row)) not in seen else []
            except Refused:
                extra.append(str(row))
    different, missing, extra = await _settled(connection, redis, table, wrong, extra)
    return Compared(
        len(seen), count, tuple(different[:SHOWN]), tuple(missing[:SHOWN]), tuple(extra[:SHOWN]), tuple(refused[:SHOWN])
    )


async def _settled(
    connection: Connection, redis: resp.Connection, table: Table, wrong: list[str], extra: list[str]
) -> tuple[list[str], list[str], list[str]]:
    """What still differs after the worker had its time: different, missing, extra."""
    suspects = [*wrong, *extra]
    missing: list[str] = []
    for _ in range(TRIES):
        if not suspects:
            break
        await asyncio.sleep(PAUSE)
        found = await keys.contents(redis, table.mapped, suspects)
        bad = set(await _wrong(connection, table, found))
        absent = [each.key for each in found if each.row is None and not each.refused]
        there = await table.read(connection, [table.mapped.parse(key) or {} for key in absent])
        extra = [key for key, row in zip(absent, there, strict=True) if row is not None]
        have = await table.read(connection, [table.mapped.parse(key) or {} for key in bad])
        missing = [key for key, row in zip(bad, have, strict=True) if row is None]
        suspects = [*bad, *extra]
    if not suspects:
        return [], [], []
    return [key for key in suspects if key not in missing and key not in extra], missing, extra


async def _wrong(connection: Connection, table: Table, found: Sequence[Content]) -> list[str]:
    there = [each for each in found if each.row is not None]
    at = await table.differing(connection, [(each.row or {}, each.ttl) for each in there])
    return [there[n].key for n in at]


async def follow(move: Move) -> None:
    """PostgreSQL is followed too, from the next change on."""
    async with _both(move) as (connection, _, tables):
        note = await rows.note(connection, move.name)
        if note is None:
            raise Conflict(f"the move {move.name} is not under way", hint="golive move start begins it")
        async with connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = '2s'")
            for table in tables:
                await table.follow(connection, move.name)
            await rows.set_truth(connection, move.name, note.truth, both_ways=True)


async def set_truth(move: Move, truth: Truth) -> None:
    """The side that the app reads, which wins after a pause."""
    async with rows.connected(move.url) as connection:
        await rows.set_truth(connection, move.name, truth, both_ways=True)


async def finish(move: Move, *, delete_keys: bool) -> int:
    """Nothing is followed any more. How many keys were deleted. It may be repeated."""
    deleted = 0
    async with _both(move) as (connection, redis, tables):
        notify = None
        if await rows.note(connection, move.name) is not None:
            row = await (
                await connection.execute("SELECT notify FROM golive.move WHERE name = %s", [move.name])
            ).fetchone()
            notify = row[0] if row else None
            await rows.forget(connection, move.name, tables)
        if notify is not None:
            await redis.call("CONFIG", "SET", "notify-keyspace-events", notify)
        for table in tables if delete_keys else ():
            async for page in keys.scan(redis, table.mapped):
                deleted += sum(answer == 1 for answer in await redis.many([("UNLINK", key) for key in page]))
    return deleted


@asynccontextmanager
async def _both(move: Move) -> AsyncIterator[tuple[Connection, resp.Connection, list[Table]]]:
    try:
        async with rows.connected(move.url) as connection, move.source.connected() as redis:
            yield connection, redis, [await Table.of(connection, each, index) for index, each in enumerate(move.maps)]
    except keys.TROUBLE as error:
        why = str(error) or type(error).__name__
        raise GoliveError(
            "Redis does not answer the move", why=why, hint="look whether it runs: golive status"
        ) from None
    except psycopg.Error as error:
        raise GoliveError(
            "PostgreSQL refused a step of the move",
            why=error.diag.message_primary or str(error).strip(),
            hint="nothing of this step stands; try again",
        ) from None
