"""Migrations that are code: the project's own program runs them, in the release's own environment, under golive's lock.

What is current and what is to come is asked of the program's own API by a few lines run with the release's Python,
because the text of its commands mixes with whatever the project prints. lock_timeout and the name by which a left-over
session is found reach the driver through PGOPTIONS and PGAPPNAME, which libpq reads (psycopg 2 and 3, not asyncpg).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg

from golive.blueprint.models import Migrations
from golive.errors import MigrationFailed, UsageError
from golive.migrate import indexes, session
from golive.migrate.execute import PATIENCE
from golive.migrate.history import Connection
from golive.migrate.runtime import Runtime
from golive.migrate.status import Applied, MigrationEvent
from golive.secret import Secret
from golive.system import processes

Report = Callable[[MigrationEvent], None]
MARK = "golive-migrations:"
"""Before the answer, which is JSON, on a line of its own."""
_PATIENCE = 60
LOCK_FAILURES = re.compile(r"canceling statement due to lock timeout|LockNotAvailable|deadlock detected")


@dataclass(frozen=True)
class ProjectState:
    """`pending` in the order they run, as (revision, title). `unknown`: the database has them, the code has not."""

    current: tuple[str, ...]
    heads: tuple[str, ...]
    pending: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...] = ()
    applied: tuple[str, ...] = ()

    @property
    def version(self) -> str | None:
        return ", ".join(self.current) or None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{revision} {title}".strip() for revision, title in self.pending)


@dataclass(frozen=True)
class Program:
    """A tool of the project's own. Its commands are words after the interpreter's.

    `ask` prints MARK and a ProjectState as JSON; `sql` MARK and, as a JSON string, what the pending ones would do;
    `refuse` raises UsageError for a state in which nothing may run.
    """

    tool: str
    file: str
    """The file that shows the folder to be the right one."""
    ask: tuple[str, ...]
    upgrade: tuple[str, ...]
    verb: str
    command: str
    """The upgrade in words."""
    sql: Callable[[ProjectState], tuple[str, ...]]
    refuse: Callable[[ProjectState, Path], None]


async def state(program: Program, folder: Path, runtime: Runtime, url: Secret) -> ProjectState:
    """Where the database stands against the project's revisions. UsageError when there is no single order of them."""
    if not (folder / program.file).is_file():
        hint = "Set migrations.source in golive.toml to the folder that holds it."
        raise UsageError(f"there is no {program.file}", where=str(folder), hint=hint)
    try:
        done = await _run(program.ask, folder, runtime)
    except TimeoutError:
        what = f"{program.tool} did not say within {_PATIENCE} s which revisions there are"
        raise failed(what, folder, "", url) from None
    answer = _answer(done)
    if done.code or not answer:
        raise failed(f"{program.tool} cannot tell which revisions there are", folder, done.output, url)
    found = _state(json.loads(answer))
    program.refuse(found, folder)
    return found


async def sql(program: Program, folder: Path, runtime: Runtime, found: ProjectState) -> str:
    """What the pending ones would run, as the tool writes it; empty where it cannot say."""
    try:
        done = await _run(program.sql(found), folder, runtime)
    except TimeoutError:
        return ""
    answer = _answer(done)
    return str(json.loads(answer)).strip() if answer and not done.code else ""


async def apply(
    program: Program, migrations: Migrations, folder: Path, url: Secret, report: Report, *, runtime: Runtime
) -> Applied:
    """Upgrade, tried again after lock timeouts. MigrationFailed says which revision stands."""
    limit, started = migrations.timeout.total_seconds(), time.monotonic()
    try:
        async with session.locked(url, limit, report) as lock:
            before = await state(program, folder, runtime, url)
            if before.unknown:
                text = f"applied by another release, not in this one: {', '.join(before.unknown)}"
                report(MigrationEvent("ahead", text))
                standing = tuple(dict.fromkeys((*before.applied, *before.unknown)))
                return Applied(before.version, before.version, (), time.monotonic() - started, standing)
            if before.pending:
                found = await indexes.invalid(lock)
                await _Upgrade(
                    program, migrations, folder, _environment(runtime, migrations), report, url, lock, frozenset(found)
                ).run()
            after = await state(program, folder, runtime, url) if before.pending else before
    except psycopg.Error as error:
        raise failed("the migration lock was lost", folder, str(error), url) from None
    return Applied(before.version, after.version, before.names, time.monotonic() - started, after.applied)


