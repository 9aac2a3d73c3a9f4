"""Alembic: the project's own, in the release's own environment, under golive's lock.

What is current and what is to come is asked of Alembic's own API by a few lines run with the release's Python, because
the text of its commands mixes with whatever env.py prints. lock_timeout and the name by which a left-over session is
found reach the driver through PGOPTIONS and PGAPPNAME, which libpq reads (psycopg 2 and 3; asyncpg does not).
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from golive.blueprint.models import Migrations
from golive.errors import MigrationFailed, UsageError
from golive.migrate import session
from golive.migrate.status import Applied, MigrationEvent
from golive.secret import Secret
from golive.system import processes
from golive.system.users import User

Report = Callable[[MigrationEvent], None]
_MARK = "golive-alembic:"
_PATIENCE = 60
# `alembic current` as alembic.command has it, and the revisions between that and the heads.
_ASK = f"""
import json
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
config = Config("alembic.ini")
script = ScriptDirectory.from_config(config)
current = []
def told(revision, context):
    current.extend(revision if isinstance(revision, (tuple, list)) else [revision] if revision else [])
    return []
with EnvironmentContext(config, script, fn=told, dont_mutate=True):
    script.run_env()
heads = list(script.get_heads())
try:
    pending = [[r.revision, r.doc or ""] for r in script.iterate_revisions("heads", tuple(current) or "base")]
except Exception:
    known = {{r.revision for r in script.walk_revisions()}}
    unknown = [r for r in current if r not in known]
    if not unknown:
        raise
    pending = []
else:
    unknown = []
print("\\n{_MARK}" + json.dumps({{"current": current, "heads": heads, "pending": pending[::-1], "unknown": unknown}}))
"""
_LOCK_FAILURES = re.compile(r"canceling statement due to lock timeout|LockNotAvailable|deadlock detected")


@dataclass(frozen=True)
class Runtime:
    """The environment of a release: `python` is the argv that starts its interpreter."""

    python: tuple[str, ...]
    variables: Mapping[str, str]
    user: User | None = None


@dataclass(frozen=True)
class AlembicState:
    """`pending` in the order they run, as (revision, title). `unknown`: the database has them, the code has not."""

    current: tuple[str, ...]
    heads: tuple[str, ...]
    pending: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...] = ()

    @property
    def version(self) -> str | None:
        return ", ".join(self.current) or None


async def state(folder: Path, runtime: Runtime, url: Secret) -> AlembicState:
    """Where the database stands against the project's revisions. UsageError when there is more than one head."""
    if not (folder / "alembic.ini").is_file():
        hint = "Set migrations.source in golive.toml to the folder that holds it."
        raise UsageError("there is no alembic.ini", where=str(folder), hint=hint)
    try:
        done = await processes.run(
            [*runtime.python, "-c", _ASK], env=runtime.variables, cwd=folder, user=runtime.user, timeout=_PATIENCE
        )
    except TimeoutError:
        raise _failed(f"alembic did not say within {_PATIENCE} s which revisions there are", folder, "", url) from None
    answer = next((x for x in reversed(done.output.splitlines()) if x.startswith(_MARK)), None)
    if done.code or not answer:
        raise _failed("alembic cannot tell which revisions there are", folder, done.output, url)
    found = _state(json.loads(answer.removeprefix(_MARK)))
    if len(found.heads) > 1:
        raise UsageError(
            f"alembic has {len(found.heads)} heads: {', '.join(found.heads)}",
            where=str(folder),
            why="Two revisions follow the same one, so there is no single order to run them in.",
            hint="Join them with `alembic merge heads`, commit the new revision and deploy again.",
        )
    return found


