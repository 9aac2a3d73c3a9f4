"""Parts of a plain SQL file that take something away, from `-- golive: contract` to `-- golive: end` or the file's end.

They become a migration of their own, which runs after the rest of the file: at once, or when no release needs what it
takes. Only where golive's own table is the record: another tool's knows nothing but whole files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from golive.migrate.sql import SqlProblem, Statement

_MARK = re.compile(r"^[ \t]*--\s*golive:\s*(?P<word>contract|end)\b[^\n]*\n?", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Parts:
    """The statements outside of the sections and in them, each with its own text."""

    rest: tuple[Statement, ...]
    rest_text: str
    contract: tuple[Statement, ...]
    contract_text: str


def parts(text: str, statements: Sequence[Statement]) -> Parts | None:
    """None for a file that runs, or waits, as a whole. SqlProblem for marks that cannot be followed."""
    sections = list(_sections(text, statements))
    inside = tuple(each for each in statements if any(first < each.line < last for first, last in sections))
    outside = tuple(each for each in statements if each not in inside)
    if not inside or not outside:
        return None
    lines = text.splitlines(keepends=True)
    marked = [any(first <= at <= last for first, last in sections) for at in range(1, len(lines) + 1)]
    kept = "".join(line for line, is_in in zip(lines, marked, strict=True) if not is_in)
    cut = "".join(line for line, is_in in zip(lines, marked, strict=True) if is_in)
    return Parts(outside, kept, inside, cut)


def _sections(text: str, statements: Sequence[Statement]) -> Iterator[tuple[int, int]]:
    """The lines of the marks around each section."""
    opened = 0
    for mark in _MARK.finditer(text):
        line = text.count("\n", 0, mark.start()) + 1
        if any(each.line < line <= each.line + each.text.count("\n") for each in statements):
            raise SqlProblem(line, f"`{mark[0].strip()}` stands inside a statement")
        if mark["word"].lower() == "end":
            if not opened:
                raise SqlProblem(line, "`-- golive: end` ends no contract section")
            yield opened, line
            opened = 0
        elif opened:
            raise SqlProblem(line, f"the contract section of line {opened} has not ended yet")
        else:
            opened = line
    if opened:
        yield opened, text.count("\n") + 2
