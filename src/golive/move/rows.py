"""The PostgreSQL side of a move: what it notes about itself, the rows it writes, the changes that it is told of.

`golive.move` has a row for each move that is under way, `golive.move_change` the keys of rows that somebody else
changed, noted by a trigger in the writer's own transaction.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, LiteralString

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.errors import UndefinedTable
from psycopg.types.json import Jsonb

from golive.errors import GoliveError, MigrationFailed
from golive.move.mapping import Mapped, Row
from golive.secret import Secret

Connection = AsyncConnection[Any]
Truth = Literal["redis", "postgres"]
MOVING = "golive-move"
BATCH = 500
SLACK = 2
"""Seconds by which the ends of two times to live may differ: Redis says how long, and not until when."""
_TABLES = """
CREATE SCHEMA IF NOT EXISTS golive;
CREATE TABLE IF NOT EXISTS golive.move (
    name text PRIMARY KEY, truth text NOT NULL DEFAULT 'redis', both_ways boolean NOT NULL DEFAULT false,
    swept_at timestamptz, seen_at timestamptz, figures jsonb NOT NULL DEFAULT '{}', notify text);
CREATE TABLE IF NOT EXISTS golive.move_change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, move text NOT NULL, map integer NOT NULL, key jsonb NOT NULL);
CREATE OR REPLACE FUNCTION golive.move_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('golive.moving', true) = 'on' THEN RETURN NULL; END IF;
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO golive.move_change (move, map, key) VALUES (TG_ARGV[0], TG_ARGV[1]::int, to_jsonb(OLD));
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO golive.move_change (move, map, key) VALUES (TG_ARGV[0], TG_ARGV[1]::int, to_jsonb(NEW));
    END IF;
    RETURN NULL;
