"""Another linter as the witness: what squawk calls dangerous to a table in use, golive must not pass over."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from golive.migrate.lint.check import lint
from golive.migrate.lint.facts import UNKNOWN
from golive.migrate.lint.finding import Level
from golive.migrate.lint.gate import of_text
from golive.migrate.lint.running import SOMEBODY

DANGERS = {
    "adding-field-with-default", "adding-required-field", "adding-serial-primary-key-field",
    "adding-not-nullable-field", "adding-foreign-key-constraint", "ban-drop-column", "ban-drop-database",
    "ban-drop-table", "changing-column-type",
    "constraint-missing-not-valid", "disallowed-unique-constraint", "renaming-column", "renaming-table",
    "require-concurrent-index-creation", "require-concurrent-index-deletion", "ban-truncate-cascade",
}  # fmt: skip
MORE = """
ALTER TABLE t ADD COLUMN a serial PRIMARY KEY;
ALTER TABLE t ADD COLUMN b int DEFAULT random();
ALTER TABLE t ADD COLUMN c text NOT NULL;
ALTER TABLE t ADD FOREIGN KEY (d) REFERENCES u (id);
ALTER TABLE t ALTER e TYPE bigint;
ALTER TABLE t ADD CONSTRAINT f CHECK (g > 0);
ALTER TABLE t ADD UNIQUE (h);
ALTER TABLE t RENAME i TO j;
ALTER TABLE t RENAME TO k;
TRUNCATE TABLE t CASCADE;
DROP INDEX l;
DROP DATABASE m;
DROP TABLE n;
ALTER TABLE t DROP COLUMN o;
CREATE INDEX p ON t (q);
ALTER TABLE t ALTER COLUMN r SET NOT NULL;
"""


def test_nothing_that_squawk_stops_is_passed_over(tmp_path: Path) -> None:
    corpus = Path(__file__).parents[2] / "unit" / "migrate"
    sys.path.insert(0, str(corpus))
    try:
        from migrate_corpus import cases
    finally:
        sys.path.remove(str(corpus))
    texts = {f"more{n}.sql": line for n, line in enumerate(MORE.strip().splitlines())}
    for number, case in enumerate(cases("dangerous")):  # of the harmless ones squawk stops several
        texts |= {f"corpus{number}_{n}.sql": text for n, text in enumerate(case.files.values())}
    found = _squawk(tmp_path, texts)
    assert len(found) > 40  # it was asked
    missed = []
    for name, rules in found.items():
        levels = {each.level for each in lint(of_text(name, texts[name]), UNKNOWN, (SOMEBODY,)).findings}
        accepted = "golive: allow" in texts[name]
        if not accepted and not levels & {Level.STOP, Level.HELD, Level.WARNING}:
            missed.append((texts[name], sorted(rules)))
    assert [text for text, _ in missed] == []


def _squawk(folder: Path, texts: dict[str, str]) -> dict[str, set[str]]:
    """Which of its rules of danger each text breaks."""
    for name, text in texts.items():
        (folder / name).write_text(text)
    program = shutil.which("squawk", path=str(Path(sys.executable).parent))
    assert program, "scripts/setup installs squawk-cli"
    argv = [program, "--reporter", "json", "--no-error-on-unmatched-pattern", *sorted(texts)]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    found: dict[str, set[str]] = {}
    for each in json.loads(done.stdout):
        if each["rule_name"] in DANGERS:
            found.setdefault(each["file"], set()).add(each["rule_name"])
    return found
