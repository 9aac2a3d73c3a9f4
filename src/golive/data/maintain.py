"""VACUUM and REINDEX while the app goes on, with progress; cancelled, the server stops too. Loads the driver."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg import AsyncConnection, sql

from golive.blueprint.models import Resource
from golive.data import urls
from golive.data.external import explain, open_postgres, target_of
from golive.data.insight import named
from golive.data.postgres_queries import MARK
from golive.errors import NotFound, ResourceFailed, UsageError, nearest
from golive.secret import Secret

Connection = AsyncConnection[Any]
PAUSE = 0.5
"""Seconds between two looks at the progress."""

_RELATIONS = """
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, coalesce(x.indisexclusion, false)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index x ON x.indexrelid = c.oid
WHERE c.relkind IN ('r', 'm', 'i') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema'
    AND n.nspname !~ '^pg_' AND pg_has_role(c.relowner, 'USAGE') ORDER BY c.relpages, 2, 3"""
_OF_TABLES = "SELECT indexrelid FROM pg_index WHERE indrelid = ANY (%s)"
# REINDEX CONCURRENTLY that was broken off leaves the new index as _ccnew, or the old one as _ccold.
_LEFT = """
SELECT n.nspname::text, c.relname::text FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT x.indisvalid AND c.relkind = 'i' AND c.relname ~ '_cc(new|old)[0-9]*$' AND n.nspname !~ '^pg_'
    AND pg_has_role(c.relowner, 'USAGE')
    AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.relid = x.indrelid)"""
_VACUUM = """
SELECT phase, heap_blks_scanned, heap_blks_total, 0 FROM pg_stat_progress_vacuum WHERE pid = %(pid)s
UNION ALL SELECT phase, sample_blks_scanned, sample_blks_total, 0 FROM pg_stat_progress_analyze WHERE pid = %(pid)s"""
_REINDEX = """
SELECT phase, greatest(blocks_done, tuples_done), greatest(blocks_total, tuples_total), current_locker_pid
FROM pg_stat_progress_create_index WHERE pid = %(pid)s"""


@dataclass(frozen=True)
class Step:
    """`done` of `total` blocks or rows; `before` and `after` in bytes; `waits_for` is the session waited for."""

    kind: Literal["cleared", "begun", "progress", "done", "skipped"]
    name: str
    text: str = ""
    done: int = 0
    total: int = 0
    waits_for: int = 0
    before: int = 0
    after: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class _Relation:
    oid: int
    schema: str
    name: str
    kind: str
    exclusion: bool

    @property
    def label(self) -> str:
        return named(self.schema, self.name)

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


Report = Callable[[Step], None]


async def vacuum(resource: Resource, url: Secret, name: str | None, report: Report) -> tuple[Step, ...]:
    """Each table, the smallest first, vacuumed and analyzed; one when it is named. Blocks neither reads nor writes."""
    async with _sessions(resource, url) as (working, watching):
        tables = [each for each in await _relations(watching) if each.kind != "i"]
        wanted = [_pick(tables, name, "table")] if name else tables
        return tuple([await _one(working, watching, each, "VACUUM (ANALYZE) {}", _VACUUM, report) for each in wanted])


async def reindex(resource: Resource, url: Secret, name: str | None, report: Report) -> tuple[Step, ...]:
    """Each index anew beside the old one, which serves until then; one, or those of one table, when it is named.

    What an earlier try left behind is dropped first; after a cancellation, what this one left.
    """
    async with _sessions(resource, url) as (working, watching):
        wanted = await _indexes(watching, name)
        await _clear(watching, report)
        made = []
        for each in wanted:
            if each.exclusion:
                made.append(Step("skipped", each.label, "an exclusion constraint's cannot be made anew without a lock"))
                report(made[-1])
                continue
            try:
                made.append(await _one(working, watching, each, "REINDEX INDEX CONCURRENTLY {}", _REINDEX, report))
            except BaseException:
                await watching.execute("SET lock_timeout = '4s'")
                with contextlib.suppress(psycopg.Error):
                    await _clear(watching, report)
                raise
        return tuple(made)


@contextlib.asynccontextmanager
async def _sessions(resource: Resource, url: Secret) -> AsyncIterator[tuple[Connection, Connection]]:
    """One that works and one that watches it. UsageError through a pooler, where a session is not kept."""
    target = target_of(resource, url)
    where = resource.url_from or resource.engine
    try:
        async with await open_postgres(target) as working, await open_postgres(target) as watching:
            rows = await _ask(working, "SELECT pg_backend_pid()")
            if urls.pooled_by_name(target) or rows != [(working.info.backend_pid,)]:
                hint = "give the direct URL of the database: its host without -pooler, its own port"
                raise UsageError("this work takes a direct connection, the URL leads through a pooler", hint=hint)
            yield working, watching
    except psycopg.OperationalError as error:
        raise explain(target, where, error) from None
    except psycopg.Error as error:
        hint = "the statement can be run again; golive db insight shows what stands"
        raise ResourceFailed("PostgreSQL broke the work off", where=where, why=str(error).strip(), hint=hint) from None


async def _relations(connection: Connection) -> list[_Relation]:
    return [_Relation(*row) for row in await _ask(connection, _RELATIONS)]


def _pick(among: list[_Relation], name: str, what: str) -> _Relation:
    """By its name as SQL or as it stands in the catalog, with the schema or, where that is clear, without."""
    found = [e for e in among if name in (e.name, e.label, f"{e.schema}.{e.name}", named(e.name))]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{name} is in {len(found)} schemas", hint=" or ".join(each.label for each in found))
    near = nearest(name, [each.name for each in among])
    raise NotFound(
        f"there is no {what} {name} that the app owns", hint=f"did you mean {near}?" if near else "golive db size"
    )


async def _indexes(connection: Connection, name: str | None) -> list[_Relation]:
    every = await _relations(connection)
    if name is None:
        return [each for each in every if each.kind == "i"]
    chosen = _pick(every, name, "table or index")
    if chosen.kind == "i":
        return [chosen]
    mine = {row[0] for row in await _ask(connection, _OF_TABLES, ([chosen.oid],))}
    return [each for each in every if each.oid in mine]


async def _clear(connection: Connection, report: Report) -> None:
    for schema, name in await _ask(connection, _LEFT):
        statement = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(schema, name))
        await connection.execute(statement)
        report(Step("cleared", named(schema, name), "left behind by a REINDEX that was broken off"))


async def _one(  # two sessions, what to do and how to watch it
    working: Connection, watching: Connection, what: _Relation, statement: str, progress: str, report: Report
) -> Step:
    before, began = await _size(watching, what), time.monotonic()
    report(Step("begun", what.label, before=before))
    work = asyncio.create_task(working.execute(sql.SQL(statement).format(what.identifier)))
    try:
        while not (await asyncio.wait([work], timeout=PAUSE))[0]:
            for phase, done, total, waits_for in await _ask(watching, progress, {"pid": working.info.backend_pid}):
                report(Step("progress", what.label, phase, done or 0, total or 0, waits_for or 0, before))
        await work
    finally:
        if not work.done():
            work.cancel()  # the driver cancels it on the server, and waits until it has stopped
            await asyncio.gather(work, return_exceptions=True)
    step = Step("done", what.label, before=before, after=await _size(watching, what), seconds=time.monotonic() - began)
    report(step)
    return step


async def _ask(connection: Connection, query: str, values: Any = None) -> list[Any]:
    """The comment keeps it out of the slow queries."""
    return await (await connection.execute(f"{MARK} maintain */ {query}".encode(), values)).fetchall()


async def _size(connection: Connection, what: _Relation) -> int:
    query = "SELECT pg_total_relation_size(to_regclass(%s))"
    rows = await _ask(connection, query, (what.identifier.as_string(None),))
    return int(rows[0][0] or 0)
