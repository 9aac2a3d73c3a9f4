"""Python version specifiers (PEP 440's operators on release numbers, and poetry's caret), as projects write them."""

from __future__ import annotations

import re

Version = tuple[int, ...]


def parse_version(text: str) -> Version:
    """`3.12.1` → (3, 12, 1). ValueError when it is not a plain release number."""
    if not re.fullmatch(r"\d+(\.\d+)*", text.strip()):
        raise ValueError(f"{text!r} is not a Python version; write it like 3.12")
    return tuple(int(part) for part in text.strip().split("."))


def allows(specifier: str | None, version: Version) -> bool:
    """Whether a version satisfies all parts of `>=3.11,<3.14`; a bare `3.12` means any 3.12. None allows all."""
    parts = [part.strip() for part in (specifier or "").split(",") if part.strip()]
    return all(_allows_one(part, version) for part in parts)


def _allows_one(part: str, version: Version) -> bool:
    match = re.fullmatch(r"(===?|!=|~=|>=|<=|>|<|\^|~|)\s*v?([\d.]+?)(\.\*)?", part)
    if not match:
        raise ValueError(f"{part!r} is not a Python version; write it like >=3.12 or 3.12")
    operator, wild = match[1], bool(match[3])
    wanted = parse_version(match[2])
    given = _padded(version, len(wanted))
    prefix = given[: len(wanted)]
    if operator == "~" and len(wanted) > 2:
        operator = "~="
    if operator in ("", "~") or (wild and operator in ("==", "===")):
        return prefix == wanted
    if operator == "!=":
        return prefix != wanted if wild else given != _padded(wanted, len(given))
    if operator == "^":
        return version >= wanted and prefix[0] == wanted[0]
    if operator == "~=":
        return version >= wanted and prefix[: len(wanted) - 1] == wanted[:-1]
    full = _padded(wanted, len(given))
    compared = {"==": given == full, "===": given == full, ">=": given >= full, "<=": given <= full}
    return (compared | {">": given > full, "<": given < full})[operator]


def _padded(version: Version, length: int) -> Version:
    return version + (0,) * (length - len(version))
