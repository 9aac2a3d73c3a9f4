"""Which files count as a change."""

from __future__ import annotations

from pathlib import Path

import pytest

from golive.dev.command import SUFFIXES
from golive.dev.watch import counts

ROOT = Path("/srv/build/app")
"""Below a folder whose name is passed over inside of it."""


@pytest.mark.parametrize(
    ("path", "counted"),
    [
        ("main.py", True),
        ("pkg/templates/page.html", True),
        (".env", True),
        ("data.sqlite3", False),
        ("app.log", False),
        (".venv/lib/x.py", False),
        ("pkg/__pycache__/main.py", False),
        ("build/lib/main.py", False),
        ("main.py~", False),
    ],
)
def test_sources_count_and_what_a_program_writes_does_not(path: str, counted: bool) -> None:
    assert counts(str(ROOT / path), ROOT, SUFFIXES["python"]) is counted


def test_of_a_folder_of_files_every_public_one_counts() -> None:
    assert counts(str(ROOT / "logo.png"), ROOT, None)
    assert not counts(str(ROOT / ".git/index"), ROOT, None)
    assert not counts(str(ROOT / ".index.html.swp"), ROOT, None)
