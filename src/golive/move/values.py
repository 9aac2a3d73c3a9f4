"""What crosses between processes: a move with both sides, and what a comparison found. Loads no driver."""

from __future__ import annotations

from dataclasses import dataclass

from golive.move.keys import Source
from golive.move.mapping import Mapped
from golive.secret import Secret


@dataclass(frozen=True)
class Move:
    """A move: its name, both sides, and what becomes what."""

    name: str
    source: Source
    url: Secret
    maps: tuple[Mapped, ...]


@dataclass(frozen=True)
class Compared:
    """`keys` in Redis and `rows` in PostgreSQL; `different` are keys whose row is another, `missing` have none, `extra`
    are rows without a key, `refused` keys that cannot be rows: at most ten of each, by key."""

    keys: int
    rows: int
    different: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        return not (self.different or self.missing or self.extra or self.refused)
