"""What the rows of other tools mean, and what is wrong with their files: no database is asked."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from psycopg import conninfo

from golive.errors import UsageError
from golive.migrate import drizzle, golang_migrate, prisma
from golive.migrate.files import MigrationFile
from golive.migrate.sql import SqlProblem, parse
from golive.migrate.status import Record, compare
from golive.secret import Secret

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def file(version: int, key: str = "") -> MigrationFile:
    return MigrationFile(version, key or f"{version}_x.up.sql", Path("/m"), f"sum{version}", parse("SELECT 1"), key)


def seen(version: int, whole: bool = True, checksum: str = "") -> Record:
    """A row of golive's own."""
    at = NOW if whole else None
    return Record(version, f"{version}_x.up.sql", checksum or f"sum{version}", at, 1, 1, "", False)


# golang-migrate: one row says it all


@pytest.mark.parametrize(
    ("row", "journal", "applied", "pending", "passed"),
    [
        ((2, False), [], [1, 2], [4], []),  # what golive never saw counts as applied
        ((2, False), [seen(1), seen(2)], [1, 2], [4], []),
        ((4, False), [seen(1), seen(4)], [1, 4], [], [2]),  # 2 came later: the tool never runs it
        ((9, False), [], [1, 2, 4, 9], [], []),  # another release was here
        ((3, False), [seen(1), seen(2), seen(3)], [1, 2, 3], [4], []),  # the file of 3 is gone
        ((4, True), [seen(1), seen(2)], [1, 2], [4], []),
    ],
)
def test_a_version_means_every_file_up_to_it(
    row: tuple[int, bool], journal: list[Record], applied: list[int], pending: list[int], passed: list[int]
) -> None:
    files = [file(1), file(2), file(4)]
    found = compare(files, golang_migrate.reached(*row, files, journal))
    assert sorted(r.version for r in found.applied) == applied
    assert ([f.version for f in found.pending], [f.version for f in found.passed]) == (pending, passed)
    assert (found.blocked is not None, found.drifted) == (row[1], ())


def test_a_dirty_version_goes_on_only_where_golive_left_it() -> None:
    files = [file(1), file(2)]
    own = golang_migrate.reached(2, True, files, [seen(1), seen(2, whole=False)])
    assert own.blocked is None
    unfinished = compare(files, own).unfinished
    assert unfinished and unfinished.version == 2
    other = golang_migrate.reached(2, True, files, [seen(1)]).blocked
    assert other and other.failed and "`migrate force 2` when all of it stands, `migrate force 1`" in other.hint
    first = golang_migrate.reached(1, True, files, []).blocked
    assert first and "an empty schema_migrations when nothing does" in first.hint


def test_what_somebody_forced_is_believed() -> None:
    files = [file(1), file(2)]
    half = seen(2, whole=False, checksum="older text")
    forced_up = golang_migrate.reached(2, False, files, [seen(1), half])
    assert [f.version for f in forced_up.unknown] == [2]
    assert compare(files, forced_up).drifted == ()
    forced_down = compare(files, golang_migrate.reached(1, False, files, [seen(1), half]))
    assert (forced_down.unfinished, [f.version for f in forced_down.pending]) == (None, [2])


def test_up_files_are_read_and_the_rest_is_left_alone(tmp_path: Path) -> None:
    for name in ("010_b.up.sql", "2_a.up.sql", "2_a.down.sql", "3_x.sql", "readme.md"):
        (tmp_path / name).write_text("SELECT 1;")
    assert [f.name for f in golang_migrate.discover(tmp_path)] == ["2_a.up.sql", "010_b.up.sql"]
    (tmp_path / "0002_c.up.sql").write_text("\\connect x")
    (tmp_path / f"{2**63}_c.up.sql").write_text("")
    with pytest.raises(UsageError, match="2 problems") as caught:
        golang_migrate.discover(tmp_path)
    assert "psql's backslash" in caught.value.what and "too large" in caught.value.what


# Drizzle: what is newer than the newest row


