"""Which keys become which rows. Pure.

A key's parts are columns: `threadr:quota:{client}:{period}` finds `client` and `period`, which have to be the table's
primary key. A part ends where the text that follows it begins; the last one takes the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Kind = Literal["string", "hash", "json"]
Row = dict[str, str | None]
"""Columns and their values as text; None is NULL."""
_PART = re.compile(r"\{(\w+)\}")
_GLOB = re.compile(r"([*?\[\]\\^-])")


class Refused(ValueError):
    """A key that cannot become a row, or a row that cannot become a key; the text says why, without its content."""


@dataclass(frozen=True)
class Mapped:
    """One kind of key. `value` is the column of a string; `fields` are columns by the field of a hash or of a JSON
    object; `expires` is a timestamptz column for the time to live."""

    keys: str
    table: str
    kind: Kind
    value: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    expires: str | None = None

    @cached_property
    def parts(self) -> tuple[str, ...]:
        return tuple(_PART.findall(self.keys))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """All but `expires`, the key's first."""
        return (*self.parts, *((self.value,) if self.value else ()), *self.fields.values())

    @cached_property
    def glob(self) -> str:
        """For SCAN and PSUBSCRIBE."""
        return "".join("*" if n % 2 else _GLOB.sub(r"\\\1", text) for n, text in enumerate(_PART.split(self.keys)))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        pieces = _PART.split(self.keys)
        found = re.escape(pieces[0])
        for name, after in zip(pieces[1::2], pieces[2::2], strict=True):
            found += f"(?P<{name}>[^{re.escape(after[0])}]+)" if after else f"(?P<{name}>.+)"
            found += re.escape(after)
        return re.compile(found, re.DOTALL)

    def parse(self, key: str) -> Row | None:
        """The key columns; None for a key of another kind."""
        match = self._pattern.fullmatch(key)
        return dict(match.groupdict()) if match else None

    def key(self, row: Mapping[str, str | None]) -> str:
        """The key of a row. Refused when it would be read as another one."""
        made = _PART.sub(lambda part: row[part[1]] or "", self.keys)
        if self.parse(made) != {name: row[name] for name in self.parts}:
            raise Refused("its key columns do not fit the pattern of the keys")
        return made

    def row(self, key: str, content: str | Mapping[str, str]) -> Row:
        """Of a key of this kind with this content. Refused."""
        found: Row = self.parse(key) or {}
        if self.kind == "string":
            found[str(self.value)] = str(content)
        else:
            given = _object(content) if self.kind == "json" else content
            found |= {column: given.get(name) for name, column in self.fields.items()}  # type: ignore[union-attr]
        if any(_unfit(value) for value in found.values() if value is not None):
            raise Refused("it is not UTF-8, or holds a NUL byte, which text of PostgreSQL cannot")
        return found

    def given(self, row: Mapping[str, str | None]) -> dict[str, str | None]:
        """The inverse of `row`: values by field, that of a string by an empty name."""
        if self.kind == "string":
            return {"": row[str(self.value)]}
        return {name: row[column] for name, column in self.fields.items()}


def _object(content: str | Mapping[str, str]) -> dict[str, str | None]:
    try:
        found = json.loads(str(content))
    except ValueError:
        raise Refused("it is no JSON") from None
    if not isinstance(found, dict):
        raise Refused("it is no JSON object")
    return {name: _text(value) for name, value in found.items()}


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _unfit(value: str) -> bool:
    return "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value)
