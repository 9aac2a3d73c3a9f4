"""`prisma migrate deploy`, where the release carries Prisma's command line and a schema engine that runs.

Production builds seldom do: the command line is a development dependency, and its engine is fetched from Prisma's own
host. golive then runs the same files itself (`run`), with the same record. What another program left unfinished is
judged by that record in both cases.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

from golive.blueprint.models import Migrations
from golive.errors import MigrationFailed, StartFailed
from golive.migrate import failure, prisma, run, session, tools
from golive.migrate.history import current_schema
from golive.migrate.project import LOCK_FAILURES, Report, failed
from golive.migrate.runtime import Runtime
from golive.migrate.status import Applied, MigrationEvent, MigrationStatus
from golive.secret import Secret
from golive.system import processes

_PATIENCE = 10
_ROLLED_BACK = """
UPDATE {table} SET rolled_back_at = clock_timestamp()
WHERE finished_at IS NULL AND rolled_back_at IS NULL AND migration_name = %s"""


@dataclass(frozen=True)
class CommandLine:
    """Prisma's own: `argv` starts it in `app`, `engine` does its work."""

    argv: tuple[str, ...]
    app: Path
    engine: Path


async def find(runtime: Runtime | None) -> CommandLine | None:
    """That of the release; None when it has none, or its engine does not run here."""
    if runtime is None or runtime.app is None:
        return None
    node = shutil.which("node", path=runtime.variables.get("PATH"))
    main = runtime.app / "node_modules" / "prisma" / "build" / "index.js"
    engines = sorted((runtime.app / "node_modules" / "@prisma" / "engines").glob("schema-engine-*"))
    for engine in engines if node and main.is_file() else ():
        if os.access(engine, os.X_OK) and await _runs(engine, runtime):
            return CommandLine((str(node), str(main)), runtime.app, engine)
    return None


async def _runs(engine: Path, runtime: Runtime) -> bool:
    try:
        argv = [str(engine), "--version"]
        done = await processes.run(argv, env=runtime.variables, cwd=engine.parent, user=runtime.user, timeout=_PATIENCE)
    except (StartFailed, TimeoutError):
        return False
    return done.code == 0


async def apply(
    found: CommandLine, migrations: Migrations, folder: Path, url: Secret, report: Report, *, runtime: Runtime
) -> Applied:
    """`prisma migrate deploy`, tried again after lock timeouts. MigrationFailed says what stands."""
    limit, started = migrations.timeout.total_seconds(), time.monotonic()
    try:
        async with session.locked(prisma.address(url), limit, report):
            before = await run.status(folder, url, tools.dialect(migrations))
            run.refuse(before)
            if before.pending:
                await _Deploy(found, migrations, folder, url, report, runtime).run(before)
            after = await run.status(folder, url, tools.dialect(migrations)) if before.pending else before
    except psycopg.Error as error:
        raise failed("the migration lock was lost", folder, str(error), url) from None
    names = tuple(file.name for file in before.pending)
    standing = tuple(record.name for record in after.applied)
    return Applied(before.label, after.label, names, time.monotonic() - started, standing)


@dataclass(frozen=True)
class _Deploy:
    found: CommandLine
    migrations: Migrations
    folder: Path
    url: Secret
    report: Report
    runtime: Runtime

    async def run(self, before: MigrationStatus) -> None:
        limit = self.migrations.timeout.total_seconds()
        deadline = time.monotonic() + limit
        for tried in range(self.migrations.retries + 1):
            done = await self._once(deadline)
            if done is None:
                what = f"prisma migrate deploy did not finish within {limit:.0f} s"
                raise failed(what, self.folder, "", self.url, await self._stands(before))
            if done.code == 0:
                return
            stands = await self._stands(before)
            if not LOCK_FAILURES.search(done.output) or tried == self.migrations.retries:
                raise failed("prisma migrate deploy failed", self.folder, done.output, self.url, stands)
            delay = session.back_off(tried)
            text = f"prisma could not get a lock in time; again in {delay:.1f} s"
            self.report(MigrationEvent("retrying", text, None, delay))
            await asyncio.sleep(delay)

    async def _once(self, deadline: float) -> processes.Completed | None:
        """None when it was stopped at the deadline."""
        mask = session.mask(self.url)
        schema = self.folder.parent / "schema.prisma"
        named = ("--schema", str(schema)) if schema.is_file() else ()
        try:
            return await processes.run(
                [*self.found.argv, "migrate", "deploy", *named],
                env=self._environment(),
                cwd=self.found.app,
                user=self.runtime.user,
                timeout=max(0.1, deadline - time.monotonic()),
                on_line=lambda line: self.report(MigrationEvent("notice", mask(line))),
            )
        except TimeoutError:
            return None

    def _environment(self) -> Mapping[str, str]:
        """The release's, the lock timeout in the database's URL: Prisma's engine reads no PGOPTIONS."""
        plain = self.url.reveal()
        timeout = f"-c lock_timeout={self.migrations.lock_timeout.total_seconds() * 1000:.0f}ms"
        added = urlencode({"options": timeout, "application_name": session.WORKING}, quote_via=quote)
        bounded = f"{plain}{'&' if '?' in plain else '?'}{added}"
        given = {"DATABASE_URL": plain, **self.runtime.variables}
        changed = {name: bounded if value == plain else value for name, value in given.items()}
        return {**changed, "PRISMA_SCHEMA_ENGINE_BINARY": str(self.found.engine), "CHECKPOINT_DISABLE": "1"}

    async def _stands(self, before: MigrationStatus) -> str:
        """What is in the database now. Prisma sends a file as one query, so that one without a transaction of its own
        left nothing: its failed row is closed as `prisma migrate resolve --rolled-back` does, and it may run again."""
        try:
            now = await run.status(self.folder, self.url, tools.dialect(self.migrations))
            name = now.blocked.name if now.blocked and now.blocked.failed else None
            file = next((f for f in before.pending if f.name == name), None)
            if file and file.script.transactional and not any(s.block for s in file.script.statements):
                await self._roll_back(file.name)
        except (MigrationFailed, psycopg.Error):
            return "What stands cannot be asked at the moment."
        left = {record.version for record in before.applied}
        applied = [f for f in before.pending if f.version in {r.version for r in now.applied} - left]
        if file:
            return (
                failure.stands(file, 0, applied)
                if file.script.transactional
                else (now.blocked.hint if now.blocked else "")
            )
        return f"Applied just now and standing: {', '.join(f.name for f in applied) or 'nothing'}."

    async def _roll_back(self, name: str) -> None:
        async with session.working(prisma.address(self.url)) as connection:
            table = sql.Identifier(await current_schema(connection), prisma.TABLE)
            await connection.execute(sql.SQL(_ROLLED_BACK).format(table=table), [name])
