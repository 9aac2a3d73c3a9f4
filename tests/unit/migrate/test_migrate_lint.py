"""The linter against its corpus, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from migrate_corpus import FACTS, Case, cases, script

from golive.errors import MigrationFailed
from golive.migrate.lint import text
from golive.migrate.lint.check import lint
from golive.migrate.lint.finding import Finding, Level
from golive.migrate.lint.gate import revisions
from golive.migrate.lint.rules import RULES
from golive.migrate.lint.running import Code, Release

DANGEROUS, HARMLESS = cases("dangerous"), cases("harmless")


def test_the_corpus_is_large_enough() -> None:
    assert len(DANGEROUS) >= 40
    assert len(HARMLESS) >= 40


@pytest.mark.parametrize("case", DANGEROUS, ids=lambda case: case.name)
def test_a_dangerous_migration_is_stopped_or_held(case: Case) -> None:
    verdict = lint(case.scripts, case.facts, case.running)
    caught = [found for found in verdict.findings if found.level in (Level.STOP, Level.HELD)]
    assert case.rule in [found.rule for found in caught]
    for found in caught:
        assert found.rule in RULES
        assert found.what
        assert found.why
        assert found.safe
        assert found.line >= 1


@pytest.mark.parametrize("case", HARMLESS, ids=lambda case: case.name)
def test_a_harmless_migration_is_let_through(case: Case) -> None:
    verdict = lint(case.scripts, case.facts, case.running)
    assert [found for found in verdict.findings if found.level in (Level.STOP, Level.HELD)] == []
    assert verdict.held == ()


def findings(sql: str, *, on: str = "shop") -> list[Finding]:
    case = Case("", {"1_a.sql": sql}, on)
    return list(lint(case.scripts, case.facts, case.running).findings)


def test_each_finding_says_where_what_why_and_what_instead() -> None:
    (found,) = findings("\n\nALTER TABLE users\n  DROP COLUMN nick;")
    assert (found.file, found.line, found.rule) == ("1_a.sql", 3, "drop-column")
    assert found.statement == "ALTER TABLE users DROP COLUMN nick"
    assert found.why == "Named by release 3, which is live."
    assert found.evidence == ("release 3: app.py:5",)
    assert "-- golive: contract\nALTER TABLE users DROP COLUMN nick;" in found.safe


def test_the_safe_form_is_harmless() -> None:
    for sql in (
        "CREATE INDEX users_team ON users (team_id);",
        "ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users (id);",
        "ALTER TABLE users ADD CONSTRAINT users_nick_key UNIQUE (nick);",
        "ALTER TABLE orders ALTER COLUMN note SET NOT NULL;",
    ):
        stops = [found for found in findings(sql) if found.level is Level.STOP]
        assert stops
        for found in stops:
            parts = [part.strip() for part in found.safe.split("-- in the next file\n")]
            scripts = [script(f"{n}.sql", part) for n, part in enumerate(parts)]
            assert lint(scripts, FACTS, Case("", {}).running).stops == (), found.safe


def test_the_size_decides_between_a_note_a_warning_and_a_stop() -> None:
    levels = {table: findings(f"CREATE INDEX ON {table} (id);") for table in ("settings", "audit", "users")}
    assert {name: found[0].level for name, found in levels.items()} == {
        "settings": Level.NOTE,
        "audit": Level.WARNING,
        "users": Level.STOP,
    }
    assert "5,000,000 rows" in levels["users"][0].what


def test_a_held_file_does_not_hold_up_those_after_it_nor_count_as_run() -> None:
    scripts = [
        script("1.contract.sql", "ALTER TABLE users DROP COLUMN nick; CREATE INDEX ON users (age);"),
        script("2.sql", "ALTER TABLE users ADD COLUMN handle text;"),
    ]
    verdict = lint(scripts, FACTS, Case("", {}).running)
    assert verdict.stops == ()
    assert [held.file for held in verdict.held] == ["1.contract.sql"]
    assert "release 3, which is live" in verdict.held[0].reason
    assert [found.rule for found in lint(scripts, FACTS, Case("", {}).running, ordered=True).stops] == [
        "contract-order"
    ]


def test_every_release_that_runs_counts() -> None:
    old = Release(2, Code(lambda: [("a.js", b"user.nick")]), until="until 12:30")
    new = Release(3, Code(lambda: [("a.js", b"user.name")]))
    (found,) = lint([script("1.sql", "ALTER TABLE users DROP COLUMN nick;")], FACTS, (new, old)).findings
    assert found.level is Level.STOP
    assert found.why == "Named by release 2, kept warm until 12:30."


@pytest.mark.parametrize(
    ("code", "named"),
    [
        (b"SELECT nickname FROM users", False),
        (b"  # nick is gone", False),
        (b"x = row['NICK']", True),
        (b"SELECT u.* FROM public.users u; select * from users", True),
        (b"\x7fELF\0\0SELECT nickFROM", True),
        (b"\x7fELF\0\0SELECT id", False),
    ],
)
def test_a_column_is_found_as_a_whole_word_but_in_compiled_programs(code: bytes, named: bool) -> None:
    assert bool(Code(lambda: [("file", code)]).column("nick", "users")) is named


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ("shop_order", b"class Order(Model)"),
        ("categories", b"model Category {"),
        ("user_profiles", b"type UserProfile struct"),
    ],
)
def test_a_table_is_found_by_its_model(table: str, code: bytes) -> None:
    assert Code(lambda: [("file", code)]).table(table)


def test_code_that_takes_names_from_the_database_proves_nothing() -> None:
    assert not Code(lambda: [("a.py", b"Base = automap_base()")]).certain
    assert not Code(list).certain
    assert not Code(lambda: [("a.py", b"x")], whole=False).certain
    assert Code(lambda: [("a.py", b"x")]).certain


def test_an_acceptance_needs_a_rule_and_a_reason() -> None:
    (found, *_) = findings("-- golive: allow drop-colum because old\nALTER TABLE settings DROP COLUMN old_value;")
    assert (found.level, found.rule, found.why) == (Level.STOP, "allow-comment", "Did you mean drop-column?")
    (found,) = findings("-- golive: allow drop-column because the report is gone\nALTER TABLE users DROP COLUMN nick;")
    assert (found.level, found.accepted) == (Level.NOTE, "the report is gone")


def test_an_acceptance_is_for_one_statement_unless_it_stands_apart() -> None:
    near = "-- golive: allow index-blocks-writes because night\nCREATE INDEX ON users (age);\n"
    near += "CREATE INDEX ON users (nick);"
    assert [found.level for found in findings(near)] == [Level.NOTE, Level.STOP]
    apart = near.replace("night\n", "night\n\n")
    assert [found.level for found in findings(apart)] == [Level.NOTE, Level.NOTE]


def test_what_the_parser_does_not_take_is_said() -> None:
    (found,) = findings("ALTER TABLE users FROBNICATE COLUMN nick;")
    assert (found.level, found.rule) == (Level.WARNING, "unreadable")


def test_revisions_of_alembic_and_django_are_told_apart() -> None:
    alembic = """BEGIN;

