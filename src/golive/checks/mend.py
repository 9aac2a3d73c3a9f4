"""Settings into golive.toml, everything else in it kept: comments, order, blank lines. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import tomlkit
from tomlkit.items import InlineTable

from golive.checks.model import Result, Setting, Status
from golive.errors import UsageError


def settings(results: Sequence[Result]) -> list[Setting]:
    """What golive.toml can mend of what is wrong and not ignored, each once."""
    found: dict[tuple[str, ...], Setting] = {}
    for result in results:
        wrong = result.status in (Status.FAIL, Status.WARNING) and not result.ignored
        for setting in result.outcome.fix.settings if wrong and result.outcome.fix else ():
            found.setdefault(setting.path, setting)
    return list(found.values())


def written(text: str, wanted: Iterable[Setting]) -> str:
    """The file with these values. Tables that are missing are added; a value that stands there already stays as it is.
    UsageError where a key on the way is no table."""
    document = tomlkit.parse(text)
    for setting in wanted:
        *tables, key = setting.path
        place: Any = document
        for name in tables:
            if name not in place:
                inline = isinstance(place, InlineTable)
                place[name] = tomlkit.inline_table() if inline else tomlkit.table(is_super_table=name != tables[-1])
            inner = place[name]
            if not isinstance(inner, dict):
                raise UsageError(f"{'.'.join(setting.path)} cannot be set: {name} is no table", where="golive.toml")
            place = inner
        if key not in place or place[key] != setting.value:
            place[key] = setting.value
    return tomlkit.dumps(document)


def diff(before: str, after: str) -> str:
    """As `diff -u` shows it, "" where nothing changes."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), "golive.toml", "golive.toml, mended", n=2
    )
    return "".join(lines)
