"""YAML as plain data: no tags are obeyed, aliases and merge keys are followed within bounds, nothing is guessed.

Scalars follow the core schema of YAML 1.2, as the vendors' readers (Go, JavaScript) do: `on`, `22:22` and `2020-01-01`
are text, and a decimal number stays as it was written, since `1.10` is a version more often than a number.
"""

from __future__ import annotations

import re
from typing import Any

from golive.blueprint.positions import KeyPath
from golive.importers.loading import MAX_DEPTH, MAX_NODES, Loaded, Unreadable, clean

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = ("", "~", "null", "Null", "NULL")
_PLAIN_TAGS = (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:str")


def load_yaml(text: str) -> Loaded:
    """The first document. Raises Unreadable for what is not YAML, and for what expands beyond the bounds."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        events = yaml.parse(clean(text), Loader=loader)
        return _Builder(events).build()
    except yaml.YAMLError as error:
        raise Unreadable(f"is not valid YAML{_where(error)}") from None
    except RecursionError:
        raise Unreadable("is nested too deeply") from None


def _where(error: Any) -> str:
    mark = getattr(error, "problem_mark", None)
    return f" (line {mark.line + 1})" if mark is not None else ""


class _Builder:
    """Data from parser events. Every alias counts as what it stands for, so that a bomb is refused before it exists."""

    def __init__(self, events: Any) -> None:
        self._events = iter(events)
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._count = 0
        self._loaded = Loaded(None)

    def build(self) -> Loaded:
        import yaml

        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._loaded.data = self._value(next(self._events), ())
                break
        if any(isinstance(event, yaml.DocumentStartEvent) for event in self._events):
            self._loaded.notes.append("the file has more than one YAML document; only the first was read")
        return self._loaded

    def _grow(self, by: int) -> None:
        self._count += by
        if self._count > MAX_NODES:
            raise Unreadable(f"expands to more than {MAX_NODES:,} values")

    def _value(self, event: Any, path: KeyPath) -> Any:
        import yaml

        if len(path) > MAX_DEPTH:
            raise Unreadable(f"is nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise Unreadable("has an alias to nothing, or to what it is itself part of")
            value, size = self._anchors[event.anchor]
            self._grow(size)
            return value
        before = self._count
        self._grow(1)
        self._tag(event, path)
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(path)
        else:
            value = self._mapping(path)
        if event.anchor:
            self._anchors[event.anchor] = (value, self._count - before)
        return value

    def _tag(self, event: Any, path: KeyPath) -> None:
        if event.tag not in _PLAIN_TAGS and not str(event.tag).startswith("tag:yaml.org,2002:"):
            shown = "".join(c for c in str(event.tag) if c.isprintable())[:40]
            self._loaded.notes.append(f"the tag {shown} was not followed; its value was taken as plain data")

    def _sequence(self, path: KeyPath) -> list[Any]:
        import yaml

        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        import yaml

        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            plain = isinstance(event, yaml.ScalarEvent) and event.implicit[0]
            key = self._value(event, path)
            if isinstance(key, dict | list):
                raise Unreadable("has a key that is a table or a list")
            name = event.value if isinstance(event, yaml.ScalarEvent) else str(key)
            value = self._value(next(self._events), (*path, name))
            if name == "<<" and plain:
                merged = {**_mergeable(value), **merged}
                self._grow(len(merged))
                continue
            if name in own:
                self._loaded.repeated.append((*path, name))
            own[name] = value
        return {**merged, **own}


def _mergeable(value: Any) -> dict[str, Any]:
    """What `<<` brings: a table, or a list of tables of which the first that has a key counts."""
    tables = value if isinstance(value, list) else [value]
    if not all(isinstance(table, dict) for table in tables):
        raise Unreadable("has a merge key (`<<`) of something that is not a table")
    found: dict[str, Any] = {}
    for table in reversed(tables):
        found |= table
    return found


def _scalar(event: Any) -> Any:
    text: str = event.value
    if not event.implicit[0]:  # quoted, or with a tag of its own
        return text
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    return int(text) if _INTEGER.fullmatch(text) else text
