"""Version specifiers as projects write them: Python's (PEP 440, poetry's caret), Go's minimum, and npm's ranges."""

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


def in_range(text: str | None, version: Version) -> bool:
    """Whether a version is in an npm range: `>=18 <23`, `^20.1`, `20.x || 22`, `18 - 20`, `lts/*`. None allows all.

    ValueError when it cannot be read. Rules: node-semver's README; names of long-term support lines are Node's own.
    """
    return any(_in_all(part.strip(), version) for part in (text or "").split("||"))


_LTS = {"hydrogen": 18, "iron": 20, "jod": 22, "krypton": 24}


def _in_all(part: str, version: Version) -> bool:
    name = part.lower()
    if name in ("", "*", "x", "node", "latest", "current", "stable"):
        return True
    if name in ("lts/*", "lts", "lts/-1"):
        return version[0] % 2 == 0
    if name.startswith("lts/") and name[4:] in _LTS:
        return version[0] == _LTS[name[4:]]
    if span := re.fullmatch(r"v?([\d.]+)\s+-\s+v?([\d.]+)", part):
        return version >= parse_version(span[1]) and version[: span[2].count(".") + 1] <= parse_version(span[2])
    joined = re.sub(r"(>=|<=|>|<|=|\^|~>?)\s+", r"\1", part)
    return all(_comparator(word, version) for word in re.split(r"[\s,]+", joined) if word)


def _comparator(word: str, version: Version) -> bool:
    match = re.fullmatch(r"(>=|<=|>|<|=|\^|~>?|)v?(\d+(?:\.\d+)*)((?:\.[xX*])*)(?:-[\w.-]+)?(?:\+[\w.]+)?", word)
    if not match:
        if re.fullmatch(r"(>=|<=|=|\^|~)?[xX*](\.[xX*])*", word):
            return True
        raise ValueError(f"{word!r} is not a Node.js version; write it like >=20, 22.x or ^20.11")
    operator, wanted = match[1], parse_version(match[2])
    prefix = version[: len(wanted)]
    if operator in ("", "="):
        return prefix == wanted
    if operator == "^":
        fixed = next((n for n, part in enumerate(wanted) if part), len(wanted) - 1) + 1
        return version >= wanted and version[:fixed] == wanted[:fixed]
    if operator.startswith("~"):
        return version >= wanted and version[: min(len(wanted), 2)] == wanted[:2]
    if operator == ">":
        return prefix > wanted  # `>18` is 19 and later
    return {">=": version >= wanted, "<=": prefix <= wanted, "<": version < wanted}[operator]


def _padded(version: Version, length: int) -> Version:
    return version + (0,) * (length - len(version))