-- Running upgrade  -> aaa

CREATE TABLE a (id int);
UPDATE alembic_version SET version_num='aaa' WHERE alembic_version.version_num = 'x';

-- Running upgrade aaa -> bbb
COMMIT;
CREATE INDEX CONCURRENTLY a_id ON a (id);
BEGIN;
UPDATE alembic_version SET version_num='bbb' WHERE alembic_version.version_num = 'aaa';

COMMIT;
"""
    first, second = revisions(alembic, Path("nowhere"), "backend")
    assert (first.name, second.name) == ("aaa", "bbb")
    assert lint([first, second], FACTS, Case("", {}).running).stops == ()
    inside = alembic.replace("COMMIT;\nCREATE INDEX C", "CREATE INDEX C")
    assert [f.rule for f in lint(revisions(inside, Path("nowhere"), "b"), FACTS).stops] == [
        "concurrently-in-transaction"
    ]
    django = '-- shop.0002_order\nBEGIN;\nALTER TABLE "users" DROP COLUMN "nick" CASCADE;\nCOMMIT;'
    (only,) = revisions(django, Path("nowhere"), "backend")
    (stop,) = lint([only], FACTS, Case("", {}).running).stops
    assert (stop.rule, stop.file) == ("drop-column", "backend: shop.0002_order")


def test_the_error_lists_everything_at_once() -> None:
    sql = "ALTER TABLE users DROP COLUMN nick;\nALTER TABLE orders RENAME TO purchases;"
    with pytest.raises(MigrationFailed) as caught:
        text.refuse(lint([script("1_a.sql", sql)], FACTS, Case("", {}).running))
    error = caught.value
    assert error.what == "the pending migrations are dangerous to what runs: 2 findings"
    assert error.where == "1_a.sql:1"
    assert "1_a.sql:1  drop-column" in (error.why or "") and "1_a.sql:2  rename-table" in (error.why or "")
    assert (error.hint or "").startswith("Nothing was changed")
