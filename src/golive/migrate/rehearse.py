"""Running what is pending on a copy, as a deploy would, and looking on.

Between the statements of files that golive runs itself, their own session is asked which locks it holds and what has
other files than before: exact, since it sees what is not committed yet. A program of the project's, and a statement
that runs outside a transaction, are watched by another session, which sees what lasts longer than POLL.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from golive.blueprint.models import Migrations
from golive.errors import GoliveError, MigrationFailed
from golive.migrate import session, tools
from golive.migrate import step as migrating
from golive.migrate.account import MODES, Account, Lock, Ran, Seen, mode_of, short, steps, stronger
from golive.migrate.execute import execute
from golive.migrate.files import MigrationFile
from golive.migrate.history import Connection
from golive.migrate.runtime import Runtime
from golive.migrate.sql import Statement
from golive.migrate.status import MigrationEvent
from golive.secret import Secret

Report = Callable[[MigrationEvent], None]
POLL = 0.01
SILENCE = 2.0
"""Seconds after which a statement that goes on is named again."""
_EVERY = 50
"""Looks between two measurements of the database's size."""
_NAME = "golive-rehearsal"
_USER = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
_RELATIONS = f"""
SELECT c.oid, n.nspname || '.' || c.relname, c.relkind::text, c.relfilenode, coalesce(i.indrelid, 0)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid
WHERE c.relkind IN ('r', 'p', 'm', 'i') AND {_USER}"""  # noqa: S608  # ours
_MINE = """
SELECT relation, mode FROM pg_locks
WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted"""
_OTHERS = f"""
SELECT a.pid, a.query, extract(epoch FROM a.query_start)::float8, extract(epoch FROM a.xact_start)::float8,
    CASE WHEN a.state = 'active' THEN extract(epoch FROM clock_timestamp()) ELSE extract(epoch FROM a.state_change) END
        ::float8,
    extract(epoch FROM clock_timestamp())::float8, n.nspname || '.' || c.relname, l.mode
FROM pg_stat_activity a
JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'relation' AND l.granted
JOIN pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p', 'm')
JOIN pg_namespace n ON n.oid = c.relnamespace AND {_USER}
WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.query_start IS NOT NULL
  AND (a.application_name = '{session.WORKING}' OR a.application_name NOT LIKE 'golive%')"""  # noqa: S608  # ours
_SIZE = "SELECT pg_database_size(current_database())"
_RECORDS = {
    *("golive_migrations", "schema_migrations", "_prisma_migrations", "__drizzle_migrations"),
    *("alembic_version", "django_migrations"),
}
_CHANGES = ("INSERT ", "UPDATE ", "DELETE ", "MERGE ", "WITH ", "COPY ")


@dataclass(frozen=True)
class Relation:
    """`file` is the number of its file, `of` the table of an index."""

    name: str
    kind: str
    file: int
    of: int


Relations = dict[int, Relation]


async def rehearse(
    migrations: Migrations,
    checkout: Path,
    url: Secret,
    report: Report,
    *,
    runtime: Runtime | None = None,
    held: Iterable[str] = (),
) -> Account:
    """Apply what is pending in the database behind `url`, which is a copy. What a deploy would raise is in the account;
    MigrationFailed only when the copy itself cannot be asked."""
    program = migrations.tool in tools.PROGRAMS
    address = url if program else tools.dialect(migrations).address(url)
    watch = Watch(report)
    error: GoliveError | None = None
    applied: tuple[str, ...] = ()
    try:
        async with await session.connect(address, _NAME) as connection, watch.looking(address):
            before, size = await relations(connection), await _size(connection)
            began = time.monotonic()
            try:
                done = await migrating.migrate(
                    migrations, checkout, url, release=0, report=watch.told, runtime=runtime, held=tuple(held),
                    execute=watch.execute,
                )  # fmt: skip
                applied = done.files
            except GoliveError as raised:
                error, applied = raised, tuple(watch.applied)
            seconds = time.monotonic() - began
            after, now = await relations(connection), await _size(connection)
    except psycopg.Error as lost:
        raise MigrationFailed("the copy does not answer any more", why=session.mask(url)(str(lost).strip())) from None
    ran = steps(watch.seen) if watch.seen else tuple(watch.sampled())
    return Account(
        applied, ran, seconds, size, now, max(watch.peak, size, now),
        rewritten(before, after), built(before, after), error.to_json() if error else None,
    )  # fmt: skip


@dataclass
class _Query:
    """By the server's clock."""

    text: str
    began: float
    ended: float


@dataclass
class _Held:
    query: tuple[int, float]
    mode: str
    table: str
    began: float
    ended: float


