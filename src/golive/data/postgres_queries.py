# ruff: noqa: S608  # put together of constants
"""The questions to PostgreSQL's catalogs and counters (manual, chapters 28 and 53), for 13 and newer.

Sizes are asked twice: exactly, which waits for a table that is locked exclusively, and as of the last vacuum.
"""

from __future__ import annotations

MARK = "/* golive"

SIZE = "SELECT pg_database_size(current_database())"

SERVER = """
SELECT split_part(current_setting('server_version'), ' ', 1), current_database()::text,
    pg_database_size(current_database()),
    extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8,
    extract(epoch FROM clock_timestamp() - greatest(s.stats_reset, pg_postmaster_start_time()))::float8,
    current_setting('max_connections')::int,
    current_setting('superuser_reserved_connections')::int,
    s.blks_hit, s.blks_read,
    age(d.datfrozenxid), current_setting('autovacuum_freeze_max_age')::int,
    mxid_age(d.datminmxid), current_setting('autovacuum_multixact_freeze_max_age')::int,
    (SELECT json_object_agg(name, current_setting(name) ORDER BY name) FROM pg_settings
     WHERE name IN ('shared_buffers', 'effective_cache_size', 'work_mem', 'maintenance_work_mem'))
FROM pg_database d JOIN pg_stat_database s ON s.datid = d.oid WHERE d.datname = current_database()"""

# An account without pg_monitor sees that there are sessions of others, not what they do.
CONNECTIONS = """
SELECT coalesce(state, 'of others'), count(*) FROM pg_stat_activity
WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend' AND pid <> pg_backend_pid()
GROUP BY 1 ORDER BY 2 DESC"""

_USER = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'"
_BLOCK = "current_setting('block_size')::int8"

_TABLES = """
SELECT n.nspname::text, c.relname::text, greatest(c.reltuples, 0)::int8, {table}, {indexes}, {toast},
    coalesce(s.seq_scan, 0), coalesce(s.seq_tup_read, 0), coalesce(s.idx_scan, 0), coalesce(s.n_dead_tup, 0),
    extract(epoch FROM clock_timestamp() - greatest(s.last_vacuum, s.last_autovacuum))::float8,
    extract(epoch FROM clock_timestamp() - greatest(s.last_analyze, s.last_autoanalyze))::float8
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND {user} ORDER BY 4 + 5 + 6 DESC, 1, 2"""

_TOAST = "coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0)"
TABLES = _TABLES.format(
    table=f"pg_table_size(c.oid) - {_TOAST}", indexes="pg_indexes_size(c.oid)", toast=_TOAST, user=_USER
).replace("ORDER BY 4 + 5 + 6", "ORDER BY pg_total_relation_size(c.oid)")
TABLE_PAGES = _TABLES.format(
    table=f"c.relpages * {_BLOCK}",
    indexes="coalesce((SELECT sum(i.relpages) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid"
    f" WHERE x.indrelid = c.oid)::int8 * {_BLOCK}, 0)",
    toast=f"coalesce((SELECT t.relpages FROM pg_class t WHERE t.oid = c.reltoastrelid) * {_BLOCK}, 0)",
    user=_USER,
).replace("ORDER BY 4 + 5 + 6", "ORDER BY c.relpages")

_INDEXES = """
SELECT n.nspname::text, t.relname::text, i.relname::text, {size}, coalesce(s.idx_scan, 0), x.indisunique,
    x.indisprimary OR x.indisreplident OR x.indisexclusion
        OR EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x', 'f'))
        OR EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = x.indexrelid),
    x.indisvalid AND x.indisready,
    EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = x.indexrelid),
    m.amname::text, x.indkey::text,
    concat_ws('|', m.amname, x.indnkeyatts, x.indkey, x.indclass, x.indcollation, x.indoption,
        pg_get_expr(x.indexprs, x.indrelid), '/', pg_get_expr(x.indpred, x.indrelid), i.reloptions)
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace JOIN pg_am m ON m.oid = i.relam
LEFT JOIN pg_stat_all_indexes s ON s.indexrelid = x.indexrelid
WHERE i.relkind = 'i' AND t.relpersistence <> 't' AND {user} ORDER BY 1, 2, 3"""
INDEXES = _INDEXES.format(size="pg_relation_size(i.oid)", user=_USER)
INDEX_PAGES = _INDEXES.format(size=f"i.relpages * {_BLOCK}", user=_USER)

