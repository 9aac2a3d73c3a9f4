"""How large an expression becomes in RE2, which compiles it to instructions and refuses too many of them."""

from __future__ import annotations

import re

MOST = 1500
"""Instructions; the edge's Envoy takes 2,000, and adds some of its own to each expression."""
_ANY = 14
"""Of a class that nearly every character of UTF-8 is in."""
_REPEAT = re.compile(r"\{(\d+)(,?)(\d*)\}")
_OPENING = re.compile(r"\((?:\?:|\?P?<\w+>|\?!|\?i\))?")


def program_size(regex: str) -> int:
    """Instructions, rounded up."""
    open_groups: list[int] = []
    total, atom, at = 0, 0, 0
    while at < len(regex):
        char, length = regex[at], 1
        if repeat := _REPEAT.match(regex, at):
            times = int(repeat[3] or int(repeat[1]) + bool(repeat[2]))
            total, atom, length = total + atom * (max(times, 1) - 1), atom * max(times, 1), len(repeat[0])
        elif char == "(":
            open_groups.append(total)
            total, atom, length = 0, 0, len((_OPENING.match(regex, at) or [char])[0])
        elif char == ")" and open_groups:
            atom = total + 2
            total = open_groups.pop() + atom
        else:
            atom, length = _atom(regex, at)
            total += atom
        at += length
    return total


def _atom(regex: str, at: int) -> tuple[int, int]:
    """Instructions and characters of the plain thing at a place."""
    char = regex[at]
    if char == "\\":
        return (_ANY if regex[at + 1 : at + 2] in ("D", "S", "W") else 4), 2
    if char == "[":
        end = at + 1
        while end < len(regex) and (regex[end] != "]" or end == at + 1):
            end += 2 if regex[end] == "\\" else 1
        inside = regex[at + 1 : end]
        return (_ANY if inside.startswith("^") else 0) + 2 * len(inside), end + 1 - at
    return (_ANY if char == "." else 6 if char in "kKsS" else 2), 1  # K and S have a third form in Unicode
