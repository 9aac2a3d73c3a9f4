"""stdout is data, stderr is narration. Colour only where somebody looks, and never the only sign."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from golive.errors import GoliveError

if TYPE_CHECKING:
    from rich.console import Console

MARKS = {"done": "✓", "failed": "✗", "running": "·", "skipped": "–", "undone": "↩"}
PLAIN_MARKS = {"✓": "ok", "✗": "FAILED", "·": "..", "–": "-", "↩": "undone"}
STYLES = {"✓": "green", "✗": "bold red", "·": "cyan", "–": "dim", "↩": "yellow"}


def console(*, stderr: bool = True) -> Console:
    """Rich for tables and styled lines; plain text when it is no terminal or NO_COLOR is set."""
    from rich.console import Console

    width = None if (sys.stderr if stderr else sys.stdout).isatty() else 160
    return Console(stderr=stderr, highlight=False, soft_wrap=True, width=width, emoji=False, markup=False)


def say(text: str = "") -> None:
    """A line of narration."""
    print(text, file=sys.stderr, flush=True)


def data(value: Any) -> None:
    """JSON on stdout."""
    json.dump(value, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")


def unicode_ok() -> bool:
    return "utf" in (sys.stderr.encoding or "").lower()


def mark(state: str) -> str:
    sign = MARKS.get(state, state)
    return sign if unicode_ok() else PLAIN_MARKS.get(sign, sign)


def paint(text: str, style: str) -> str:
    """ANSI on stderr where it is wanted."""
    codes = {"green": "32", "red": "31", "bold red": "1;31", "cyan": "36", "dim": "2", "yellow": "33", "bold": "1"}
    if not sys.stderr.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{codes[style]}m{text}\x1b[0m"


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table on stdout; tab-separated without a frame when it is no terminal, so that `cut` works."""
    rows = [[("" if cell is None else str(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        widths = [max([len(h), *(len(r[i]) for r in rows)]) for i, h in enumerate(headers)]
        for line in ([*headers], *rows):
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for header in headers:
        made.add_column(header, overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    console(stderr=False).print(made)


def show_error(error: GoliveError) -> None:
    """What, where, why, the program's own words, and what to do next."""
    say(f"{paint('error:', 'bold red')} {error.what}")
    if error.where:
        say(f"  where: {error.where}")
    if error.why:
        say(f"  why:   {error.why}")
    if error.log:
        say("  its last lines:")
        for line in error.log.splitlines()[-20:]:
            say(f"    {paint('│', 'dim')} {line}")
    if error.hint:
        say(f"  {paint('hint:', 'cyan')}  {error.hint}")


def ago(moment: float | str | None) -> str:
    """`3 m 20 s ago` from seconds since the epoch or an ISO time."""
    from golive.units import human_duration

    if moment is None:
        return ""
    then = datetime.fromisoformat(moment) if isinstance(moment, str) else datetime.fromtimestamp(moment, UTC)
    seconds = max((datetime.now(UTC) - then).total_seconds(), 0)
    return f"{human_duration(seconds) if seconds >= 1 else '0 s'} ago"
