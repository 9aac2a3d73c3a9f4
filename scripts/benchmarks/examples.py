"""The examples from a checkout to changed under load, in a browser: a table of tests/e2e/test_examples.py."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import require
from benchmarks.result import Bar, Result, Table

ROOT = Path(__file__).parents[2]
FILE = "tests/e2e/test_examples.py"
TEST = f"{FILE}::test_an_example_from_checkout_to_changed_under_load"
CLONE = "test_a_fresh_clone_does_all_of_its_own_set_up"
NAMES = ("threadr", "datifyy", "rt-apps", "akashic", "darasa")


def run(only: tuple[str, ...] = ()) -> Result:
    require("chromium", "certutil")
    result = Result("examples")
    names = only or NAMES
    with tempfile.NamedTemporaryFile(prefix="golive-examples-") as file:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "nightly or not nightly"]
        done = subprocess.run(
            [*command, *([] if only else [f"{FILE}::{CLONE}"]), *(f"{TEST}[{name}]" for name in names)],
            cwd=ROOT,
            env={**os.environ, "GOLIVE_E2E_COLD": "1", "GOLIVE_E2E_TIMES": file.name},
            stdout=sys.stderr,
            check=False,
        )
        notes = [json.loads(line) for line in Path(file.name).read_text().splitlines()]
    found = {match[1]: note for note in notes if (match := re.search(r"\[(.+)\]", note["test"]))}
    table = _table(names, found)
    clone: dict[str, Any] = next((note for note in notes if note["test"] == CLONE), {})
    if "first up" in clone:
        table.note += f" From `git clone` to threadr live, set-up included: {clone['first up']:.0f} s."
    result.tables.append(table)
    working = [name for name in names if found.get(name, {}).get("browser") == "ok"]
    result.bars += [
        Bar("examples that work in a browser, before and after", len(working), len(names), at_least=True),
        Bar("failed requests", sum(note.get("failed", 0) for note in found.values()), 0),
        Bar("exit code of the tests", done.returncode, 0),
    ]
    result.details["examples"] = found
    return result


def _table(names: tuple[str, ...], found: dict[str, dict[str, Any]]) -> Table:
    columns = (
        "example",
        "first up, s",
        "nothing changed, s",
        "each service changed, s",
        "browser",
        "requests",
        "failed",
    )
    table = Table("examples", columns)
    for name in names:
        note = found.get(name, {})
        changed = [
            f"{key.removesuffix(' changed')} {note[key]:.1f}"
            for key in note
            if key.endswith(" changed") and key != "nothing changed"
        ]
        first, nothing = (f"{note[key]:.1f}" if key in note else "—" for key in ("first up", "nothing changed"))
        counts = (str(note.get(key, "—")) for key in ("browser", "requests", "failed"))
        table.rows.append((name, first, nothing, ", ".join(changed) or "—", *counts))
    table.note = "First up: with empty caches of packages; Envoy, PostgreSQL and Redis were there."
    return table
