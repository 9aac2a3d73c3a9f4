"""Running one migration file, from its beginning or from where an earlier run came to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import psycopg

from golive.blueprint.models import Migrations
from golive.errors import MigrationFailed
from golive.migrate import failure, indexes, session
from golive.migrate.files import MigrationFile
from golive.migrate.history import Connection, History
from golive.migrate.sql import Statement
from golive.migrate.status import MigrationEvent, Record
from golive.secret import Secret

PATIENCE = 30.0
"""Seconds that a CONCURRENTLY statement waits for others: it stops no reads and writes while it does, so the short
lock_timeout that protects traffic would only throw its work away."""
BUSY = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
# An announced statement whose end was not recorded was done when trying it again says one of these.
_ALREADY = (
    psycopg.errors.DuplicateTable,
    psycopg.errors.DuplicateObject,
    psycopg.errors.DuplicateDatabase,
    psycopg.errors.UndefinedObject,
    psycopg.errors.InvalidCatalogName,
)
_BLOCKERS = """
SELECT pid, coalesce(nullif(application_name, ''), 'unnamed'), state, extract(epoch FROM now() - xact_start)::int
FROM pg_stat_activity
WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
  AND backend_type = 'client backend'
ORDER BY xact_start LIMIT 3"""


Execute = Callable[[Connection, MigrationFile, Statement], Awaitable[int]]
"""How a statement is run: `execute`, or that with somebody who looks on."""


@dataclass(frozen=True)
class Conditions:
    """What all files of a run have in common. `held` raises when the run has lost the lock."""

    migrations: Migrations
    url: Secret
    history: History
    release: int
    patience: float
    report: Callable[[MigrationEvent], None]
    held: Callable[[], Awaitable[object]]
    execute: Execute


async def execute(connection: Connection, file: MigrationFile, statement: Statement) -> int:  # noqa: ARG001  # Execute
    """How many rows it concerned; below zero when that says nothing of it."""
    return (await connection.execute(statement.text.encode())).rowcount


class FileRun:
    """One file. `applied` are those that this run has finished before, for what an error says."""

    def __init__(
        self, run: Conditions, file: MigrationFile, unfinished: Record | None, applied: Sequence[MigrationFile]
    ) -> None:
        self._run = run
        self._file = file
        self._applied = applied
        self._unfinished = unfinished
        self._at = unfinished.done if unfinished else 0
        self._ahead = 0
        """How many statements of a block have run before the one that runs now."""
        # A statement that was corrected since is another one: how the old one ended says nothing about it.
        self._unsure = bool(unfinished and unfinished.attempting and unfinished.checksum == file.checksum)
        self._started = time.monotonic()

    async def run(self) -> None:
        """MigrationFailed says what stands."""
        if self._file.script.transactional and not self._at:
            await self._retried(self._whole)
            return
        await self._retried(self._claim)
        while self._at < len(self._file.script.statements):
            await self._retried(self._next)
            self._at += len(self._file.script.together(self._at))
            self._unsure = False
        await self._retried(self._complete)

    async def _whole(self) -> None:
        """All of it in one transaction."""
        self._at = 0
        async with session.working(self._run.url) as connection, connection.transaction():
            self._listen(connection)
            await self._limit(connection, local=True)
            # The row first: a second migrator, whatever became of the lock, waits here and then sees that it is done.
            if not await self._run.history.begin(connection, self._file, self._run.release):
                return
            for statement in self._file.script.statements:
                await self._run.execute(connection, self._file, statement)
                self._at += 1
            await self._run.history.complete(connection, self._file, time.monotonic() - self._started)

    async def _claim(self) -> None:
        async with session.working(self._run.url) as connection:
            await self._run.history.begin(connection, self._file, self._run.release)

    async def _complete(self) -> None:
        async with session.working(self._run.url) as connection:
            await self._run.history.complete(connection, self._file, time.monotonic() - self._started)

    async def _next(self) -> None:
        """The statement at `_at`, with its block, and the record that it stands."""
        together = self._file.script.together(self._at)
        statement = together[0]
        async with session.working(self._run.url) as connection:
            self._listen(connection)
            if statement.outside:
                await self._outside(connection, statement)
                await self._run.history.advance(connection, self._file, self._at + 1)
                return
            async with connection.transaction():
                await self._limit(connection, local=True)
                for self._ahead, each in enumerate(together):
                    await self._run.execute(connection, self._file, each)
                await self._run.history.advance(connection, self._file, self._at + len(together))
                self._ahead = 0

    async def _outside(self, connection: Connection, statement: Statement) -> None:
        await self._limit(connection, local=False)
        await self._mend(connection, statement)
        if self._unsure and (made := await indexes.made_by(connection, statement)) and made.valid:
            return
        await self._run.history.attempt(connection, self._file)
        try:
            await self._run.execute(connection, self._file, statement)
        except psycopg.Error as error:
            if self._unsure and isinstance(error, _ALREADY):
                return
            if not connection.closed:
                await self._failed(connection, statement)
            raise

    async def _failed(self, connection: Connection, statement: Statement) -> None:
        """The server said no, so it is known how the statement ended; what it left is cleared away."""
        await self._run.history.advance(connection, self._file, self._at)
        await self._mend(connection, statement)

    async def _mend(self, connection: Connection, statement: Statement) -> None:
        for name in await indexes.clear_invalid(connection, statement):
            text = f"dropped the invalid index {name}, left by a build that did not finish"
            self._run.report(MigrationEvent("mended", text, self._file.version))

    async def _retried(self, step: Callable[[], Awaitable[None]]) -> None:
        """Again after a lock could not be had in time or a deadlock, each time a little later."""
        retries = self._run.migrations.retries
        for tried in range(retries + 1):
            try:
                await self._run.held()
                return await step()
            except BUSY as error:
                if tried == retries:
                    raise await self._blocked(error) from None
                await self._back_off(tried)
            except psycopg.Error as error:
                raise self._failure(error) from None
        return None

    async def _back_off(self, tried: int) -> None:
        delay = session.back_off(tried)
        text = f"{self._file.name} could not get a lock in time; again in {delay:.1f} s"
        self._run.report(MigrationEvent("retrying", text, self._file.version, delay))
        await asyncio.sleep(delay)

    def _failure(self, error: psycopg.Error) -> MigrationFailed:
        if failure.is_lost(error):
            return failure.lost(self._file, self._at, self._applied)
        return failure.failed(self._file, self._at + self._ahead, error, self._applied, done=self._at)

    async def _blocked(self, error: psycopg.Error) -> MigrationFailed:
        """Named with it: who has had a transaction open the longest, most likely what was waited for."""
        async with session.working(self._run.url) as connection:
            rows = await (await connection.execute(_BLOCKERS)).fetchall()
        listed = "; ".join(f"{name} (session {pid}, {state}, open for {age} s)" for pid, name, state, age in rows)
        blockers = f"Open transactions: {listed}." if listed else ""
        at = self._at + self._ahead
        return failure.failed(self._file, at, error, self._applied, done=self._at, blockers=blockers)

    async def _limit(self, connection: Connection, *, local: bool) -> None:
        """Set lock_timeout: for this transaction, or for the session of a statement that cannot be in one."""
        short = self._run.migrations.lock_timeout.total_seconds()
        seconds = short if local else max(short, self._run.patience)
        await connection.execute("SELECT set_config('lock_timeout', %s, %s)", [f"{seconds * 1000:.0f}ms", local])

    def _listen(self, connection: Connection) -> None:
        def told(notice: psycopg.errors.Diagnostic) -> None:
            if notice.message_primary:
                self._run.report(MigrationEvent("notice", notice.message_primary, self._file.version))

        connection.add_notice_handler(told)
