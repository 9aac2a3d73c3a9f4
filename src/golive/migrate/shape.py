"""The shape of a schema, kept with each release: what a release that comes back would miss in the schema of now.

It is taken from the catalogue and not from files, so that it is the same for every tool and sees what was changed by
hand. A renamed column is one that is gone.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from golive.blueprint.models import Migrations
from golive.migrate import session, tools
from golive.migrate.history import Connection
from golive.migrate.lint import types
from golive.migrate.lint.catalogue import facts
from golive.migrate.lint.constraints import filled_text
from golive.migrate.lint.facts import Facts, Table
from golive.migrate.lint.running import Code
from golive.migrate.lint.sources import Running, release
from golive.secret import Secret

PATIENCE = timedelta(seconds=10)
"""Going back is often urgent: a database that does not answer must not stop it."""
_ENUMS = """
SELECT t.typname::text, array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid GROUP BY t.oid, t.typname"""


@dataclass(frozen=True)
class Shape:
    """`tables` by `schema.name`: the columns, as (type, must be given a value), and the columns of unique keys."""

    tables: Mapping[str, tuple[Mapping[str, tuple[str, bool]], frozenset[tuple[str, ...]]]] = field(
        default_factory=dict
    )
    functions: frozenset[str] = frozenset()
    enums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def packed(self) -> bytes:
        tables = {key: [columns, sorted(unique)] for key, (columns, unique) in self.tables.items()}
        return zlib.compress(json.dumps([tables, sorted(self.functions), self.enums]).encode())

    @classmethod
    def unpacked(cls, raw: bytes) -> Shape:
        tables, functions, enums = json.loads(zlib.decompress(raw))
        return cls(
            {
                key: ({name: (kind, needed) for name, (kind, needed) in columns.items()}, frozenset(map(tuple, unique)))
                for key, (columns, unique) in tables.items()
            },
            frozenset(functions),
            {name: tuple(values) for name, values in enums.items()},
        )


@dataclass(frozen=True)
class Loss:
    """Something that a release had and would not have. `places` are where its code names it; none where the code
    cannot be searched."""

    what: str
    places: tuple[str, ...]


async def shape(migrations: Migrations, url: Secret) -> bytes:
    """Of the database behind this URL, packed. MigrationFailed when it cannot be asked."""
    async with await session.connect(_address(migrations, url), f"{session.WORKING}-shape") as connection:
        return (await _shape(connection)).packed()


async def losses(migrations: Migrations, url: Secret, then: bytes, running: Running) -> tuple[Loss, ...]:
    """What this release, which was made for the shape `then`, would miss now. MigrationFailed and TimeoutError when the
    database cannot be asked."""
    async with asyncio.timeout(PATIENCE.total_seconds()):
        async with await session.connect(_address(migrations, url), f"{session.WORKING}-shape") as connection:
            now = await _shape(connection)
    return await asyncio.to_thread(missing, Shape.unpacked(then), now, release(running, ()).code)


def missing(then: Shape, now: Shape, code: Code) -> tuple[Loss, ...]:
    """Pure but for reading the code."""
    found = []
    for what, places in _differences(then, now):
        named = places(code)
        if named or not code.certain:
            found.append(Loss(what, named))
    return tuple(found)


Places = Callable[[Code], tuple[str, ...]]


def _differences(then: Shape, now: Shape) -> Iterator[tuple[str, Places]]:
    for key, (columns, unique) in then.tables.items():
        short = key.rpartition(".")[2]
        table = now.tables.get(key)
        if table is None:
            yield f"{key} is gone", partial(Code.table, name=short)
            continue
        yield from _columns(key, columns, table[0])
        for names in sorted(unique - table[1]):
            said = f"({', '.join(names)}) of {key} is no longer unique"
            yield said, partial(_all_named, table=short, columns=names)
    for name in sorted(then.functions - now.functions):
        yield f"{name}() is gone", partial(Code.word, name=name)
    for name, values in then.enums.items():
        for value in values:
            if value not in now.enums.get(name, ()):
                yield f"{name} has no {value!r} any more", partial(Code.word, name=value)


def _columns(
    key: str, then: Mapping[str, tuple[str, bool]], now: Mapping[str, tuple[str, bool]]
) -> Iterator[tuple[str, Places]]:
    short = key.rpartition(".")[2]
    for name, (kind, needed) in then.items():
        if name not in now:
            yield f"{key}.{name} is gone", partial(Code.column, name=name, table=short)
            continue
        other, must = now[name]
        if kind != other and types.compatible(kind, types.split(other)) is False:
            yield f"{key}.{name} is {other} and was {kind}", partial(Code.column, name=name, table=short)
        if must and not needed:
            yield f"{key}.{name} has to be given a value", partial(Code.table, name=short)
    for name in now.keys() - then.keys():
        if now[name][1]:
            yield f"{key}.{name} is new and has to be given a value", partial(Code.table, name=short)


def _all_named(code: Code, table: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    """ON CONFLICT names its table and all of them."""
    places = [code.column(name, table) for name in columns]
    return places[0] if all(places) and code.table(table) else ()


async def _shape(connection: Connection) -> Shape:
    known = await facts(connection)
    rows: list[Any] = await (await connection.execute(_ENUMS.encode())).fetchall()
    return of(known, {name: tuple(values) for name, values in rows})


def of(known: Facts, enums: Mapping[str, tuple[str, ...]]) -> Shape:
    """Pure."""
    return Shape({key: _table(table) for key, table in known.tables.items()}, frozenset(known.functions), enums)


def _table(table: Table) -> tuple[Mapping[str, tuple[str, bool]], frozenset[tuple[str, ...]]]:
    # It holds for what is written also while it is NOT VALID.
    checked = {filled_text(each) for each in table.constraints}
    columns = {
        each.name: (each.type, (each.not_null or each.name in checked) and not each.default) for each in table.columns
    }
    return columns, frozenset(tuple(sorted(index.columns)) for index in table.indexes if index.unique and index.columns)


def _address(migrations: Migrations, url: Secret) -> Secret:
    return url if migrations.tool in tools.PROGRAMS else tools.dialect(migrations).address(url)
