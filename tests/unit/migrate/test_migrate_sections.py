"""A file with contract sections is two migrations."""

from __future__ import annotations

from pathlib import Path

import pytest

from golive.errors import UsageError
from golive.migrate.files import discover
from golive.migrate.lint.check import Script, lint
from golive.migrate.lint.facts import Column, Facts, Table
from golive.migrate.lint.finding import Level
from golive.migrate.lint.gate import of_text
from golive.migrate.lint.running import Code, Release

FILE = """\
ALTER TABLE users ADD COLUMN handle text;
-- golive: contract
ALTER TABLE users DROP COLUMN nick;
-- golive: end
UPDATE users SET handle = 'x' WHERE id = 1;
"""
TABLE = Table("public.users", 10, 8192, (Column("id", "bigint"), Column("nick", "text")))
FACTS = Facts({"public.users": TABLE})
READS = Release(3, Code(lambda: [("app.py", b"row.nick")]))


def found(tmp_path: Path, text: str) -> list[tuple[int, str, list[str]]]:
    (tmp_path / "007_x.sql").write_text(text)
    return [(f.version, f.name, [s.text for s in f.script.statements]) for f in discover(tmp_path)]


def test_what_is_in_the_sections_comes_after_the_rest(tmp_path: Path) -> None:
    (tmp_path / "008_y.sql").write_text("SELECT 1;")
    assert found(tmp_path, FILE) == [
        (7, "007_x.sql",
         ["ALTER TABLE users ADD COLUMN handle text", "UPDATE users SET handle = 'x' WHERE id = 1"]),
        (-8, "007_x.sql (contract)", ["ALTER TABLE users DROP COLUMN nick"]),
        (8, "008_y.sql", ["SELECT 1"]),
    ]  # fmt: skip
    assert [f.script.statements[0].line for f in discover(tmp_path)] == [1, 3, 1]


def test_a_section_goes_on_to_the_end_of_the_file_and_may_be_the_first(tmp_path: Path) -> None:
    text = "SELECT 1;\n-- golive: contract\nSELECT 2;\n\nSELECT 3;"
    assert [part[2] for part in found(tmp_path, text)] == [["SELECT 1"], ["SELECT 2", "SELECT 3"]]
    text = "-- golive: contract\nSELECT 1;\n-- golive: end\nSELECT 2;"
    assert [part[2] for part in found(tmp_path, text)] == [["SELECT 2"], ["SELECT 1"]]


@pytest.mark.parametrize(
    "text",
    [
        "-- golive: contract\nSELECT 1;",
        "-- golive: contract\nSELECT 1;\n-- golive: end\n",
        "SELECT 1;\n-- golive: contract\n-- nothing\n",
    ],
)
def test_other_files_are_whole(tmp_path: Path, text: str) -> None:
    assert [part[:2] for part in found(tmp_path, text)] == [(7, "007_x.sql")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT 1;\n-- golive: end\n", "007_x.sql:2: `-- golive: end` ends no contract section"),
        ("SELECT 1;\n-- golive: contract\nSELECT 2;\n-- golive: contract\nSELECT 3;", "of line 2 has not ended yet"),
        ("SELECT\n-- golive: contract\n 1;\nSELECT 2;", "`-- golive: contract` stands inside a statement"),
    ],
)
def test_marks_that_cannot_be_followed(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        found(tmp_path, text)
    assert said in caught.value.what


def test_the_rest_stays_what_it_was_when_its_section_changes(tmp_path: Path) -> None:
    found(tmp_path, FILE)
    rest, contract = discover(tmp_path)
    found(tmp_path, FILE.replace("DROP COLUMN nick", "DROP COLUMN age"))
    assert discover(tmp_path)[0].is_of(rest.checksum) and not discover(tmp_path)[1].is_of(contract.checksum)
    found(tmp_path, FILE.replace("handle text", "handle int"))
    assert not discover(tmp_path)[0].is_of(rest.checksum) and discover(tmp_path)[1].is_of(contract.checksum)


def test_only_the_section_waits() -> None:
    verdict = lint(of_text("007_x.sql", FILE), FACTS, (READS,))
    assert (verdict.stops, [one.file for one in verdict.held]) == ((), ["007_x.sql (contract)"])
    knew = Release(3, READS.code, carried=frozenset(["007_x.sql (contract)"]))
    assert lint(of_text("007_x.sql", FILE), FACTS, (knew,)).held == ()


def test_it_does_not_make_the_rest_harmless() -> None:
    text = FILE.replace("ADD COLUMN handle text", "DROP COLUMN nick")
    (stop,) = lint(of_text("007_x.sql", text), FACTS, (READS,)).stops
    assert (stop.rule, stop.line, stop.script) == ("drop-column", 1, "007_x.sql")


def test_an_allow_in_the_section_is_for_the_section() -> None:
    allow = "-- golive: allow drop-column because nobody reads it\nALTER TABLE users DROP"
    text = FILE.replace("ALTER TABLE users DROP", allow)
    text = text.replace("UPDATE users SET handle = 'x' WHERE id = 1", "ALTER TABLE users DROP COLUMN id")
    reads = Release(3, Code(lambda: [("app.py", b"row.nick row.id")]))
    verdict = lint(of_text("007_x.sql", text), FACTS, (reads,))
    assert [(found.line, found.level) for found in verdict.findings if found.rule == "drop-column"] == [
        (6, Level.STOP), (4, Level.NOTE),
    ]  # fmt: skip


@pytest.mark.parametrize("text", [FILE, "-- golive: contract\nSELECT 1;\n-- golive: end\nSELECT 2;"])
def test_another_tool_refuses_sections(text: str) -> None:
    scripts: list[Script] = of_text("migration.sql", text, whole=True)
    assert len(scripts) == 1
    stops = [stop for stop in lint(scripts, FACTS, ()).stops if stop.rule == "contract-mark"]
    assert "only in plain SQL files" in stops[0].why
