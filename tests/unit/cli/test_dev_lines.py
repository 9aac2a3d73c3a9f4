"""What a dev server writes, as a line of one log among several."""

from __future__ import annotations

import pytest

from golive.cli.dev import plain


@pytest.mark.parametrize(
    ("written", "coloured", "shown"),
    [
        ("ready", True, "ready"),
        ("\x1b[32mready\x1b[39m", True, "\x1b[32mready\x1b[39m\x1b[0m"),
        ("\x1b[32mready\x1b[39m", False, "ready"),
        ("\x1b[2J\x1b[3J\x1b[Hready", True, "ready"),
        ("\x1bcready", False, "ready"),
        ("10 %\r50 %\r100 %", False, "100 %"),
        ("\x1b]0;a title\x07ready", False, "ready"),
        ("a\ttab", False, "a\ttab"),
    ],
)
def test_nothing_moves_the_cursor(written: str, coloured: bool, shown: str) -> None:
    assert plain(written, coloured=coloured) == shown
