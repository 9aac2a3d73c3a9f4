"""Where a database stands against a folder of migrations: plain values, and the comparison of the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from golive.migrate.files import MigrationFile, checksum_of, order


@dataclass(frozen=True)
class Record:
    """A row of `golive_migrations`, or what a tool's own record says. `applied_at` is None while a file that runs
    outside a transaction is unfinished; `standing`: it is applied, the tool did not write down when.

    Of an unfinished file the first `done` statements stand, whose text has the checksum `done_checksum`; `attempting`
    says that the next one was begun and nobody wrote down how it ended. `key` as of a MigrationFile.
    """

    version: int
    name: str
    checksum: str
    applied_at: datetime | None
    release: int | None
    done: int
    done_checksum: str
    attempting: bool
    standing: bool = False
    key: str = ""

    @property
    def whole(self) -> bool:
        return self.standing or self.applied_at is not None

    @property
    def label(self) -> str:
        return self.key or str(self.version)


@dataclass(frozen=True)
class Blocked:
    """Why nothing can be applied until somebody has looked: `what` stands in the way, `hint` is the way out.

    `failed`: `name` is a migration that another program left half applied.
    """

    name: str
    what: str
    why: str
    hint: str
    failed: bool = False


@dataclass(frozen=True)
class Standing:
    """What is recorded in a database. `passed` are files that the tool will never run, being older than what it did;
    `unknown` those that it did and of which golive has kept nothing yet."""

    records: tuple[Record, ...] = ()
    blocked: Blocked | None = None
    passed: tuple[MigrationFile, ...] = ()
    unknown: tuple[MigrationFile, ...] = ()


@dataclass(frozen=True)
class MigrationStatus:
    """`late` are pending ones with a lower number than one that was applied: they run, in order, and it is said."""

    applied: tuple[Record, ...]
    pending: tuple[MigrationFile, ...]
    drifted: tuple[Record, ...]
    missing: tuple[Record, ...]
    unfinished: Record | None
    blocked: Blocked | None = None
    passed: tuple[MigrationFile, ...] = ()

    @property
    def label(self) -> str | None:
        """What the schema is at, in the tool's words."""
        return next((record.label for record in self.applied if record.version == self.version), None)

    @property
    def version(self) -> int | None:
        """The highest number that was applied whole."""
        return max((record.version for record in self.applied), default=None)

    @property
    def late(self) -> tuple[MigrationFile, ...]:
        return tuple(f for f in self.pending if self.version is not None and order(f.version) < (self.version, 0))


@dataclass(frozen=True)
class MigrationEvent:
    """Something to show while migrations run."""

    kind: Literal[
        "waiting", "started", "applied", "retrying", "mended", "notice", "late", "ahead", "passed", "lint", "invalid"
    ]
    text: str
    version: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Applied:
    """What a run changed. Versions are numbers as text, or what the tool calls them; None before the first. `standing`
    is all that is applied now, by name; `contracts` those of them that took something away."""

    version_before: str | None
    version_after: str | None
    files: tuple[str, ...]
    seconds: float
    standing: tuple[str, ...] = ()
    contracts: tuple[str, ...] = ()


def compare(files: Sequence[MigrationFile], standing: Standing | Sequence[Record]) -> MigrationStatus:
    """Pure. A row whose file changed has drifted, one without a file is missing (a newer release made it)."""
    if not isinstance(standing, Standing):
        standing = Standing(tuple(standing))
    history = standing.records
    by_version = {file.version: file for file in files}
    whole = tuple(record for record in history if record.whole)
    applied = {record.version for record in whole} | {file.version for file in standing.passed}
    unfinished = next((record for record in history if not record.whole), None)
    return MigrationStatus(
        applied=whole,
        pending=tuple(file for file in files if file.version not in applied),
        drifted=tuple(r for r in history if r.version in by_version and _drifted(r, by_version[r.version])),
        missing=tuple(record for record in history if record.version not in by_version),
        unfinished=unfinished,
        blocked=standing.blocked,
        passed=standing.passed,
    )


def _drifted(record: Record, file: MigrationFile) -> bool:
    """An unfinished file may be corrected, but not in the statements that have run."""
    if record.whole:
        return not file.is_of(record.checksum)
    statements = [statement.text for statement in file.script.statements[: record.done]]
    return record.done_checksum != checksum_of(statements)


State = Literal["applied", "pending", "unfinished", "drifted", "failed", "passed over", "not in this release"]


@dataclass(frozen=True)
class Line:
    """One migration. `sql` is what would run of it, empty for all but pending and unfinished ones, and where the tool
    cannot say; `done` of how many `statements` stand, for an unfinished one, and the next one may when `unsure`."""

    name: str
    state: State
    applied_at: datetime | None = None
    release: int | None = None
    sql: str = ""
    done: int = 0
    statements: int = 0
    unsure: bool = False


@dataclass(frozen=True)
class Overview:
    """`stop` is why a deploy would not migrate, and what to do."""

    tool: str
    version: str | None
    lines: tuple[Line, ...]
    stop: tuple[str, str] | None = None
    sql: str = ""
    """Of a tool that tells it for all pending ones together."""

    @property
    def pending(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.state in ("pending", "unfinished"))
