"""Indexes built CONCURRENTLY: a failed build leaves an invalid index, which IF NOT EXISTS then takes for a good one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from psycopg import sql

from golive.migrate.history import Connection
from golive.migrate.sql import Statement

_LONGEST = 63  # bytes of a name; PostgreSQL cuts the rest off
_PART = r'"(?:[^"]|"")+"|[^\s."(]+'
_CREATE = re.compile(
    rf"CREATE (?:UNIQUE )?INDEX CONCURRENTLY (?:IF NOT EXISTS )?(?P<name>{_PART}) ON (?:ONLY )?"
    rf"(?P<table>(?:{_PART})(?: \. (?:{_PART}))*)"
)
_REINDEX = re.compile(rf"REINDEX .*?\bCONCURRENTLY(?: \))? (?:INDEX |TABLE )?(?P<name>(?:{_PART})(?: \. (?:{_PART}))*)")
# The schema of an index is its table's. What somebody builds at this moment is invalid too, and not ours to drop.
_LOOK = """
SELECT n.nspname, c.relname, i.indisvalid AND i.indisready,
       EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid)
FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_namespace n ON n.oid = c.relnamespace
"""
_NAMED = "WHERE c.relname = %s AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass(%s))"
# REINDEX CONCURRENTLY leaves the new index as _ccnew or the old one as _ccold. %s is the table, or one of its indexes.
_REBUILT = """
WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$' AND i.indrelid IN
    (SELECT to_regclass(%s) UNION SELECT indrelid FROM pg_index WHERE indexrelid = to_regclass(%s))"""


# That of a partitioned table is invalid until each partition has its own.
_INVALID = "WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname NOT LIKE 'pg\\_%%' ORDER BY 1, 2"


@dataclass(frozen=True)
class Index:
    schema: str
    name: str
    valid: bool
    building: bool

    @property
    def quoted(self) -> str:
        """For a command that somebody copies."""
        return sql.Identifier(self.schema, self.name).as_string(None)


async def made_by(connection: Connection, statement: Statement) -> Index | None:
    """The index that a CREATE INDEX CONCURRENTLY makes, when there is one of that name."""
    match = _CREATE.match(statement.head)
    if not match:
        return None
    found = await _indexes(connection, _NAMED, [_identifier(match["name"]), match["table"].replace(" . ", ".")])
    return found[0] if found else None


async def clear_invalid(connection: Connection, statement: Statement) -> tuple[str, ...]:
    """Drop what an interrupted build of this statement left behind; the names of what was dropped."""
    left = await _left(connection, statement)
    for index in left:
        await drop(connection, index)
    return tuple(index.name for index in left)


async def drop(connection: Connection, index: Index) -> None:
    name = sql.Identifier(index.schema, index.name)
    await connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name))


async def invalid(connection: Connection) -> tuple[Index, ...]:
    """All of the database that nobody builds at this moment: they cost every write and serve no query."""
    return tuple(index for index in await _indexes(connection, _INVALID, []) if not index.building)


async def _left(connection: Connection, statement: Statement) -> list[Index]:
    made = await made_by(connection, statement)
    if made:
        return [made] if not made.valid and not made.building else []
    if match := _REINDEX.match(statement.head):
        name = match["name"].replace(" . ", ".")
        return [i for i in await _indexes(connection, _REBUILT, [name, name]) if not i.building]
    return []


async def _indexes(connection: Connection, where: str, values: list[str]) -> list[Index]:
    cursor = await connection.execute(f"{_LOOK} {where}".encode(), values)
    return [Index(*row) for row in await cursor.fetchall()]


def _identifier(text: str) -> str:
    """A name as the catalogue holds it: unquoted ones in small letters."""
    name = text[1:-1].replace('""', '"') if text.startswith('"') else text.lower()
    return name.encode()[:_LONGEST].decode(errors="ignore")
