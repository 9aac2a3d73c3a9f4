"""What an import gives: a partial blueprint, and an account of every key of the file it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

Table = dict[str, Any]


@dataclass(frozen=True)
class Carried:
    """`path` of the file is now `to` in golive.toml (or in what golive does by itself); `keys` are its leaves."""

    path: str
    to: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Lost:
    """`path` has no place in golive.toml: a summary of its value (never a secret's), why, and what to do instead.

    `variable` is the variable whose value it is, where it is one's.
    """

    path: str
    value: str
    why: str
    instead: str
    keys: tuple[str, ...]
    variable: str | None = None


@dataclass(frozen=True)
class Imported:
    """One file, imported. `proposal` is plain data in the file's own notation, ready to be written as golive.toml.

    `problem` says why nothing could be read. `keys` counts the file's leaves; each is under exactly one of `carried`
    and `lost`.
    """

    file: str
    kind: str
    proposal: Table = field(default_factory=dict)
    carried: tuple[Carried, ...] = ()
    lost: tuple[Lost, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str | None = None
    keys: int = 0

    @property
    def accounted(self) -> int:
        """How many leaves of the file are in `carried` or `lost`."""
        return sum(len(entry.keys) for entry in self.carried) + sum(len(entry.keys) for entry in self.lost)

    def given(self, names: Mapping[str, str]) -> Imported:
        """The same when golive gives these variables: their values, which were listed, are needed no more."""
        left = tuple(lost for lost in self.lost if lost.variable not in names)
        moved = [Carried(x.path, names[x.variable], x.keys) for x in self.lost if x.variable and x.variable in names]
        return replace(self, carried=(*self.carried, *moved), lost=left) if moved else self

    def to_json(self) -> Table:
        return asdict(self)


def unreadable(file: str, kind: str, problem: str) -> Imported:
    """A file of which nothing could be read."""
    return Imported(file, kind, problem=problem)
