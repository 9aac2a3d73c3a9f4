"""What is known of the database that is to be changed: plain values, filled by `catalogue.facts` or by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from golive.units import human_size

TINY = (10_000, 4 * 2**20)
"""Rows and bytes up to which a scan, a rewrite or an index build ends within some 20 ms."""
SMALL = (50_000, 32 * 2**20)
"""And within some 200 ms."""

_NARROW = 64
"""Bytes of a narrow row with its part of an index: for tables whose rows nobody has counted."""


class Weight(IntEnum):
    """How long reading or writing all of a table takes. `NEW`: nobody else can see it yet."""

    NEW = 0
    TINY = 1
    SMALL = 2
    LARGE = 3
    UNKNOWN = 4


@dataclass(frozen=True)
class Column:
    """`type` as format_type writes it. `nulls` is the estimated fraction of NULLs, None before an ANALYZE."""

    name: str
    type: str = ""
    not_null: bool = False
    default: bool = False
    nulls: float | None = None


@dataclass(frozen=True)
class Index:
    """`scans` since the statistics were reset; None when nobody counted."""

    name: str
    columns: tuple[str, ...] = ()
    unique: bool = False
    primary: bool = False
    scans: int | None = None


@dataclass(frozen=True)
class Constraint:
    """`kind` as in pg_constraint.contype. `definition` as pg_get_constraintdef writes it."""

    name: str
    kind: str
    validated: bool = True
    definition: str = ""


@dataclass(frozen=True)
class Table:
    """A table, view or materialized view, by `schema.name`. `rows` is None when PostgreSQL has not counted yet."""

    key: str
    rows: int | None = None
    bytes: int = 0
    columns: tuple[Column, ...] = ()
    indexes: tuple[Index, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    kind: str = "r"

    @property
    def weight(self) -> Weight:
        rows = self.bytes // _NARROW if self.rows is None else self.rows
        for limit, weight in ((TINY, Weight.TINY), (SMALL, Weight.SMALL)):
            if rows <= limit[0] and self.bytes <= limit[1]:
                return weight
        return Weight.LARGE

    @property
    def size(self) -> str:
        rows = "rows not counted yet" if self.rows is None else f"{self.rows:,} row{'s' * (self.rows != 1)}"
        return f"{rows}, {human_size(self.bytes)}"

    @property
    def empty(self) -> bool:
        """Known to be. No statistics and more than some pages is not."""
        return self.rows == 0 or (self.rows is None and self.bytes == 0)

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True)
class Facts:
    """`path` are the schemas in which names without one are looked for. `domains` are those with a constraint;
    `functions` the volatility (i, s, v) of the project's own. `known` is False when no database was asked."""

    tables: Mapping[str, Table] = field(default_factory=dict)
    path: tuple[str, ...] = ("public",)
    domains: frozenset[str] = frozenset()
    functions: Mapping[str, str] = field(default_factory=dict)
    known: bool = True

    def find(self, schema: str | None, name: str) -> Table | None:
        """As the search path finds it; else the only one of that name anywhere, as a file may set the path itself."""
        for each in (schema,) if schema else self.path:
            if table := self.tables.get(f"{each}.{name}"):
                return table
        same = [table for key, table in self.tables.items() if key.rpartition(".")[2] == name] if not schema else []
        return same[0] if len(same) == 1 else None

    def index(self, name: str) -> tuple[Table, Index] | None:
        for table in self.tables.values():
            for index in table.indexes:
                if index.name == name:
                    return table, index
        return None


UNKNOWN = Facts(known=False)
"""Nothing is known: every table that the migrations do not make themselves may be large and in use."""