def test_drizzle_runs_what_is_newer_than_its_newest_row() -> None:
    files = [file(10, "0000_a"), file(20, "0001_b"), file(30, "0002_c")]
    found = compare(files, drizzle.reached([("sum10", 10), ("sum20", 20)], files, []))
    assert ([r.label for r in found.applied], [f.key for f in found.pending]) == (["0000_a", "0001_b"], ["0002_c"])
    assert (found.label, found.drifted) == ("0001_b", ())
    last_only = compare(files, drizzle.reached([("sum20", 20)], files, []))  # as a baseline is written by hand
    assert ([f.key for f in last_only.passed], [f.key for f in last_only.pending]) == (["0000_a"], ["0002_c"])
    edited = compare(files, drizzle.reached([("other", 10)], files, []))
    assert [r.name for r in edited.drifted] == ["0000_a"]
    ahead = compare(files[:1], drizzle.reached([("sum10", 10), ("ab" * 32, 99)], files[:1], []))
    assert [r.name for r in ahead.missing] == ["the migration of abababababab"]


def test_two_pending_ones_out_of_order_are_not_begun() -> None:
    files = [file(30, "0000_a"), file(20, "0001_b")]
    blocked = drizzle.reached([], files, []).blocked
    assert blocked and "0001_b comes after 0000_a" in blocked.what and not blocked.failed
    assert drizzle.reached([("sum30", 30)], files, []).blocked is None


@pytest.mark.parametrize(
    ("journal", "said"),
    [
        ("{", "is not one"),
        ("[]", "is not one"),
        ('{"entries": [{"tag": "0000_a"}]}', "is not one"),
        ('{"dialect": "mysql", "entries": []}', "are for mysql"),
        ('{"entries": [{"when": 1, "tag": "../../etc/passwd"}]}', "cannot be"),
        ('{"entries": [{"when": 1, "tag": ".."}]}', "cannot be"),
        ('{"entries": [{"when": true, "tag": "0000_a"}]}', "cannot be"),
        ('{"entries": [{"when": 9223372036854775808, "tag": "0000_a"}]}', "cannot be"),
        ('{"entries": [{"when": 1, "tag": "0001_gone"}]}', "0001_gone.sql: No such file"),
        ('{"entries": [{"when": 1, "tag": "0000_a"}, {"when": 1, "tag": "0000_a"}]}', "the same number 1"),
        ("[" * 100_000, "is not one"),
    ],
)
def test_a_journal_that_cannot_be_is_refused(tmp_path: Path, journal: str, said: str) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/_journal.json").write_text(journal)
    (tmp_path / "0000_a.sql").write_text("SELECT 1")
    with pytest.raises(UsageError, match=said):
        drizzle.discover(tmp_path)


