"""Adds up pytest's JUnit reports into the one line CI reads: `N passed, N failed, N skipped`. Exit 1 when none ran."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def main(reports: list[str]) -> int:
    total = failed = skipped = 0
    for report in reports:
        for suite in ElementTree.parse(Path(report)).getroot().iter("testsuite"):
            total += int(suite.get("tests", 0))
            failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped += int(suite.get("skipped", 0))
    print(f"{total - failed - skipped} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or total == skipped else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