@dataclass(frozen=True)
class _Upgrade:
    program: Program
    migrations: Migrations
    folder: Path
    runtime: Runtime
    report: Report
    url: Secret
    lock: Connection
    broken: frozenset[indexes.Index]
    """Indexes that were invalid before."""

    async def run(self) -> None:
        tool, limit = self.program.tool, self.migrations.timeout.total_seconds()
        deadline = time.monotonic() + limit
        for tried in range(self.migrations.retries + 1):
            done = await self._once(deadline)
            if done is None:
                raise await self._stopped(f"the migrations did not finish within {limit:.0f} s", "")
            if done.code == 0:
                return
            if not LOCK_FAILURES.search(done.output) or tried == self.migrations.retries:
                raise await self._stopped(f"{tool} {self.program.verb} failed", done.output)
            delay = session.back_off(tried)
            text = f"{tool} could not get a lock in time; again in {delay:.1f} s"
            self.report(MigrationEvent("retrying", text, None, delay))
            await self._mend()
            await asyncio.sleep(delay)

    async def _mend(self) -> None:
        """What the try that failed left of an index would be in the way of the next one."""
        await self.lock.execute("SELECT set_config('lock_timeout', %s, false)", [f"{PATIENCE:.0f}s"])
        for index in await indexes.invalid(self.lock):
            if index not in self.broken:
                try:
                    await indexes.drop(self.lock, index)
                except psycopg.errors.LockNotAvailable:
                    continue  # the next try fails, and names it
                text = f"dropped the invalid index {index.name}, left by a build that did not finish"
                self.report(MigrationEvent("mended", text))

    async def _once(self, deadline: float) -> processes.Completed | None:
        """None when it was stopped at the deadline."""
        mask = session.mask(self.url)
        try:
            return await processes.run(
                [*self.runtime.python, *self.program.upgrade],
                env=self.runtime.variables,
                cwd=self.folder,
                user=self.runtime.user,
                timeout=max(0.1, deadline - time.monotonic()),
                on_line=lambda line: self.report(MigrationEvent("notice", mask(line))),
            )
        except TimeoutError:
            return None

    async def _stopped(self, what: str, output: str) -> MigrationFailed:
        """With the revision at which the database is now."""
        try:
            now = (await state(self.program, self.folder, self.runtime, self.url)).version or "no revision"
            stands = f"The database is at {now}; nothing of a later revision stands unless it left its own transaction."
        except (MigrationFailed, UsageError):
            stands = "Which revision the database is at cannot be asked at the moment."
        with contextlib.suppress(psycopg.Error):
            names = [index.quoted for index in await indexes.invalid(self.lock)]
            stands += "".join(
                f" Left invalid by a build that failed: DROP INDEX CONCURRENTLY {name};" for name in names
            )
        return failed(what, self.folder, output, self.url, stands)


def _answer(done: processes.Completed) -> str | None:
    """The JSON after the last MARK, among whatever the project prints."""
    line = next((x for x in reversed(done.output.splitlines()) if x.startswith(MARK)), None)
    return line.removeprefix(MARK) if line else None


async def _run(command: tuple[str, ...], folder: Path, runtime: Runtime) -> processes.Completed:
    argv = [*runtime.python, *command]
    return await processes.run(argv, env=runtime.variables, cwd=folder, user=runtime.user, timeout=_PATIENCE)


def _environment(runtime: Runtime, migrations: Migrations) -> Runtime:
    """With the lock timeout and the session's name for libpq; options the project sets itself come last and win."""
    timeout = f"-c lock_timeout={migrations.lock_timeout.total_seconds() * 1000:.0f}ms"
    options = f"{timeout} {runtime.variables.get('PGOPTIONS', '')}".strip()
    variables = {**runtime.variables, "PGOPTIONS": options, "PGAPPNAME": session.WORKING}
    return replace(runtime, variables=variables)


def failed(what: str, folder: Path, output: str, url: Secret, stands: str = "") -> MigrationFailed:
    """The program's last line is the reason; all of its output is in `log`."""
    text = session.mask(url)(output)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith((" ", "(Background"))]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception|[A-Z]\w+): |\([\w.]+\) |ERROR|FAILED", line)]
    reason = (errors or lines or ["no output"])[-1]
    hint = f"{stands} The old release keeps serving. Correct the revision and deploy again.".strip()
    return MigrationFailed(what, where=str(folder), why=reason, hint=hint, log=text)


def _state(answer: dict[str, Any]) -> ProjectState:
    pending = tuple((str(revision), str(title)) for revision, title in answer["pending"])
    applied = tuple(answer.get("applied", ()))
    return ProjectState(tuple(answer["current"]), tuple(answer["heads"]), pending, tuple(answer["unknown"]), applied)
