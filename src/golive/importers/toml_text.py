"""Plain data as the text of a golive.toml: in the order people read it, with a comment above each table."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping
from typing import Any

from golive.importers.report import Table

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ORDER = ("name", "domains", "services", "resources", "migrations", "env", "release", "edge", "build", "environments")
WIDTH = 110
WIDE = 120
"""Characters of a line that are still read at once: of text, and of one entry."""


def comment(text: str) -> str:
    """A comment, on as many lines as it needs; nothing in it can end it."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    indent = " " * (len(clean) - len(clean.lstrip()))
    rows = textwrap.wrap(
        clean.strip(),
        WIDTH,
        initial_indent=f"# {indent}",
        subsequent_indent=f"# {indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "".join(f"{row}\n" for row in rows or ["#"])


def document(data: Table, comments: Mapping[str, list[str]], head: list[str], foot: list[str]) -> str:
    """`comments` by key path of the table they stand above (`services.web`)."""
    blocks = ["".join(comment(line) for line in head) + _plain(data)]
    for key in sorted(data, key=lambda k: (_ORDER.index(k) if k in _ORDER else len(_ORDER), k)):
        value = data[key]
        if not isinstance(value, dict):
            continue
        if key in ("resources", "env"):
            blocks += _entries(key, value, comments)
        elif key in ("services", "environments"):
            for name, table in value.items():
                blocks.append(_table((key, name), table, comments))
        else:
            blocks.append(_table((key,), value, comments))
    if foot:
        blocks.append("".join(comment(line) for line in foot))
    return "\n".join(block for block in blocks if block)


def _entries(key: str, entries: Table, comments: Mapping[str, list[str]]) -> list[str]:
    """One table with a line for each entry, those of one comment together below it; what is too long for a line has a
    table of its own behind it."""
    groups: dict[str, str] = {"": ""}
    tables: list[str] = []
    said = ""
    for name, entry in entries.items():
        line = f"{_key(name)} = {value(entry)}\n"
        above = "".join(comment(row) for row in comments.get(f"{key}.{name}", []))
        if isinstance(entry, dict) and len(line) > WIDE:
            tables.append((above if above != said else "") + _table((key, name), entry, {}))
            said = above
        else:
            groups[above] = groups.get(above, "") + line
    lines = "\n".join(above + text for above, text in groups.items() if text)
    head = "".join(comment(row) for row in comments.get(key, []))
    return [f"{head}[{key}]\n{lines}", *tables] if lines else tables


def _plain(data: Table) -> str:
    """The root's own values: before any table, as TOML wants it."""
    keys = [key for key in data if not isinstance(data[key], dict)]
    ordered = sorted(keys, key=lambda k: (_ORDER.index(k) if k in _ORDER else len(_ORDER), k))
    return "".join(f"{_key(key)} = {value(data[key])}\n" for key in ordered)


def _table(path: tuple[str, ...], table: Any, comments: Mapping[str, list[str]]) -> str:
    above = "".join(comment(line) for line in comments.get(".".join(path), []))
    if not isinstance(table, dict):
        return f"{above}{'.'.join(map(_key, path))} = {value(table)}\n"
    tables = {k: v for k, v in table.items() if isinstance(v, list) and v and all(isinstance(i, dict) for i in v)}
    nested = {k: v for k, v in table.items() if isinstance(v, dict) and v and len(value(v)) > WIDTH}
    header = ".".join(map(_key, path))
    plain = {k: v for k, v in table.items() if k not in tables and k not in nested and v not in (None, {})}
    text = f"{above}[{header}]\n" if plain or nested or not tables else above
    text += "".join(f"{_key(key)} = {value(entry)}\n" for key, entry in plain.items())
    for key, entry in nested.items():
        text += "\n" + _table((*path, key), entry, {})
    for key, entries in tables.items():
        for entry in entries:
            lines = "".join(f"{_key(k)} = {value(v)}\n" for k, v in entry.items())
            text += f"\n[[{header}.{_key(key)}]]\n{lines}"
    return text.lstrip("\n")


def _key(text: str) -> str:
    return text if _BARE.fullmatch(text) else value(text)


def value(data: Any) -> str:
    """One value on one line."""
    if isinstance(data, bool):
        return "true" if data else "false"
    if isinstance(data, int | float):
        return repr(data)
    if isinstance(data, list | tuple):
        return f"[{', '.join(map(value, data))}]"
    if isinstance(data, dict):
        inner = ", ".join(f"{_key(str(key))} = {value(child)}" for key, child in data.items())
        return f"{{ {inner} }}" if inner else "{}"
    return _string(str(data))


def _string(text: str) -> str:
    if "\\" in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
