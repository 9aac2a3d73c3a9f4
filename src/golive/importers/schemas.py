"""Variables of zod and t3-env schemas, typed as the schema types them: looked for in its text, never run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from golive.importers.report import Table

_ENTRY = re.compile(
    r"(?:^|[{,])[ \t]*[\"']?([A-Z][A-Z0-9_]{1,80})[\"']?\s*:\s*(?=[^\n]*\bz\b|\s*\n?\s*z\b)", re.MULTILINE
)
_STRING = r"""(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`$\\]*`)"""
_OPTIONAL = re.compile(r"\.(?:optional|nullish|catch|prefault)\s*\(|\bz\.(?:optional|nullish)\s*\(")
_DEFAULT = re.compile(rf"\.default\s*\(\s*({_STRING}|-?\d+(?:\.\d+)?|true|false)\s*\)")
_ENUM = re.compile(rf"\bz\.enum\s*\(\s*\[\s*((?:{_STRING}\s*,?\s*)+)\]")
_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("url", re.compile(r"\.(?:url|httpUrl)\s*\(")),
    ("email", re.compile(r"\.email\s*\(")),
    ("bool", re.compile(r"\bz\.(?:coerce\.)?boolean\s*\(|\bz\.stringbool\s*\(")),
    ("int", re.compile(r"\bz\.(?:coerce\.number|number|int)\s*\(")),
)
_MADE_UP = re.compile(r"\bz\.(?:preprocess|union|literal|custom|any|unknown|array)\s*\(|\.(?:or|pipe|transform)\s*\(")
"""What is said here need not be what the text of the variable must look like."""
MAX_ENTRY = 2000


def schema_entries(text: str) -> Iterator[tuple[str, Table]]:
    """Name and declaration of each variable: `type`, `values`, `default`, and `required = false` where it is optional.

    A variable whose schema says nothing simple is a string.
    """
    for match in _ENTRY.finditer(text):
        expression = _expression(text[match.end() : match.end() + MAX_ENTRY])
        if re.search(r"\bz\s*\.", expression):
            yield match[1], declared(expression)


def _expression(text: str) -> str:
    """Up to the comma or bracket that ends it."""
    depth, at = 0, 0
    while at < len(text):
        char = text[at]
        if char in "\"'`":
            found = re.match(_STRING, text[at:])
            at += found.end() if found else 1
            continue
        if text.startswith("//", at):
            at = end if (end := text.find("\n", at)) >= 0 else len(text)
            continue
        depth += (char in "([{") - (char in ")]}")
        if depth < 0 or (depth == 0 and char == ","):
            break
        at += 1
    return text[:at]


def declared(expression: str) -> Table:
    """The declaration of one zod expression."""
    entry: Table = {}
    if (found := _ENUM.search(expression)) and (values := [_text(word) for word in re.findall(_STRING, found[1])]):
        entry = {"type": "enum", "values": values}
    elif not _MADE_UP.search(expression):
        kind = next((name for name, pattern in _KINDS if pattern.search(expression)), None)
        entry = {"type": kind} if kind else {}
    if given := _DEFAULT.search(expression):
        entry = _with_default(entry, given[1])
    elif _OPTIONAL.search(expression) or re.search(r"\.default\s*\(", expression):
        entry["required"] = False
    return entry


def _with_default(entry: Table, literal: str) -> Table:
    value = json.loads(literal) if literal[0] not in "\"'`" else _text(literal)
    kind = entry.get("type")
    if isinstance(value, float) and kind == "int":
        return {"type": "float", "default": value}
    if kind is None and not isinstance(value, str):
        return {"required": False}
    if not value and value is not False and value != 0:  # an empty default is none
        return entry | {"required": False}
    return entry | {"default": value}


def _text(literal: str) -> str:
    return re.sub(r"\\(.)", r"\1", literal[1:-1])
