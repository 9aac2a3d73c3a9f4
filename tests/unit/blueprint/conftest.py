"""Checkouts made from a few lines: file names and their text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Tree = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Write files below a fresh checkout and return its folder."""

    def write(files: Mapping[str, str]) -> Path:
        checkout = tmp_path / "checkout"
        checkout.mkdir(exist_ok=True)
        for name, text in files.items():
            path = checkout / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return checkout

    return write
