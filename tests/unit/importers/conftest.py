"""Checkouts made from a few lines: file names and their text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from golive.blueprint.checkout import Checkout

MakeCheckout = Callable[[Mapping[str, str]], Checkout]


@pytest.fixture
def checkout(tmp_path: Path) -> MakeCheckout:
    """Write files below a fresh folder and give its checkout."""

    def write(files: Mapping[str, str]) -> Checkout:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Checkout(tmp_path)

    return write
