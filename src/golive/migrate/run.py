"""Applying files of SQL, whatever tool they are for: one migrator at a time, one transaction a file, resumable.

A file that holds a statement which no transaction takes (CREATE INDEX CONCURRENTLY…) runs statement by statement. Its
row in `golive_migrations` says how far it got: an ordinary statement and its row are committed together; the others are
announced before and recorded after, and one that was announced but not recorded is looked at before it is tried again.

A file that appears below the highest applied number (two branches merged) is applied, in order, and reported as late:
refusing would stop every project that numbers by date, and a file that no longer fits fails without leaving anything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import psycopg

from golive.blueprint.models import Migrations
from golive.errors import MigrationFailed
from golive.migrate import failure, indexes, session, tools
from golive.migrate.execute import PATIENCE, Conditions, Execute, FileRun, execute
from golive.migrate.files import MigrationFile
from golive.migrate.history import Connection
from golive.migrate.ledger import Dialect
from golive.migrate.lint import marks
from golive.migrate.status import Applied, MigrationEvent, MigrationStatus, compare
from golive.secret import Secret

Report = Callable[[MigrationEvent], None]


async def status(folder: Path, url: Secret, dialect: Dialect = tools.SQL) -> MigrationStatus:
    """What is applied, pending, drifted and missing. Changes nothing, makes no table."""
    files = dialect.discover(folder)
    async with await session.connect(dialect.address(url), f"{session.WORKING}-status") as connection:
        history = await dialect.history(connection)
        return compare(files, await history.standing(connection, files))


async def apply(  # noqa: PLR0913  # what a run is made of
    migrations: Migrations,
    folder: Path,
    url: Secret,
    report: Report,
    *,
    release: int,
    patience: float = PATIENCE,
    held: Collection[str] = (),
    execute: Execute = execute,
) -> Applied:
    """Apply what is pending. MigrationFailed says what stands; running it again goes on from there.

    `patience` is how many seconds a statement that stops no traffic waits for a lock; `held` are files that wait, and
    are late when they run after others.
    """
    dialect = tools.dialect(migrations)
    files, url = dialect.discover(folder), dialect.address(url)
    name = "golive_migrations"
    limit, started = migrations.timeout.total_seconds(), time.monotonic()
    applied: list[MigrationFile] = []
    try:
        async with session.locked(url, limit, report) as lock, asyncio.timeout(limit):
            history = await dialect.history(lock)
            name = history.name
            await session.lock_too(lock, await history.locks(lock), limit, report)
            standing = await history.standing(lock, files)
            found = compare(files, standing)
            refuse(found)
            await history.create(lock)
            await history.settle(lock, standing)
            found = replace(found, pending=tuple(file for file in found.pending if file.name not in held))
            _announce(found, report)
            run = Conditions(
                migrations, url, history, release, patience, report, lambda: lock.execute("SELECT 1"), execute
            )
            await _each(run, found, applied)
            await say_invalid(lock, report)
    except TimeoutError:
        raise failure.timed_out(limit, applied) from None
    except psycopg.Error as error:
        raise _unusable(error, url, name) from None
    done = _summary(found, applied, time.monotonic() - started)
    return replace(done, contracts=await asyncio.to_thread(_contracts, files, done.standing))


async def _each(run: Conditions, found: MigrationStatus, applied: list[MigrationFile]) -> None:
    for file in found.pending:
        run.report(MigrationEvent("started", file.name, file.version))
        started, unfinished = time.monotonic(), found.unfinished
        same = unfinished if unfinished and unfinished.version == file.version else None
        await FileRun(run, file, same, applied).run()
        applied.append(file)
        run.report(MigrationEvent("applied", file.name, file.version, time.monotonic() - started))


async def say_invalid(connection: Connection, report: Report) -> None:
    """What is left of builds that were broken off, by hand or by another tool, with the command that mends it."""
    for index in await indexes.invalid(connection):
        text = f"the index {index.quoted} is invalid: it serves no query. REINDEX INDEX CONCURRENTLY {index.quoted};"
        report(MigrationEvent("invalid", text))


def refuse(found: MigrationStatus) -> None:
    """MigrationFailed when nothing may run."""
    if error := failure.stop(found):
        raise error


def _announce(found: MigrationStatus, report: Report) -> None:
    if found.late:
        names = ", ".join(file.name for file in found.late)
        report(MigrationEvent("late", f"numbered below what was applied before: {names}"))
    if found.passed:
        names = ", ".join(file.name for file in found.passed)
        report(MigrationEvent("passed", f"older than what was applied last, never run: {names}"))
    if found.missing:
        names = ", ".join(record.name for record in found.missing)
        report(MigrationEvent("ahead", f"applied by another release, not in this one: {names}"))


def _summary(found: MigrationStatus, applied: list[MigrationFile], seconds: float) -> Applied:
    newest = max(applied, key=lambda file: file.version, default=None)
    later = newest is not None and (found.version is None or newest.version > found.version)
    after = newest.label if newest and later else found.label
    names = tuple(file.name for file in applied)
    return Applied(found.label, after, names, seconds, (*(record.name for record in found.applied), *names))


def _contracts(files: Sequence[MigrationFile], standing: Collection[str]) -> tuple[str, ...]:
    return tuple(file.name for file in files if file.name in standing and marks.is_contract(file))


def _unusable(error: psycopg.Error, url: Secret, table: str) -> MigrationFailed:
    """Anything that went wrong around the files rather than in one."""
    if failure.is_lost(error):
        return MigrationFailed(
            "the connection to the database was lost between two migrations",
            why="The server stopped, or ended the session.",
            hint="What was applied is recorded, the old release serves on. When the database is back, deploy again.",
        )
    return MigrationFailed(
        "the record of migrations cannot be read or written",
        where=table,
        why=session.mask(url)(error.diag.message_primary or str(error).strip()),
        hint="Nothing was changed, the old release keeps serving. The role needs CREATE on the schema, once.",
    )
