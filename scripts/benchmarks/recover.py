"""A lost machine with two examples made again on an empty home: a table of tests/e2e/test_recover_examples.py."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.result import Bar, Result, Table
from golive.units import human_size

ROOT = Path(__file__).parents[2]
FILE = "tests/e2e/test_recover_examples.py"
PLACES = {"folder": "a folder", "s3": "S3 (SeaweedFS)"}


def run() -> Result:
    result = Result("recover")
    with tempfile.NamedTemporaryFile(prefix="golive-recover-") as file:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "nightly", FILE]
        environment = {**os.environ, "GOLIVE_E2E_TIMES": file.name}
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=sys.stderr, check=False)
        notes = [json.loads(line) for line in Path(file.name).read_text().splitlines()]
    found = {match[1]: note for note in notes if (match := re.search(r"\[(.+)\]", note["test"]))}
    result.tables.append(_table(found))
    for place, words in PLACES.items():
        note: dict[str, Any] = found.get(place, {})
        limit = float(note.get("objective", 0))
        result.bars.append(Bar(f"from {words}, until both serve", note.get("seconds", float("inf")), limit, unit=" s"))
    result.bars.append(Bar("exit code of the tests", done.returncode, 0))
    result.details["places"] = found
    return result


def _table(found: dict[str, dict[str, Any]]) -> Table:
    columns = ("from", "backups and bundle", "serving after, s", "objective, s", "apps with their data")
    table = Table("a lost machine made again", columns)
    for place, words in PLACES.items():
        note = found.get(place, {})
        size = human_size(note["bytes"]) if "bytes" in note else "—"
        seconds, objective = (f"{note[key]:.1f}" if key in note else "—" for key in ("seconds", "objective"))
        table.rows.append((words, size, seconds, objective, f"{note.get('serving', 0)} of 2"))
    table.note = "Threadr and Datifyy, with what was written a few seconds before. Envoy was there."
    return table
