"""Planted faults, and how many of them `golive check` finds: tests/faults, counted by family."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from benchmarks.examples import NAMES
from benchmarks.machine import require
from benchmarks.result import Bar, Result, Table
from golive.checks import catalog

ROOT = Path(__file__).resolve().parents[2]
PLANTED = 120
"""Faults that there have to be, and in each family three."""
WHOLE = ("test_a_good", "test_nginx", "test_caddy", "test_a_bare_uvicorn")
"""Deployments without a fault, and those of others."""


def run() -> Result:
    """Runs the tests of faults once; what could not run (a program that is missing) counts as not found."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "faults.xml"
        argv = [sys.executable, "-m", "pytest", "tests/faults", "-q", "--junit-xml", str(report)]
        subprocess.run(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        cases = list(ET.parse(report).iter("testcase"))
    families = {check.id: check.family for check in catalog.checks(app=True)}
    planted: dict[str, list[bool]] = {family.name: [] for family in catalog.families()}
    whole: list[bool] = []
    for case in cases:
        name = case.get("name", "")
        good = not len(case.findall("failure") + case.findall("error") + case.findall("skipped"))
        found = re.match(r"test_a_(?:fault|wrong_certificate)_is_found\w*\[([a-z0-9-]+)", name)
        id = next((id for id in families if found and found[1].startswith(id)), None)
        if id is not None:
            planted[families[id]].append(good)
        elif name.startswith(WHOLE):
            whole.append(good)
    table = Table("planted faults", ("family", "checks", "planted", "found"))
    for family in catalog.families():
        results = planted[family.name]
        table.rows.append((family.name, str(len(family.checks)), str(len(results)), str(sum(results))))
    every = [good for results in planted.values() for good in results]
    table.rows.append(("all", str(len(families)), str(len(every)), str(sum(every))))
    table.note = f"{sum(whole)} of {len(whole)} deployments without a planted fault, and of others, were judged rightly"
    bars = [
        Bar("faults planted", len(every), PLANTED, at_least=True),
        Bar("fewest in a family", min(map(len, planted.values())), 3, at_least=True),
        Bar("faults not found", len(every) - sum(every), 0),
        Bar("good deployments with a false alarm", len(whole) - sum(whole), 0),
    ]
    return Result("check", [table], bars)


EXAMPLES = "tests/e2e/test_examples.py::test_an_example_passes_the_checklist"


def run_examples(only: tuple[str, ...]) -> Result:
    """Each of the examples as it is after its first `golive up`, the report read in a browser."""
    require("chromium", "certutil")
    names = only or NAMES
    with tempfile.NamedTemporaryFile(prefix="golive-checked-") as file:
        argv = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", "nightly"]
        done = subprocess.run(
            [*argv, *(f"{EXAMPLES}[{name}]" for name in names)],
            cwd=ROOT,
            env={**os.environ, "GOLIVE_E2E_TIMES": file.name},
            stdout=sys.stderr,
            check=False,
        )
        notes = [json.loads(line) for line in Path(file.name).read_text().splitlines()]
    found = {match[1]: note for note in notes if (match := re.search(r"\[(.+)\]", note["test"]))}
    statuses = ("fail", "warning", "could not tell", "not applicable", "pass")
    table = Table("examples", ("example", "quick, s", "whole, s", *statuses))
    for name in names:
        note = found.get(name, {})
        results = note.get("results", {})
        seconds = (f"{note[key]:.1f}" if key in note else "—" for key in ("check, quick", "check"))
        table.rows.append((name, *seconds, *(str(results.get(status, "—")) for status in statuses)))
    read = sum("check" in note for note in found.values())
    bars = [
        Bar("reports with every line of the guides", read, len(names), at_least=True),
        Bar("failures in them", sum(note.get("results", {}).get("fail", 1) for note in found.values()), 0),
        Bar("the slowest without outage, restore and load", _slowest(found, "check, quick"), 15.0, unit="s"),
        Bar("the slowest with all", _slowest(found, "check"), 60.0, unit="s"),
        Bar("exit code of the tests", done.returncode, 0),
    ]
    return Result("check --examples", [table], bars)


def _slowest(found: dict[str, Any], key: str) -> float:
    return max((round(float(note.get(key, 0.0)), 1) for note in found.values()), default=0.0)