FOREIGN_KEYS = f"""
SELECT n.nspname::text, t.relname::text, k.conname::text,
    ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u (n, at)
        JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = u.n ORDER BY u.at),
    k.confrelid::regclass::text, t.relpages * {_BLOCK}
FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE k.contype = 'f' AND t.relkind = 'r' AND {_USER} AND NOT EXISTS (
    SELECT FROM pg_index x WHERE x.indrelid = t.oid AND x.indisvalid AND x.indpred IS NULL
    AND (x.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey)
ORDER BY t.relpages DESC, 1, 2, 3"""

# Width of a row: its header (24), its line pointer (4) and the columns' average widths, aligned to 8.
TABLE_BLOAT = f"""
WITH width AS (
    SELECT schemaname, tablename, sum((1 - null_frac) * avg_width) AS bytes, count(*) AS columns
    FROM pg_stats WHERE NOT inherited GROUP BY 1, 2)
SELECT n.nspname::text, c.relname::text, c.relpages * {_BLOCK},
    (ceil(c.reltuples * (28 + 8 * ceil(w.bytes / 8)) / (({_BLOCK} - 24) * coalesce((
        SELECT option_value::float8 FROM pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'
    ), 100) / 100)) * {_BLOCK})::int8
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN width w ON w.schemaname = n.nspname AND w.tablename = c.relname
WHERE c.relkind IN ('r', 'm') AND c.reltuples > 0 AND c.relpages > 8 AND {_USER}
    AND w.columns = (
        SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)"""

# Of an entry: its header (8) and line pointer (4); leaf pages are filled to nine tenths.
INDEX_BLOAT = f"""
SELECT n.nspname::text, i.relname::text, i.relpages * {_BLOCK},
    ((ceil(i.reltuples * (12 + 8 * ceil(w.bytes / 8)) / (({_BLOCK} - 40) * coalesce((
        SELECT option_value::float8 FROM pg_options_to_table(i.reloptions) WHERE option_name = 'fillfactor'
    ), 90) / 100)) + 1) * {_BLOCK})::int8
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace JOIN pg_am m ON m.oid = i.relam AND m.amname = 'btree'
CROSS JOIN LATERAL (
    SELECT sum((1 - s.null_frac) * s.avg_width) AS bytes, count(*) AS columns
    FROM pg_attribute a JOIN pg_stats s
        ON s.schemaname = n.nspname AND s.tablename = t.relname AND s.attname = a.attname AND NOT s.inherited
    WHERE a.attrelid = t.oid AND a.attnum = ANY (x.indkey::int2[])) w
WHERE x.indexprs IS NULL AND x.indisvalid AND i.relpages > 8 AND i.reltuples >= 0 AND {_USER}
    AND w.columns = x.indnatts"""

SESSIONS = """
SELECT pid, coalesce(state, ''), extract(epoch FROM clock_timestamp() - xact_start)::float8,
    coalesce(extract(epoch FROM clock_timestamp() - state_change), 0)::float8,
    coalesce(application_name, ''), coalesce(query, ''), pg_blocking_pids(pid)
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
    AND backend_type = 'client backend'
ORDER BY 3 DESC LIMIT 100"""

SEQUENCES = """
SELECT s.schemaname::text, s.sequencename::text, s.last_value, least(s.max_value,
    CASE a.atttypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647 ELSE s.max_value END),
    t.relname::text, a.attname::text, format_type(a.atttypid, NULL)
FROM pg_sequences s JOIN pg_namespace n ON n.nspname = s.schemaname
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.sequencename AND c.relkind = 'S'
LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
    AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
LEFT JOIN pg_class t ON t.oid = d.refobjid
LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE s.last_value IS NOT NULL AND NOT s.cycle AND s.increment_by > 0"""

AFTER_RESTART = "SELECT name::text FROM pg_settings WHERE pending_restart ORDER BY 1"

STATEMENTS_SCHEMA = """
SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements'"""


def statements(schema: str) -> str:
    """The ten that took most time together; `schema` is quoted already. Not what golive asks, nor what is hidden."""
    return f"""
SELECT query, calls, total_exec_time, mean_exec_time, rows FROM {schema}.pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND calls > 0
    AND query NOT LIKE '{MARK}%' AND query <> '<insufficient privilege>'
ORDER BY total_exec_time DESC LIMIT 10"""
