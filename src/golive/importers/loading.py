"""Files of other platforms as plain data: bounded in size, depth and what aliases expand to; nothing is executed."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from typing import Any

from golive.blueprint.checkout import Checkout, OutsideCheckout
from golive.blueprint.positions import KeyPath

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_NODES = 100_000
_MAX_TOML = 300_000
"""tomllib needs quadratic time for some keys, so that less of it is taken."""


class Unreadable(ValueError):
    """Nothing of the file can be used; the text says why, without its content."""


@dataclass
class Loaded:
    """`repeated` are keys that the data cannot hold, because a later one has the same name."""

    data: Any
    repeated: list[KeyPath] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read(checkout: Checkout, path: str) -> str:
    """The text of a file of the checkout. Raises Unreadable."""
    try:
        what = checkout.what_is(path)
        size = checkout.locate(path).stat().st_size if what == "file" else 0
    except (OutsideCheckout, OSError) as error:
        raise Unreadable(str(error)) from None
    if what != "file":
        raise Unreadable("is a folder" if what == "folder" else "is not there")
    if size > MAX_BYTES:
        raise Unreadable(f"is larger than {MAX_BYTES // 1_000_000} MB")
    text = checkout.read(path)
    if text is None:
        raise Unreadable("is not UTF-8 text, or may not be read")
    return text


def clean(text: str) -> str:
    """Without a byte order mark and with plain line ends. Raises Unreadable for what is not text."""
    if len(text) > MAX_BYTES:
        raise Unreadable(f"is larger than {MAX_BYTES // 1_000_000} MB")
    if "\0" in text:
        raise Unreadable("is binary")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def load_toml(text: str) -> Loaded:
    text = clean(text)
    if len(text) > _MAX_TOML:
        raise Unreadable("is larger than any such file")
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"is not valid TOML: {_brief(error)}") from None
    _bounded(data)
    return Loaded(_plain(data))


def load_json(text: str) -> Loaded:
    """JSON, with comments and trailing commas tolerated, as the vendors' own readers do."""
    found = Loaded(None)
    text = without_comments(clean(text))
    try:
        data = json.loads(text, object_pairs_hook=_Pairs, parse_constant=_refuse)
    except RecursionError:
        raise Unreadable("is nested too deeply") from None
    except ValueError as error:
        raise Unreadable(f"is not valid JSON: {_brief(error)}") from None
    found.data = _unpaired(data, (), found.repeated)
    _bounded(found.data)
    return found


class _Pairs(list[tuple[str, Any]]):
    """An object as it was written, so that a key written twice can be told."""


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _unpaired(value: Any, path: KeyPath, repeated: list[KeyPath]) -> Any:
    if len(path) > MAX_DEPTH:
        raise Unreadable(f"is nested more than {MAX_DEPTH} deep")
    if isinstance(value, _Pairs):
        table: dict[str, Any] = {}
        for key, child in value:
            if key in table:
                repeated.append((*path, key))
            table[key] = _unpaired(child, (*path, key), repeated)
        return table
    if isinstance(value, list):
        return [_unpaired(child, (*path, at), repeated) for at, child in enumerate(value)]
    return value


def without_comments(text: str) -> str:
    """JSON text with `//` and `/* */` comments, and commas before a closing bracket, made blank."""
    made: list[str] = []
    at, size = 0, len(text)
    comma = -1
    while at < size:
        two = text[at : at + 2]
        if text[at] == '"':
            end = _string_end(text, at)
            made.append(text[at:end])
            comma, at = -1, end
        elif two == "//":
            at = end if (end := text.find("\n", at)) >= 0 else size
        elif two == "/*":
            at = end + 2 if (end := text.find("*/", at + 2)) >= 0 else size
            made.append(" ")
        else:
            if text[at] in "]}" and comma >= 0:
                made[comma] = " "
            if not text[at].isspace():
                comma = len(made) if text[at] == "," else -1
            made.append(text[at])
            at += 1
    return "".join(made)


def _string_end(text: str, start: int) -> int:
    at = start + 1
    while at < len(text) and text[at] not in '"\n':
        at += 2 if text[at] == "\\" else 1
    return min(at + 1, len(text))


def _bounded(data: Any) -> None:
    """Raises Unreadable for data that is deeper or larger than any configuration is; without recursion."""
    waiting: list[tuple[int, Any]] = [(0, data)]
    seen = 0
    while waiting:
        depth, value = waiting.pop()
        seen += 1
        if depth > MAX_DEPTH:
            raise Unreadable(f"is nested more than {MAX_DEPTH} deep")
        if seen > MAX_NODES:
            raise Unreadable(f"has more than {MAX_NODES:,} values")
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting += [(depth + 1, child) for child in children]


def _plain(value: Any) -> Any:
    """Dates and times, which no key of interest has, as text."""
    if isinstance(value, dict):
        return {key: _plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_plain(child) for child in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _brief(error: Exception) -> str:
    """The parser's words without the file's own text, which may be a secret."""
    return str(error).split("\n")[0].split("'")[0].split('"')[0].strip(" :,")[:100] or "cannot be parsed"