def test_breakpoints_end_statements_and_keep_their_lines(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    entry: dict[str, Any] = {"idx": 0, "when": 5, "tag": "0000_a", "breakpoints": True}
    (tmp_path / "meta/_journal.json").write_text(json.dumps({"dialect": "postgresql", "entries": [entry]}))
    raw = b"CREATE TABLE a ()\r\n--> statement-breakpoint\r\nCREATE TABLE b ();--> statement-breakpoint\nSELECT 1\n"
    (tmp_path / "0000_a.sql").write_bytes(raw)
    (found,) = drizzle.discover(tmp_path)
    assert [(s.text, s.line) for s in found.script.statements] == [
        ("CREATE TABLE a ()", 1), ("CREATE TABLE b ()", 3), ("SELECT 1", 4),
    ]  # fmt: skip
    assert (found.version, found.label, found.checksum) == (5, "0000_a", hashlib.sha256(raw).hexdigest())
    assert found.is_of(hashlib.sha256(raw.replace(b"\r\n", b"\n")).hexdigest())
    assert not found.is_of(hashlib.sha256(raw + b" ").hexdigest())


# Prisma: a row for each


def row(name: str, finished: bool = True, logs: str | None = None) -> prisma.Row:
    return prisma.Row("sum", NOW if finished else None, name, logs, NOW)


def test_prismas_rows_are_finished_failed_or_golives_own() -> None:
    name = "20240101000000_init"
    version = prisma.version_of(name)
    whole = prisma.reached([row(name)], [])
    assert [(r.label, r.whole, r.checksum) for r in whole.records] == [(name, True, "sum")]
    failed = prisma.reached([row(name, finished=False, logs="relation exists")], []).blocked
    assert failed and failed.failed and "Prisma wrote: relation exists" in failed.why
    own = prisma.reached([row(name, finished=False, logs=prisma.RUNNING)], [seen(version, whole=False)])
    assert (own.blocked, [r.whole for r in own.records]) == (None, [False])
    # Its own program failed on it again, after somebody rolled golive's row back: nothing is known of that.
    assert prisma.reached([row(name, finished=False, logs="")], [seen(version, whole=False)]).blocked


def test_versions_sort_as_names_do() -> None:
    names = ["0_init", "20240101000000_a", "20240101000001_a", "20240102_short", "20250101000000_b", "later"]
    assert sorted(names, key=prisma.version_of) == sorted(names)
    assert len({prisma.version_of(f"20240101000000_{x}") for x in "abcdefgh"}) == 8


def test_prismas_folder(tmp_path: Path) -> None:
    for name, text in (("2_b", "SELECT 2;"), ("1_a", "SELECT 1;")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "migration.sql").write_text(text)
    first, second = prisma.discover(tmp_path)
    assert (first.name, first.label, second.path) == ("1_a", "1_a", tmp_path / "2_b/migration.sql")
    short = "".join(f"{byte:x}" for byte in hashlib.sha256(b"SELECT 1;").digest())
    assert first.is_of(short)  # as old versions of Prisma wrote it
    (tmp_path / "migration_lock.toml").write_text('# do not edit\nprovider = "mysql"\n')
    with pytest.raises(UsageError, match="provider of these migrations is mysql"):
        prisma.discover(tmp_path)
    (tmp_path / "migration_lock.toml").write_text('provider = "postgresql"\n')
    (tmp_path / "3_empty").mkdir()
    with pytest.raises(UsageError, match=r"3_empty/migration\.sql: No such file"):
        prisma.discover(tmp_path)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("postgresql://u:p%40@h:5/d", '-c search_path="public"'),
        ("postgres://u@h/d?schema=my%20app&connection_limit=5&sslmode=require", '-c search_path="my\\ app"'),
        ("postgresql:///d?host=/run&pgbouncer=true", '-c search_path="public"'),
        ("postgresql://h/d?options=-c%20geqo%3Doff", '-c search_path="public" -c geqo=off'),
    ],
)
def test_prismas_urls_are_made_libpqs(url: str, options: str) -> None:
    before, after = url.partition("?")[0], prisma.address(Secret(url)).reveal()
    parts = conninfo.conninfo_to_dict(after)
    assert after.startswith(f"{before}?") and parts["options"] == options
    assert not set(parts) & {"schema", "connection_limit", "pgbouncer"}


# BEGIN … COMMIT inside a file


def test_blocks_are_numbered_and_their_words_gone() -> None:
    script = parse(
        "SELECT 1; BEGIN; SELECT 2; SELECT 3; COMMIT; VACUUM; START TRANSACTION; SELECT 4; END;", blocks=True
    )
    assert [(s.text, s.block) for s in script.statements] == [
        ("SELECT 1", 0), ("SELECT 2", 1), ("SELECT 3", 1), ("VACUUM", 0), ("SELECT 4", 2),
    ]  # fmt: skip
    assert [len(script.together(at)) for at in (0, 1, 3, 4)] == [1, 2, 1, 1]
    assert not any(s.block for s in parse("BEGIN; SELECT 1; COMMIT;", blocks=True).statements)


@pytest.mark.parametrize(
    ("text", "line"),
    [("BEGIN;\nSELECT 1;", 1), ("SELECT 1;\nCOMMIT;", 2), ("SELECT 1;\nBEGIN;\nVACUUM;\nCOMMIT;", 3), ("ROLLBACK;", 1)],
)
def test_odd_ones_and_what_no_transaction_takes_are_refused(text: str, line: int) -> None:
    with pytest.raises(SqlProblem) as caught:
        parse(text, blocks=True)
    assert caught.value.line == line