END $$"""
_COLUMNS = """
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
FROM pg_attribute a WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped"""
_UNIQUE = """
SELECT ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey))
FROM pg_index i WHERE i.indrelid = %s::regclass AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
AND i.indexprs IS NULL"""


@dataclass(frozen=True)
class Note:
    """`both_ways`: PostgreSQL is followed too; `truth` is the side that the app reads; `swept`: all was copied once."""

    truth: Truth
    both_ways: bool
    swept: bool


@asynccontextmanager
async def connected(url: Secret) -> AsyncIterator[Connection]:
    """An autocommit session whose writes are not noted as changes. GoliveError when there is none."""
    try:
        connection = await AsyncConnection.connect(
            url.reveal(), autocommit=True, prepare_threshold=None, application_name=MOVING, client_encoding="utf8",
            connect_timeout=10, options="-c golive.moving=on -c timezone=UTC",
        )  # fmt: skip
    except psycopg.Error as error:
        raise GoliveError(
            "the move cannot connect to PostgreSQL",
            why=str(error).strip().replace(url.reveal(), "…"),
            hint="it is tried again; the app goes on with what it reads",
        ) from None
    async with connection:
        yield connection


class Table:
    """The rows of one mapping. `index` is its place in the blueprint."""

    def __init__(self, mapped: Mapped, index: int, types: dict[str, str]) -> None:
        self.mapped = mapped
        self.index = index
        self._types = types
        self._name = sql.Identifier(*mapped.table.split("."))

    @classmethod
    async def of(cls, connection: Connection, mapped: Mapped, index: int) -> Table:
        """Checked against the mapping. MigrationFailed says what does not fit."""
        try:
            rows = await (await connection.execute(_COLUMNS, [mapped.table])).fetchall()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            raise _unfit(mapped, "there is no such table", "a migration makes it; deploy it first") from None
        types = {name: kind for name, kind, _ in rows}
        wanted = (*mapped.columns, *((mapped.expires,) if mapped.expires else ()))
        if unknown := [name for name in wanted if name not in types]:
            raise _unfit(mapped, f"it has no column {', '.join(unknown)}", f"it has {', '.join(types)}")
        if mapped.expires and types[mapped.expires] != "timestamp with time zone":
            raise _unfit(mapped, f"{mapped.expires} is {types[mapped.expires]}", "it has to be timestamptz")
        if left := [name for name, _, needed in rows if needed and name not in wanted]:
            raise _unfit(mapped, f"{', '.join(left)} would be empty and may not", "map it, or give it a default")
        keys = [set(names) for (names,) in await (await connection.execute(_UNIQUE, [mapped.table])).fetchall()]
        if set(mapped.parts) not in keys:
            listed = ", ".join(mapped.parts)
            raise _unfit(mapped, f"({listed}) is not its key", f"PRIMARY KEY ({listed}), or a unique index of these")
        return cls(mapped, index, types)

    async def write(self, connection: Connection, rows: Sequence[tuple[Row, float | None]], *, keep: bool) -> None:
        """Insert or replace rows, each with its seconds to live. `keep`: rows that are there stay as they are."""
        columns = [*self.mapped.columns, *([self.mapped.expires] if self.mapped.expires else [])]
        values = [self._value(name) for name in self.mapped.columns]
        if self.mapped.expires:
            values.append(sql.SQL("now() + %s::float8 * interval '1 second'"))
        others = [sql.Identifier(name) for name in columns if name not in self.mapped.parts]
        changes = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(name) for name in others)
        action = sql.SQL("NOTHING") if keep or not others else sql.SQL("UPDATE SET {}").format(changes)
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO {}").format(
            self._name, _listed(columns), sql.SQL(", ").join(values), _listed(self.mapped.parts), action
        )
        given = [
            [*(row[name] for name in self.mapped.columns), *([ttl] if self.mapped.expires else [])] for row, ttl in rows
        ]
        async with connection.transaction(), connection.cursor() as cursor:
            await cursor.executemany(statement, given)

    async def delete(self, connection: Connection, keys: Sequence[Row]) -> None:
        statement = sql.SQL("DELETE FROM {} WHERE {}").format(self._name, self._is_key())
        async with connection.transaction(), connection.cursor() as cursor:
            await cursor.executemany(statement, [[key[name] for name in self.mapped.parts] for key in keys])

    async def read(self, connection: Connection, keys: Sequence[Row]) -> list[tuple[Row, float | None] | None]:
        """Rows by their keys with their seconds to live, None where there is none. Values of a JSON object are JSON."""
        found: list[tuple[Row, float | None] | None] = []
        form = "to_jsonb({})::text" if self.mapped.kind == "json" else "{}::text"
        picked: list[sql.Composable] = [sql.SQL("{}::text").format(sql.Identifier(name)) for name in self.mapped.parts]
        picked += [sql.SQL(form).format(sql.Identifier(n)) for n in self.mapped.columns if n not in self.mapped.parts]
        life = sql.SQL("extract(epoch FROM {} - now())::float8").format(sql.Identifier(self.mapped.expires or ""))
        picked.append(life if self.mapped.expires else sql.SQL("NULL::float8"))
        statement = sql.SQL("SELECT {} FROM {} WHERE {}").format(sql.SQL(", ").join(picked), self._name, self._is_key())
        for row in await _each(connection, statement, [[key[name] for name in self.mapped.parts] for key in keys]):
            found.append((dict(zip(self.mapped.columns, row[:-1], strict=True)), row[-1]) if row else None)
        return found

    async def keys(self, connection: Connection) -> AsyncIterator[list[Row]]:
        """Of all rows, as text, some at a time."""
        picked = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in self.mapped.parts)
        async with connection.transaction(), connection.cursor(f"golive_move_{self.index}") as cursor:
            await cursor.execute(sql.SQL("SELECT {} FROM {}").format(picked, self._name))
            while rows := await cursor.fetchmany(BATCH):
                yield [dict(zip(self.mapped.parts, row, strict=True)) for row in rows]

    async def differing(self, connection: Connection, rows: Sequence[tuple[Row, float | None]]) -> list[int]:
        """Which of these are not in the table as they are here."""
        tests = [sql.SQL("{}").format(self._is_key())]
        for name in self.mapped.columns:
            if name not in self.mapped.parts:
                form = (
                    "{}::jsonb IS NOT DISTINCT FROM {}::jsonb"
                    if self._types[name] == "json"
                    else "{} IS NOT DISTINCT FROM {}"
                )
                tests.append(sql.SQL(form).format(sql.Identifier(name), self._value(name)))
        if self.mapped.expires:
            life = (
                "coalesce(abs(extract(epoch FROM {0} - now()) - %s::float8) <= {1}, {0} IS NULL AND %s::float8 IS NULL)"
            )
            tests.append(sql.SQL(life).format(sql.Identifier(self.mapped.expires), sql.Literal(SLACK)))
        statement = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(self._name, sql.SQL(" AND ").join(tests))
        others = [name for name in self.mapped.columns if name not in self.mapped.parts]
        values: list[list[Any]] = [
            [row[name] for name in (*self.mapped.parts, *others)] + ([ttl, ttl] if self.mapped.expires else [])
            for row, ttl in rows
        ]
        answers = await _each(connection, statement, values)
        return [at for at, answer in enumerate(answers) if not (answer and answer[0])]

    async def empty(self, connection: Connection) -> bool:
        row = await (await connection.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(self._name))).fetchone()
        return not (row and row[0])

    async def follow(self, connection: Connection, move: str) -> None:
        """Changes by others are noted from here on."""
        trigger = sql.Identifier(f"golive_move_{move}_{self.index}")
        await connection.execute(sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(trigger, self._name))
        await connection.execute(
            sql.SQL(
                "CREATE TRIGGER {} AFTER INSERT OR UPDATE OR DELETE ON {} FOR EACH ROW"
                " EXECUTE FUNCTION golive.move_note({}, {})"
            ).format(trigger, self._name, sql.Literal(move), sql.Literal(str(self.index)))
        )

    async def leave(self, connection: Connection, move: str) -> None:
        trigger = sql.Identifier(f"golive_move_{move}_{self.index}")
        await connection.execute(sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(trigger, self._name))

    def _value(self, name: str) -> sql.Composable:
        return sql.SQL("%s::") + sql.SQL(self._types[name])  # PostgreSQL's own name of a type

    def _is_key(self) -> sql.Composable:
        return sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), self._value(name)) for name in self.mapped.parts
        )


async def _each(connection: Connection, statement: sql.Composed, values: Sequence[Sequence[Any]]) -> list[Any]:
    """The first row of each, sent without waiting for one another."""
    async with connection.pipeline():
        cursors = [await connection.execute(statement, given) for given in values]
    return [await cursor.fetchone() for cursor in cursors]


async def prepare(connection: Connection, move: str) -> None:
    """The tables of all moves, and the row of this one."""
    async with connection.transaction():
        await connection.execute(_TABLES)
        await connection.execute("INSERT INTO golive.move (name) VALUES (%s) ON CONFLICT DO NOTHING", [move])


async def note(connection: Connection, move: str) -> Note | None:
    """None when the move is not under way."""
    row = await _row(connection, "SELECT truth, both_ways, swept_at IS NOT NULL FROM golive.move WHERE name = %s", move)
    return Note(*row) if row else None


async def figures(connection: Connection, move: str) -> dict[str, Any]:
    """What the worker counted last, and how many seconds ago it said so."""
    statement = "SELECT figures, extract(epoch FROM now() - seen_at)::float8 FROM golive.move WHERE name = %s"
    row = await _row(connection, statement, move)
    return {**row[0], "seen": row[1]} if row else {}


async def _row(connection: Connection, statement: LiteralString, move: str) -> tuple[Any, ...] | None:
    """None when the move is over, even if it was not when this began."""
    if not await _exists(connection):
        return None
    try:
        return await (await connection.execute(statement, [move])).fetchone()
    except UndefinedTable:
        return None


async def say(connection: Connection, move: str, counted: dict[str, Any], *, swept: bool) -> None:
    statement = (
        "UPDATE golive.move SET figures = %s, seen_at = now(),"
        " swept_at = CASE WHEN %s THEN coalesce(swept_at, now()) ELSE swept_at END WHERE name = %s"
    )
    await connection.execute(statement, [Jsonb(counted), swept, move])


async def set_truth(connection: Connection, move: str, truth: Truth, *, both_ways: bool) -> None:
    statement = "UPDATE golive.move SET truth = %s, both_ways = %s WHERE name = %s"
    await connection.execute(statement, [truth, both_ways, move])


async def changes(connection: Connection, move: str) -> list[tuple[int, int, Row]]:
    """The oldest changes by others: id, mapping and the row as text."""
    statement = "SELECT id, map, key FROM golive.move_change WHERE move = %s ORDER BY id LIMIT %s"
    rows = await (await connection.execute(statement, [move, BATCH])).fetchall()
    return [(id, index, {k: None if v is None else str(v) for k, v in key.items()}) for id, index, key in rows]


async def done(connection: Connection, ids: Sequence[int]) -> None:
    await connection.execute("DELETE FROM golive.move_change WHERE id = ANY (%s)", [list(ids)])


async def waiting(connection: Connection, move: str) -> int:
    row = await (await connection.execute("SELECT count(*) FROM golive.move_change WHERE move = %s", [move])).fetchone()
    return int(row[0]) if row else 0


async def forget(connection: Connection, move: str, tables: Sequence[Table]) -> None:
    """Nothing is noted any more; the rows stay. The last move takes the bookkeeping with it."""
    async with connection.transaction():
        for table in tables:
            await table.leave(connection, move)
        await connection.execute("DELETE FROM golive.move_change WHERE move = %s", [move])
        await connection.execute("DELETE FROM golive.move WHERE name = %s", [move])
        row = await (await connection.execute("SELECT count(*) FROM golive.move")).fetchone()
        if row and row[0] == 0:
            await connection.execute("DROP TABLE golive.move, golive.move_change")
            await connection.execute("DROP FUNCTION golive.move_note()")


async def _exists(connection: Connection) -> bool:
    row = await (await connection.execute("SELECT to_regclass('golive.move') IS NOT NULL")).fetchone()
    return bool(row and row[0])


def _listed(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _unfit(mapped: Mapped, why: str, hint: str) -> MigrationFailed:
    return MigrationFailed(
        f"the table {mapped.table} does not fit the keys {mapped.keys}",
        where=mapped.table,
        why=why,
        hint=f"{hint}. Nothing was changed.",
    )
