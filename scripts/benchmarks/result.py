"""What a benchmark found: tables, and the bars it is held to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Bar:
    """One promise. `limit` is what `measured` must reach (`at least`) or stay within (`at most`)."""

    what: str
    measured: float
    limit: float
    at_least: bool = False
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


@dataclass
class Table:
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    note: str = ""


@dataclass
class Result:
    name: str
    tables: list[Table] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        return all(bar.met for bar in self.bars)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "met": self.met,
            "bars": [{**asdict(bar), "met": bar.met} for bar in self.bars],
            "tables": [asdict(table) for table in self.tables],
            "details": self.details,
        }
