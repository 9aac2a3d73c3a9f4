"""Two databases side by side: which tables each has, how many rows, and the newest of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from golive.backup.server import Server

EXACT = 1_000_000
"""Rows up to which they are counted; beyond that PostgreSQL's own estimate is told."""
_TABLES = """
SELECT n.nspname, c.relname, c.oid, greatest(c.reltuples, 0)::bigint,
    (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype)
     ORDER BY a.attname ~ '^(created|inserted)' DESC, a.attname ~ '(_at|time|date)' DESC, a.attnum LIMIT 1),
    (SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
     WHERE i.indrelid = c.oid AND i.indisprimary AND a.atttypid IN ('int4'::regtype, 'int8'::regtype))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'golive'
ORDER BY 1, 2"""


@dataclass(frozen=True)
class Seen:
    """A table. `newest` is its latest time or highest number, in words; empty where it has neither."""

    rows: int
    exact: bool
    newest: str


def tables(server: Server, database: str) -> dict[str, Seen]:
    """By name, `schema.table` outside of public. BackupFailed when it cannot be asked."""
    from psycopg.sql import SQL, Identifier

    found = {}
    with server.session(database) as session:
        for schema, name, _, estimate, moment, number in session.execute(_TABLES.encode()).fetchall():
            table = Identifier(schema, name)
            exact = estimate <= EXACT
            rows = _one(session, SQL("SELECT count(*) FROM {}").format(table)) if exact else estimate
            column = moment or number
            newest = ""
            if column and (exact or column == number):
                newest = str(_one(session, SQL("SELECT max({}) FROM {}").format(Identifier(column), table)) or "")
            found[name if schema == "public" else f"{schema}.{name}"] = Seen(rows, exact, newest)
    return found


async def side_by_side(live: Server, copy: Server, database: str) -> list[dict[str, Any]]:
    """As JSON, a line for each table of either; `live` and `copy` are null where it is not there."""
    here, there = tables(live, database), tables(copy, database)
    return [
        {"table": name, "live": _view(here.get(name)), "copy": _view(there.get(name))}
        for name in sorted({*here, *there})
    ]


def _view(seen: Seen | None) -> dict[str, Any] | None:
    return {"rows": seen.rows, "exact": seen.exact, "newest": seen.newest} if seen else None


def _one(session: Any, query: Any) -> Any:
    row = session.execute(query).fetchone()
    return row[0] if row else None