async def apply(migrations: Migrations, folder: Path, url: Secret, report: Report, *, runtime: Runtime) -> Applied:
    """`alembic upgrade head`, tried again after lock timeouts. MigrationFailed says which revision stands."""
    limit, started = migrations.timeout.total_seconds(), time.monotonic()
    try:
        async with session.locked(url, limit, report):
            before = await state(folder, runtime, url)
            if before.unknown:
                text = f"applied by another release, not in this one: {', '.join(before.unknown)}"
                report(MigrationEvent("ahead", text))
                return Applied(before.version, before.version, (), time.monotonic() - started)
            if before.pending:
                await _upgrade(migrations, folder, _environment(runtime, migrations), report, url)
            after = await state(folder, runtime, url) if before.pending else before
    except psycopg.Error as error:
        raise _failed("the migration lock was lost", folder, str(error), url) from None
    names = tuple(f"{revision} {title}".strip() for revision, title in before.pending)
    return Applied(before.version, after.version, names, time.monotonic() - started)


async def _upgrade(migrations: Migrations, folder: Path, runtime: Runtime, report: Report, url: Secret) -> None:
    deadline = time.monotonic() + migrations.timeout.total_seconds()
    for tried in range(migrations.retries + 1):
        done = await _run_once(folder, runtime, report, deadline, url)
        if done is None or done.code == 0:
            break
        if not _LOCK_FAILURES.search(done.output) or tried == migrations.retries:
            raise await _stopped("alembic upgrade failed", folder, runtime, done.output, url)
        delay = session.back_off(tried)
        report(MigrationEvent("retrying", f"alembic could not get a lock in time; again in {delay:.1f} s", None, delay))
        await asyncio.sleep(delay)
    if done is None:
        what = f"the migrations did not finish within {migrations.timeout.total_seconds():.0f} s"
        raise await _stopped(what, folder, runtime, "", url)


async def _run_once(
    folder: Path, runtime: Runtime, report: Report, deadline: float, url: Secret
) -> processes.Completed | None:
    """None when it was stopped at the deadline."""
    mask = session.mask(url)
    try:
        return await processes.run(
            [*runtime.python, "-m", "alembic", "upgrade", "head"],
            env=runtime.variables,
            cwd=folder,
            user=runtime.user,
            timeout=max(0.1, deadline - time.monotonic()),
            on_line=lambda line: report(MigrationEvent("notice", mask(line))),
        )
    except TimeoutError:
        return None


def _environment(runtime: Runtime, migrations: Migrations) -> Runtime:
    """With the lock timeout and the session's name for libpq; options the project sets itself come last and win."""
    timeout = f"-c lock_timeout={migrations.lock_timeout.total_seconds() * 1000:.0f}ms"
    options = f"{timeout} {runtime.variables.get('PGOPTIONS', '')}".strip()
    variables = {**runtime.variables, "PGOPTIONS": options, "PGAPPNAME": session.WORKING}
    return Runtime(runtime.python, variables, runtime.user)


async def _stopped(what: str, folder: Path, runtime: Runtime, output: str, url: Secret) -> MigrationFailed:
    """With the revision at which the database is now."""
    try:
        now = (await state(folder, runtime, url)).version or "no revision"
        stands = f"The database is at {now}; nothing of a later revision stands unless it left its own transaction."
    except (MigrationFailed, UsageError):
        stands = "Which revision the database is at cannot be asked at the moment."
    return _failed(what, folder, output, url, stands)


def _failed(what: str, folder: Path, output: str, url: Secret, stands: str = "") -> MigrationFailed:
    """Alembic's last line is the reason; all of its output is in `log`."""
    text = session.mask(url)(output)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith((" ", "(Background"))]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception|[A-Z]\w+): |\([\w.]+\) |ERROR|FAILED", line)]
    reason = (errors or lines or ["no output"])[-1]
    hint = f"{stands} The old release keeps serving. Correct the revision and deploy again.".strip()
    return MigrationFailed(what, where=str(folder), why=reason, hint=hint, log=text)


def _state(answer: dict[str, Any]) -> AlembicState:
    pending = tuple((str(revision), str(title)) for revision, title in answer["pending"])
    return AlembicState(tuple(answer["current"]), tuple(answer["heads"]), pending, tuple(answer["unknown"]))
