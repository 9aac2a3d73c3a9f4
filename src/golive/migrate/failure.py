"""What to say when a migration fails: where, why, what stands in the database, what to do."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from golive.errors import MigrationFailed
from golive.migrate.files import MigrationFile
from golive.migrate.status import Blocked, MigrationStatus

_SERVING = "The old release keeps serving."
_LOST = ("57P01", "57P02", "57P03", None)
"""SQLSTATEs of a server that goes down; none at all when the connection just broke."""


def is_lost(error: psycopg.Error) -> bool:
    """Whether the session ended rather than a statement failed."""
    return isinstance(error, psycopg.OperationalError) and error.sqlstate in _LOST


def failed(
    file: MigrationFile,
    at: int,
    error: psycopg.Error,
    applied: Sequence[MigrationFile],
    *,
    done: int | None = None,
    blockers: str = "",
) -> MigrationFailed:
    """`at` is the index of the statement that failed; everything before it ran, of which `done` statements stand."""
    if at >= len(file.script.statements):
        line, place = 1, "while it was recorded"
    else:
        statement = file.script.statements[at]
        line = statement.line_at(int(error.diag.statement_position or 1))
        place = f"at statement {at + 1} of {len(file.script.statements)}, line {line}"
    return MigrationFailed(
        f"migration {file.name} failed {place}",
        where=f"{file.path}:{line}",
        why=_message(error) + (f"\n{blockers}" if blockers else ""),
        hint=f"{stands(file, at if done is None else done, applied)} {_SERVING} {_advice(file, error)}",
        log=_excerpt(file, line),
    )


def lost(file: MigrationFile, at: int, applied: Sequence[MigrationFile]) -> MigrationFailed:
    """The connection went away in the middle."""
    return MigrationFailed(
        f"the connection to the database was lost during migration {file.name}",
        where=str(file.path),
        why="The server stopped, or ended the session.",
        hint=f"{_whole(file, at, applied)} {_SERVING} When the database is back, deploy again: it goes on from there.",
    )


def timed_out(seconds: float, applied: Sequence[MigrationFile]) -> MigrationFailed:
    names = ", ".join(file.name for file in applied) or "none"
    return MigrationFailed(
        f"the migrations did not finish within {seconds:.0f} s",
        hint=f"Applied before that: {names}. What was under way was cancelled. {_SERVING} Deploy again to go on, "
        "with a larger migrations.timeout if it needs the time.",
    )


def drifted(status: MigrationStatus) -> MigrationFailed:
    """Applied files that were changed afterwards."""
    names = ", ".join(f"{record.name} ({_when(record.applied_at)})" for record in status.drifted)
    return MigrationFailed(
        f"migrations changed after they were applied: {names}",
        why="The database holds what the file said then, and nothing would bring the change to it.",
        hint=f"Nothing was changed. {_SERVING} Put the file back as it was and write the change as a new migration.",
    )


def stop(found: MigrationStatus) -> MigrationFailed | None:
    """Why nothing may run: the database and the files contradict each other, or somebody has to look first."""
    if found.blocked:
        return blocked(found.blocked)
    if found.drifted:
        return drifted(found)
    if found.unfinished and found.unfinished in found.missing:
        return abandoned(found.unfinished.name, found.unfinished.done)
    return None


def blocked(found: Blocked) -> MigrationFailed:
    """Something that only a person can decide."""
    return MigrationFailed(found.what, where=found.name, why=found.why, hint=f"{found.hint} {_SERVING}")


def abandoned(name: str, done: int) -> MigrationFailed:
    """A half-applied file that is no longer there."""
    return MigrationFailed(
        f"migration {name} is half applied and its file is gone",
        why=f"It runs outside a transaction; its first {done} statements stand.",
        hint=f"Nothing was changed. {_SERVING} Bring the file back and deploy again: it goes on from there.",
    )


def stands(file: MigrationFile, done: int, applied: Sequence[MigrationFile]) -> str:
    """What is in the database now."""
    before = f"Applied just now and standing: {', '.join(f.name for f in applied)}." if applied else ""
    if file.script.transactional:
        return f"{before} Nothing of {file.name} stands: it ran in one transaction.".strip()
    if done == 0:
        return f"{before} Nothing of {file.name} stands.".strip()
    count = "its first statement stands" if done == 1 else f"its first {done} statements stand"
    return f"{before} {file.name} runs outside a transaction: {count}.".strip()


def _whole(file: MigrationFile, at: int, applied: Sequence[MigrationFile]) -> str:
    """As `stands`, when the end of the last statement was never heard of."""
    if not file.script.transactional:
        return f"{stands(file, at, applied)} Statement {at + 1} may."
    if at < len(file.script.statements):
        return stands(file, at, applied)
    return f"{file.name} stands as a whole or not at all."


def _advice(file: MigrationFile, error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
        return "Deploy again when the other transaction has ended, or raise migrations.retries."
    if file.script.transactional:
        return "Correct the file and deploy again."
    return "Correct that statement or a later one and deploy again: it goes on there."


def _message(error: psycopg.Error) -> str:
    parts = (error.diag.message_primary or str(error).strip(), error.diag.message_detail, error.diag.message_hint)
    return " ".join(part for part in parts if part)


def _excerpt(file: MigrationFile, line: int) -> str:
    """The line and its neighbours, numbered."""
    try:
        lines = file.path.read_text("utf-8-sig").splitlines()
    except OSError:
        return ""
    shown = range(max(1, line - 2), min(len(lines), line + 1) + 1)
    return "\n".join(f"{'>' if n == line else ' '} {n:4} | {lines[n - 1]}" for n in shown)


def _when(applied_at: object) -> str:
    return f"applied {applied_at:%Y-%m-%d %H:%M}" if applied_at else "half applied"
