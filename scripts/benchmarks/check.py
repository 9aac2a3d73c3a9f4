"""Planted faults, and how many of them `golive check` finds: tests/faults, counted by family."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

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
        found = re.match(r"test_a_(?:fault|wrong_certificate)_is_found\[([a-z0-9-]+)", name)
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
