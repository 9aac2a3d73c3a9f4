"""Reading the facts from a database: queries on the catalogue and the statistics, no table is read.

Asking for a size waits for whoever has locked the table against everybody; then what VACUUM last counted has to do.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import psycopg

from golive.migrate.history import Connection
from golive.migrate.lint.facts import Column, Constraint, Facts, Index, Table

_OWN = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
_TABLES = f"""
SELECT c.oid, n.nspname || '.' || c.relname, c.relkind::text,
       CASE WHEN c.reltuples < 0 THEN NULL ELSE c.reltuples::bigint END, {{size}}
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f') AND {_OWN}"""  # noqa: S608  # ours
_SIZE = "pg_total_relation_size(c.oid)"
_COUNTED = "c.relpages::bigint * current_setting('block_size')::bigint"
_COLUMNS = f"""
SELECT a.attrelid, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       a.atthasdef OR a.attidentity <> '', s.null_frac::float8
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
    AND NOT s.inherited
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'm', 'v', 'f') AND {_OWN}
ORDER BY a.attnum"""  # noqa: S608
_INDEXES = f"""
SELECT i.indrelid, x.relname::text, i.indisunique, i.indisprimary, s.idx_scan,
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey))
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_namespace n ON n.oid = x.relnamespace
LEFT JOIN pg_stat_all_indexes s ON s.indexrelid = i.indexrelid WHERE {_OWN}"""  # noqa: S608
_CONSTRAINTS = f"""
SELECT o.conrelid, o.conname::text, o.contype::text, o.convalidated, pg_get_constraintdef(o.oid)
FROM pg_constraint o JOIN pg_namespace n ON n.oid = o.connamespace WHERE o.conrelid <> 0 AND {_OWN}"""  # noqa: S608
_DOMAINS = f"""
SELECT DISTINCT t.typname::text FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_constraint o ON o.contypid = t.oid WHERE t.typtype = 'd' AND (t.typnotnull OR o.oid IS NOT NULL)
AND {_OWN}"""  # noqa: S608
_FUNCTIONS = f"""
SELECT p.proname::text, max(p.provolatile::text) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE {_OWN} GROUP BY 1"""  # noqa: S608  # of several with one name the most volatile


async def facts(connection: Connection) -> Facts:
    """Of the database behind this connection."""

    async def rows(query: str) -> list[Any]:
        return await (await connection.execute(query.encode())).fetchall()

    async def sized() -> list[Any]:
        try:
            return await rows(_TABLES.format(size=_SIZE))
        except psycopg.errors.LockNotAvailable:
            return await rows(_TABLES.format(size=_COUNTED))

    await connection.execute("SET lock_timeout = '500ms'")
    found = await rows("SELECT unnest(current_schemas(false))::text")
    columns: dict[int, list[Column]] = defaultdict(list)
    for table, *values in await rows(_COLUMNS):
        columns[table].append(Column(*values))
    indexes: dict[int, list[Index]] = defaultdict(list)
    for table, name, unique, primary, scans, names in await rows(_INDEXES):
        indexes[table].append(Index(name, tuple(names), unique, primary, scans))
    constraints: dict[int, list[Constraint]] = defaultdict(list)
    for table, *values in await rows(_CONSTRAINTS):
        constraints[table].append(Constraint(*values))
    tables = {
        key: Table(key, count, size, tuple(columns[oid]), tuple(indexes[oid]), tuple(constraints[oid]), kind)
        for oid, key, kind, count, size in await sized()
    }
    return Facts(
        tables,
        tuple(name for (name,) in found),
        frozenset(name for (name,) in await rows(_DOMAINS)),
        dict(await rows(_FUNCTIONS)),
    )
