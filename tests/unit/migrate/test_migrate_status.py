from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from golive.errors import MigrationFailed
from golive.migrate import failure
from golive.migrate.files import MigrationFile, checksum, checksum_of
from golive.migrate.run import refuse
from golive.migrate.sql import parse
from golive.migrate.status import Record, compare

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def file(version: int, text: str = "SELECT 1") -> MigrationFile:
    name = f"{version:03}_x.sql"
    return MigrationFile(version, name, Path("/app/migrations") / name, checksum(text), parse(text))


def record(of: MigrationFile, done: int | None = None) -> Record:
    """Applied whole, or the first `done` statements of it."""
    texts = [s.text for s in of.script.statements[:done]]
    at = NOW if done is None else None
    return Record(of.version, of.name, of.checksum, at, 1, len(texts), checksum_of(texts), done is not None)


def test_an_empty_database_has_everything_before_it() -> None:
    found = compare([file(1), file(2)], [])
    assert ([f.version for f in found.pending], found.version, found.late) == ([1, 2], None, ())


def test_late_missing_and_drifted_are_told_apart() -> None:
    found = compare([file(1), file(2), file(3, "SELECT 3")], [record(file(1)), record(file(3)), record(file(9))])
    assert [f.version for f in found.pending] == [2]
    assert [f.version for f in found.late] == [2]
    assert [r.version for r in found.drifted] == [3]
    assert [r.version for r in found.missing] == [9]
    with pytest.raises(MigrationFailed, match=r"003_x.sql \(applied 2026-11-20 12:00\)"):
        refuse(found)


def test_an_unfinished_file_may_be_corrected_where_it_has_not_run() -> None:
    old = file(1, "CREATE TABLE a(); VACUUM; SELECT bad")
    row = record(old, done=2)
    assert compare([file(1, "CREATE TABLE a(); VACUUM; SELECT good")], [row]).drifted == ()
    assert compare([file(1, "CREATE TABLE b(); VACUUM; SELECT bad")], [row]).drifted == (row,)
    assert compare([file(1, "CREATE TABLE a()")], [row]).drifted == (row,)


def test_an_unfinished_file_that_is_gone_is_asked_for() -> None:
    row = record(file(1, "VACUUM; VACUUM"), done=1)
    with pytest.raises(MigrationFailed, match="half applied and its file is gone"):
        refuse(compare([], [row]))


def test_what_stands_is_said_exactly() -> None:
    whole, parts = file(2, "SELECT 1; SELECT 2"), file(3, "SELECT 1; VACUUM; VACUUM")
    assert failure.stands(whole, 1, []) == "Nothing of 002_x.sql stands: it ran in one transaction."
    assert failure.stands(parts, 0, [whole]).endswith("Nothing of 003_x.sql stands.")
    assert "Applied just now and standing: 002_x.sql." in failure.stands(parts, 2, [whole])
    assert failure.stands(parts, 1, []).endswith("its first statement stands.")
    assert failure.stands(parts, 2, []).endswith("its first 2 statements stand.")


def test_a_lost_connection_claims_nothing_it_cannot_know() -> None:
    whole, parts = file(2, "SELECT 1; SELECT 2"), file(3, "SELECT 1; VACUUM")
    assert "Nothing of 002_x.sql stands" in str(failure.lost(whole, 1, []).hint)
    assert "stands as a whole or not at all" in str(failure.lost(whole, 2, []).hint)
    assert "Statement 2 may." in str(failure.lost(parts, 1, []).hint)


def test_an_error_without_a_file_to_show_is_still_told() -> None:
    error = failure.failed(replace(file(1), path=Path("/gone/001_x.sql")), 0, psycopg.DataError("bad data"), [])
    assert (error.where, error.why, error.log) == ("/gone/001_x.sql:1", "bad data", "")
    assert "The old release keeps serving." in str(error.hint)
