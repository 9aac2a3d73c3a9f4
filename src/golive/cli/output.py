"""stdout is data, stderr is narration. Colour only where somebody looks, and never the only sign."""

from __future__ import annotations

import codecs
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from golive.errors import GoliveError

if TYPE_CHECKING:
    from rich.console import Console

MARKS = {"done": "✓", "failed": "✗", "running": "·", "skipped": "–", "undone": "↩"}
PLAIN_MARKS = {"✓": "ok", "✗": "FAILED", "·": "..", "–": "-", "↩": "undone"}
STYLES = {"✓": "green", "✗": "bold red", "·": "cyan", "–": "dim", "↩": "yellow"}
CODES = {"green": "32", "red": "31", "bold red": "1;31", "cyan": "36", "dim": "2", "yellow": "33", "bold": "1"}
CODES |= {"magenta": "35", "blue": "34"}
ASCII = PLAIN_MARKS | {"·": "-", "—": "-", "…": "...", "→": "->", "←": "<-", "×": "x", "│": "|", "•": "*", "µ": "u"}
ASCII |= {"≥": ">=", "≤": "<=", "“": '"', "”": '"', "’": "'"}
LONGEST_LOG = 20
"""Lines of a program's output that an error shows."""


def prepare() -> None:
    """Streams that cannot show a character get one like it in ASCII, never an error."""
    codecs.register_error("golive", _similar)
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="golive")


def _similar(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(ASCII.get(c, "?") for c in error.object[error.start : error.end]), error.end


def say(text: str = "") -> None:
    """A line of narration."""
    print(text, file=sys.stderr, flush=True)


def data(value: Any) -> None:
    """JSON on stdout."""
    json.dump(value, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")


def unicode_ok(stream: TextIO | None = None) -> bool:
    return "utf" in ((stream or sys.stderr).encoding or "").lower()


def mark(state: str, stream: TextIO | None = None) -> str:
    sign = MARKS.get(state, state)
    return sign if unicode_ok(stream) else PLAIN_MARKS.get(sign, sign)


def signed(state: str, stream: TextIO | None = None) -> str:
    """The mark of a state in its colour; stderr's when no stream is named."""
    return paint(mark(state, stream), STYLES.get(MARKS.get(state, ""), "dim"), stream)


def lively(stream: TextIO | None = None) -> bool:
    """Whether lines may be written over: a terminal that understands it."""
    return (stream or sys.stderr).isatty() and os.environ.get("TERM") != "dumb"


def coloured(stream: TextIO) -> bool:
    return lively(stream) and not os.environ.get("NO_COLOR")


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """With ANSI colour where the stream (stderr when left out) shows it."""
    if not text or not coloured(stream or sys.stderr):
        return text
    return f"\x1b[{CODES[style]}m{text}\x1b[0m"


def width(stream: TextIO | None = None) -> int | None:
    """Columns of the terminal; None where nothing limits a line."""
    if not (stream or sys.stderr).isatty():
        return None
    return max(shutil.get_terminal_size().columns, 40)


def cut(text: str, room: int | None) -> str:
    """At most `room` characters on one line, the cut marked."""
    line = " ".join(text.split())
    return line if room is None or len(line) <= room else line[: max(room - 1, 0)].rstrip() + "…"


def wrap(text: str, first: str, rest: str, stream: TextIO | None = None) -> str:
    """Lines no longer than the terminal: `first` before the first, `rest` before the others."""
    room = width(stream)
    lines: list[str] = []
    for line in text.splitlines() or [""]:
        body = line.lstrip()
        own = line[: len(line) - len(body)]  # a list inside the text keeps its shape
        if room is None:
            lines.append(line)
            continue
        space = max(room - len(rest) - len(own), 20)
        parts = textwrap.wrap(body, space, break_long_words=False, break_on_hyphens=False)
        lines += [own + part for part in parts or [""]]
    return "\n".join((first if at == 0 else rest) + line for at, line in enumerate(lines))


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], *, fold: Iterable[str] = ()) -> None:
    """A table on stdout, no wider than the terminal: columns named in `fold` are broken, none of the others while
    those give way. Through a pipe every row is one line, for `grep` and `awk`."""
    made = [["" if cell is None else str(cell) for cell in row] for row in rows]
    room = width(sys.stdout)
    if room is None:
        widths = [max([len(h), *(len(row[at]) for row in made)]) for at, h in enumerate(headers)]
        for line in ([*headers], *made):
            print("  ".join(cell.ljust(size) for cell, size in zip(line, widths, strict=True)).rstrip())
        return
    _terminal_table(headers, made, set(fold), room)


def _terminal_table(headers: Sequence[str], rows: list[list[str]], fold: set[str], room: int) -> None:
    from rich.table import Table
    from rich.text import Text

    plain = not coloured(sys.stdout)
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="" if plain else "dim")
    for header in headers:
        made.add_column(header, overflow="fold", no_wrap=header not in fold if fold else False)
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    _console(room).print(made)


def _console(room: int) -> Console:
    from rich.console import Console

    return Console(width=room, highlight=False, emoji=False, markup=False, no_color=not coloured(sys.stdout))


def show_error(error: GoliveError, *, word: str = "error", note: str = "") -> None:
    """What, where, why, the program's own words, and what to do next."""
    say(wrap(error.what, f"{paint(f'{word}:', 'bold red')} ", "  "))
    if error.where:
        say(wrap(error.where, "  where: ", " " * 9))
    if error.why:
        say(wrap(error.why, "  why:   ", " " * 9))
    if error.log:
        say("  its last lines:")
        for line in error.log.splitlines()[-LONGEST_LOG:]:
            bar = f"    {paint('│', 'dim')} "
            say(wrap(line, bar, bar))
    if note:
        say(wrap(note, "  now:   ", " " * 9))
    if error.hint:
        say(wrap(error.hint, f"  {paint('hint:', 'cyan')}  ", " " * 9))


def age(moment: float | str | None) -> str:
    """`3 m 20 s` from seconds since the epoch or an ISO time."""
    from golive.units import human_duration

    if moment is None:
        return ""
    then = datetime.fromisoformat(moment) if isinstance(moment, str) else datetime.fromtimestamp(moment, UTC)
    seconds = max((datetime.now(UTC) - then).total_seconds(), 0)
    return human_duration(seconds) if seconds >= 60 else f"{seconds:.0f} s"


def ago(moment: float | str | None) -> str:
    """`3 m ago`: the largest unit is enough for what is over."""
    return f"{' '.join(age(moment).split()[:2])} ago" if moment is not None else ""


def ahead(moment: float) -> str:
    """`in 3 m`, of a time that is to come."""
    from golive.units import human_duration

    left = moment - datetime.now(UTC).timestamp()
    return f"in {' '.join(human_duration(left).split()[:2])}" if left >= 1 else "now" if left > -60 else ago(moment)