@dataclass
class Watch:
    """Looks on while statements run: those of files in their own session, all others from beside."""

    report: Report
    seen: list[Seen] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)
    peak: int = 0
    _session: Connection | None = None
    _transaction: int = 0
    _start: Relations = field(default_factory=dict)
    """What was there when the transaction began."""
    _last: Relations = field(default_factory=dict)
    _now: tuple[str, float] | None = None
    _queries: dict[tuple[int, float], _Query] = field(default_factory=dict)
    _held: dict[tuple[int, float, str, str], _Held] = field(default_factory=dict)

    def told(self, event: MigrationEvent) -> None:
        if event.kind == "applied":
            self.applied.append(event.text)
        self.report(event)

    async def execute(self, connection: Connection, file: MigrationFile, statement: Statement) -> int:
        """The statement as a deploy runs it, and what it did."""
        if connection is not self._session:
            self._session, self._transaction = connection, self._transaction + 1
            self._start = self._last = await relations(connection)
        words = f"{file.name}:{statement.line} {short(statement.text, 60)}"
        began, self._now = time.monotonic(), (words, time.monotonic())
        rows, failed = -1, True
        try:
            rows = await execute(connection, file, statement)
            failed = False
        finally:
            self._now = None
            ran = Ran(file.name, statement.line, statement.text, time.monotonic() - began, failed=failed)
            self._forget_earlier(ran)
            self.seen.append(Seen(ran, self._transaction, {}))
        if statement.outside:
            ran = replace(ran, locks=self._of(connection.info.backend_pid, ran.seconds))
        changes = statement.head.startswith(_CHANGES) and rows >= 0
        ran = replace(ran, rows=rows if changes else None)
        await self._look(connection, ran, outside=statement.outside)
        return rows

    def _forget_earlier(self, ran: Ran) -> None:
        """A try that came to nothing, because a lock could not be had."""
        self.seen = [
            each
            for each in self.seen
            if each.transaction == self._transaction or (each.ran.file, each.ran.line) != (ran.file, ran.line)
        ]

    async def _look(self, connection: Connection, ran: Ran, *, outside: bool) -> None:
        now = await relations(connection)
        modes = {} if outside else await self._modes(connection)
        done = replace(ran, rewritten=rewritten(self._last, now), built=built(self._last, now))
        self.seen[-1] = Seen(done, self._transaction, modes)
        self._last = now
        self.peak = max(self.peak, await _size(connection))

    async def _modes(self, connection: Connection) -> dict[str, str]:
        found: dict[str, str] = {}
        for oid, name in await (await connection.execute(_MINE)).fetchall():
            relation, mode = self._start.get(oid), mode_of(name)
            if relation is not None and relation.kind != "i" and _is_told(relation.name, mode):
                found[relation.name] = mode if stronger(mode, found.get(relation.name)) else found[relation.name]
        return found

    # From beside

    @asynccontextmanager
    async def looking(self, url: Secret) -> AsyncIterator[None]:
        async with await session.connect(url, _NAME) as connection:
            task = asyncio.create_task(self._sample(connection))
            try:
                yield
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, psycopg.Error):
                    await task

    async def _sample(self, connection: Connection) -> None:
        looks, said = 0, time.monotonic()
        while True:
            for row in await (await connection.execute(_OTHERS)).fetchall():
                self._take(*row)
            if looks % _EVERY == 0:
                self.peak = max(self.peak, await _size(connection))
            if self._now and time.monotonic() - max(said, self._now[1]) > SILENCE:
                said = time.monotonic()
                self.report(MigrationEvent("notice", f"{self._now[0]}: {said - self._now[1]:.0f} s so far"))
            looks += 1
            await asyncio.sleep(POLL)

    def _take(  # noqa: PLR0913, PLR0917  # a row
        self, pid: int, text: str, began: float, transaction: float, ended: float, now: float, table: str, name: str
    ) -> None:
        key, mode = (pid, began), mode_of(name)
        self._queries.setdefault(key, _Query(text, began, ended)).ended = ended
        if _is_told(table, mode):
            self._held.setdefault((pid, transaction, table, mode), _Held(key, mode, table, began, now)).ended = now

    def _of(self, pid: int, seconds: float) -> tuple[Lock, ...]:
        """What this session held during a statement that has just ended and took so long."""
        found: dict[str, list[_Held]] = {}
        for key, held in self._held.items():
            if key[0] == pid and (held.table not in found or not stronger(found[held.table][0].mode, held.mode)):
                same = found.get(held.table, [])
                found[held.table] = [*same, held] if same and same[0].mode == held.mode else [held]
        return tuple(
            Lock(table, held[0].mode, min(seconds, max(h.ended for h in held) - min(h.began for h in held)))
            for table, held in sorted(found.items())
        )

    def sampled(self) -> Iterable[Ran]:
        """The statements of a program, in their order, as far as they lasted long enough to be seen."""
        for key, query in sorted(self._queries.items(), key=lambda item: item[1].began):
            mine = [held for held in self._held.values() if held.query == key]
            locks = tuple(Lock(held.table, held.mode, max(0.0, held.ended - held.began)) for held in mine)
            if locks:
                yield Ran("", 0, query.text, max(0.0, query.ended - query.began), locks=locks)


def _is_told(table: str, mode: str) -> bool:
    return stronger(mode, MODES[2]) or (mode == MODES[2] and table.partition(".")[2] not in _RECORDS)


async def relations(connection: Connection) -> Relations:
    rows: list[Any] = await (await connection.execute(_RELATIONS)).fetchall()
    return {oid: Relation(name, kind, file, of) for oid, name, kind, file, of in rows}


async def _size(connection: Connection) -> int:
    row = await (await connection.execute(_SIZE)).fetchone()
    return int(row[0]) if row else 0


def rewritten(before: Relations, after: Relations) -> tuple[str, ...]:
    """Pure. Tables that were there and have another file."""
    return tuple(
        sorted(
            after[oid].name
            for oid, old in before.items()
            if old.kind in ("r", "m") and oid in after and after[oid].file != old.file
        )
    )


def built(before: Relations, after: Relations) -> tuple[str, ...]:
    """Pure. Indexes that are new, or have another file, of tables that were there."""
    return tuple(
        sorted(
            each.name
            for oid, each in after.items()
            if each.kind == "i" and each.of in before and (oid not in before or before[oid].file != each.file)
        )
    )
