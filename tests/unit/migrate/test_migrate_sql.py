"""The scanner: statements as PostgreSQL sees them."""

from __future__ import annotations

import random

import pytest

from golive.migrate.sql import SqlProblem, parse, split

PARTS = [
    "SELECT 1",
    "SELECT ';' || 'it''s; -- no comment'",
    r"SELECT E'a\';b', e'\\', E'x' " + "\n  'y\\';z'",
    'SELECT 1 AS "odd;""name"',
    "SELECT /* one ; /* nested ; */ still ; */ 2",
    "SELECT 3 -- trailing ; comment\n + 4",
    "DO $$ BEGIN PERFORM 1; PERFORM 2; END $$",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $body$ SELECT ';'::int; $$ ; $body$",
    "CREATE OR REPLACE FUNCTION g() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END",
    "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b)",
    "SELECT a$b$c, U&'d\\0061;t', B'1', N'x;', $1",
    "INSERT INTO begin VALUES ('end')",
    "SELECT 'Zürich; 日本'",
]


def test_random_files_come_apart_as_they_were_put_together() -> None:
    choose = random.Random(7)
    gaps = [";", ";\n", " ; -- a ; comment\n", ";;\n;", "\n;\n/* ; */\n"]
    for _ in range(500):
        wanted = [choose.choice(PARTS) for _ in range(choose.randint(1, 8))]
        text = "-- first ; line\n"
        for part in wanted:
            text += "\n" * choose.randint(0, 3) + part + choose.choice(gaps)
        found = split(text)
        assert [s.text for s in found] == wanted
        for statement in found:
            assert statement.text.split("\n")[0] in text.split("\n")[statement.line - 1]


def test_random_noise_is_refused_or_split_into_statements_that_stand_alone() -> None:
    choose = random.Random(11)
    alphabet = ["'", '"', "$$", "$a$", ";", "--", "/*", "*/", "\n", " ", "E'", "\\", "BEGIN", "(", ")", "x", "é"]
    refused = 0
    for _ in range(4000):
        text = "".join(choose.choice(alphabet) for _ in range(choose.randint(0, 25)))
        try:
            found = split(text)
        except SqlProblem as problem:
            refused += 1
            assert 1 <= problem.line <= text.count("\n") + 1
            continue
        texts = [statement.text for statement in found]
        assert [statement.text for statement in split(" ;\n".join(texts))] == texts
    assert 500 < refused < 3900


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("SELECT 1;\nSELECT 'open", 2, "never closed"),
        ('SELECT "open', 1, "never closed"),
        ("SELECT E'a\\'", 1, "never closed"),
        ("\n\nDO $x$ BEGIN $$ $y$", 3, "$x$ is never closed"),
        ("SELECT 1; /* /* */", 1, "comment"),
        ("\\connect other", 1, "backslash"),
        ("CREATE TABLE a();\nCOMMIT;\nCREATE TABLE b();", 2, "COMMIT inside"),
        ("BEGIN;\nSELECT 1;", 1, "BEGIN inside"),
        ("COPY t FROM STDIN;\n", 1, "STDIN"),
        ("CREATE UNIQUE INDEX CONCURRENTLY ON t (a)", 1, "needs a name"),
        ("-- +goose Up\nCREATE TABLE a();\n-- +goose Down\nDROP TABLE a;", 1, "another tool"),
        ("CREATE TABLE a();\n-- migrate:down\nDROP TABLE a;", 2, "another tool"),
    ],
)
def test_what_cannot_run_is_refused_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(SqlProblem, match=says.replace("$", r"\$")) as caught:
        parse(text)
    assert caught.value.line == line


def test_a_transaction_around_everything_gives_way_to_ours() -> None:
    script = parse("begin;\nCREATE TABLE a();\nCREATE TABLE b();\nCOMMIT WORK;")
    assert [s.text for s in script.statements] == ["CREATE TABLE a()", "CREATE TABLE b()"]
    assert script.transactional


def test_savepoints_are_the_files_own() -> None:
    assert len(parse("SAVEPOINT a; ROLLBACK TO a; ROLLBACK WORK TO SAVEPOINT a; RELEASE a").statements) == 4


@pytest.mark.parametrize(
    "text",
    [
        "create index concurrently i on t (a)",
        "CREATE UNIQUE INDEX /* now */ CONCURRENTLY IF NOT EXISTS i ON t (a)",
        "DROP INDEX CONCURRENTLY IF EXISTS i",
        "REINDEX INDEX CONCURRENTLY i",
        "REINDEX (VERBOSE, CONCURRENTLY) TABLE t",
        "REINDEX DATABASE d",
        "VACUUM (ANALYZE) t",
        "ALTER SYSTEM SET work_mem = '8MB'",
        "CREATE DATABASE d",
        "ALTER DATABASE d SET TABLESPACE s",
        "ALTER TABLE ONLY s.t DETACH PARTITION p CONCURRENTLY",
        "CREATE SUBSCRIPTION s CONNECTION 'c' PUBLICATION p",
        "CLUSTER",
        "ALTER TYPE m ADD VALUE 'new'; INSERT INTO t VALUES ('new')",
        "-- golive: no-transaction\nCALL long_job()",
    ],
)
def test_statements_that_no_transaction_takes(text: str) -> None:
    assert not parse(text).transactional


@pytest.mark.parametrize(
    "text",
    [
        "CREATE INDEX i ON t (a)",
        "CREATE TABLE vacuum_log (concurrently text)",
        "COMMENT ON TABLE t IS 'CREATE INDEX CONCURRENTLY'",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
        "ALTER TYPE m ADD VALUE IF NOT EXISTS 'new' AFTER 'old'; INSERT INTO t VALUES ('old')",
        "CLUSTER t USING i",
        "REINDEX TABLE t",
        "-- only a comment",
    ],
)
def test_statements_that_a_transaction_takes(text: str) -> None:
    assert parse(text).transactional


def test_the_line_of_an_error_is_counted_from_the_file() -> None:
    statement = parse("-- a\n\nCREATE TABLE t (\n  a int,\n  b itn\n);").statements[0]
    assert statement.line == 3
    assert statement.line_at(statement.text.index("itn") + 1) == 5


def test_a_large_file_is_read_in_time_proportional_to_it() -> None:
    rows = "INSERT INTO t VALUES (1, 'some text; and more', $$body$$);\n" * 5_000
    assert len(split(rows)) == 5_000
