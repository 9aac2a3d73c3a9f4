"""Where a database stands against a folder of migrations: plain values, and the comparison of the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from golive.migrate.files import MigrationFile, checksum_of


@dataclass(frozen=True)
class Record:
    """A row of `golive_migrations`. `applied_at` is None while a file that runs outside a transaction is unfinished.

    Of an unfinished file the first `done` statements stand, whose text has the checksum `done_checksum`; `attempting`
    says that the next one was begun and nobody wrote down how it ended.
    """

    version: int
    name: str
    checksum: str
    applied_at: datetime | None
    release: int | None
    done: int
    done_checksum: str
    attempting: bool


@dataclass(frozen=True)
class MigrationStatus:
    """`late` are pending ones with a lower number than one that was applied: they run, in order, and it is said."""

    applied: tuple[Record, ...]
    pending: tuple[MigrationFile, ...]
    drifted: tuple[Record, ...]
    missing: tuple[Record, ...]
    unfinished: Record | None

    @property
    def version(self) -> int | None:
        """The highest number that was applied whole."""
        return max((record.version for record in self.applied), default=None)

    @property
    def late(self) -> tuple[MigrationFile, ...]:
        return tuple(file for file in self.pending if self.version is not None and file.version < self.version)


@dataclass(frozen=True)
class MigrationEvent:
    """Something to show while migrations run."""

    kind: Literal["waiting", "started", "applied", "retrying", "mended", "notice", "late", "ahead"]
    text: str
    version: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Applied:
    """What a run changed. Versions are numbers as text, or Alembic's revisions; None before the first."""

    version_before: str | None
    version_after: str | None
    files: tuple[str, ...]
    seconds: float


def compare(files: Sequence[MigrationFile], history: Sequence[Record]) -> MigrationStatus:
    """Pure. A row whose file changed has drifted, one without a file is missing (a newer release made it)."""
    by_version = {file.version: file for file in files}
    whole = tuple(record for record in history if record.applied_at is not None)
    applied = {record.version for record in whole}
    unfinished = next((record for record in history if record.applied_at is None), None)
    return MigrationStatus(
        applied=whole,
        pending=tuple(file for file in files if file.version not in applied),
        drifted=tuple(r for r in history if r.version in by_version and _drifted(r, by_version[r.version])),
        missing=tuple(record for record in history if record.version not in by_version),
        unfinished=unfinished,
    )


def _drifted(record: Record, file: MigrationFile) -> bool:
    """An unfinished file may be corrected, but not in the statements that have run."""
    if record.applied_at is not None:
        return record.checksum != file.checksum
    statements = [statement.text for statement in file.script.statements[: record.done]]
    return record.done_checksum != checksum_of(statements)
