"""Settings into golive.toml, everything else in it kept: comments, order, blank lines. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import tomlkit
from tomlkit.items import InlineTable

from golive.blueprint.sugar import expand
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
    """The file with these values. Tables that are missing are added, short forms (`db = "postgres:17"`) become the long
    ones where they have to; a value that stands there already stays as it is. UsageError where a key on the way is no
    table."""
    document = tomlkit.parse(text)
    for setting in wanted:
        _set(document, setting)
    return tomlkit.dumps(document)


def _set(document: Any, setting: Setting) -> None:
    *tables, key = setting.path
    place = document
    for depth, name in enumerate(tables):
        if name not in place:
            inline = isinstance(place, InlineTable)
            place[name] = tomlkit.inline_table() if inline else tomlkit.table(is_super_table=name != tables[-1])
        if not isinstance(place[name], dict):
            if depth != 1 or tables[0] not in ("env", "resources"):
                raise UsageError(f"{'.'.join(setting.path)} cannot be set: {name} is no table", where="golive.toml")
            if key == "default":
                place[name] = setting.value
                return
            long = expand({tables[0]: {name: place[name].unwrap()}})[tables[0]][name]
            place[name] = tomlkit.inline_table()
            place[name].update(long)
        place = place[name]
    if key not in place or place[key] != setting.value:
        place[key] = setting.value


def diff(before: str, after: str) -> str:
    """As `diff -u` shows it, "" where nothing changes."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), "golive.toml", "golive.toml, mended", n=2
    )
    return "".join(lines)
