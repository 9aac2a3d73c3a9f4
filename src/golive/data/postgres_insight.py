"""Pure: PostgreSQL's facts to findings, each with the command that mends it."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from golive.data.insight import Finding, Level, named, without_values, worst_first
from golive.data.postgres_facts import Index, PostgresFacts, Session
from golive.units import human_duration, human_size

MIB = 2**20
DAY = 86_400.0
HARD_LIMIT = 2_000_000_000
"""Transaction ids until PostgreSQL refuses to write (manual, 24.1.5: at 3 million before 2^31)."""


@dataclass(frozen=True)
class Limits:
    """From where something is worth a word. Sizes in bytes, times in seconds, shares of one."""

    connections: float = 0.8
    cache: float = 0.95
    cache_reads: int = 100_000
    counted: float = 7 * DAY
    unused_index: int = 8 * MIB
    scanned_table: int = 16 * MIB
    scans: int = 1000
    foreign_key_table: int = MIB
    bloat: float = 0.5
    bloat_size: int = 32 * MIB
    dead: float = 0.2
    dead_rows: int = 10_000
    never_analyzed: int = 1000
    open: float = 300
    idle: float = 60
    sequence: float = 0.75
    slow: float = 500
    slow_calls: int = 5
    frozen: float = 1.5
    """Times the age at which autovacuum freezes by force: then it does not get there."""


USUAL = Limits()


def findings(facts: PostgresFacts, limits: Limits = USUAL) -> tuple[Finding, ...]:
    return worst_first(finding for rule in RULES for finding in rule(facts, limits))


def _connections(facts: PostgresFacts, limits: Limits) -> Iterator[Finding]:
    used, room = sum(facts.connections.values()), facts.server.max_connections - facts.server.reserved
    if used < room * limits.connections:
        return
    level: Level = "critical" if used >= room * 0.95 else "warning"
    todo = "give each instance a smaller pool (DB_POOL_MAX and the like), or put PgBouncer before the database"
    if idle := facts.connections.get("idle", 0):
        todo += f"; {idle} of them are idle"
    yield Finding(level, "connections", "connections", f"{used} of {room} connections are taken", todo)


def _sessions(facts: PostgresFacts, limits: Limits) -> Iterator[Finding]:
    blocks: dict[int, int] = defaultdict(int)
    for session in facts.sessions:
        for pid in session.blocked_by:
            blocks[pid] += 1
    for session in facts.sessions:
        about = f"session {session.pid}"
        behind = f", and {blocks[session.pid]} wait for its locks" if blocks[session.pid] else ""
        level: Level = "critical" if behind else "warning"
        end = f"SELECT pg_terminate_backend({session.pid});"
        if session.state.startswith("idle in transaction") and session.quiet >= limits.idle:
            what = f"idle in a transaction for {human_duration(session.quiet)}{behind}; {_last(session)}"
            never = "SET idle_in_transaction_session_timeout = '60s'"
            yield Finding(level, "idle-in-transaction", about, what, f"{end} and, in the app, commit or {never}")
        elif session.open >= limits.open:
            what = f"a transaction open for {human_duration(session.open)}{behind}; {_last(session)}"
            yield Finding(level, "long-transaction", about, what, f"{end} when it is not meant to; vacuum waits for it")


def _last(session: Session) -> str:
    who = f" of {session.application}" if session.application else ""
    return f"its last statement{who}: {without_values(session.query, 100)}" if session.query else f"a session{who}"


def _wraparound(facts: PostgresFacts, limits: Limits) -> Iterator[Finding]:
    server = facts.server
    ages = (
        ("transaction", server.xid_age, server.freeze_at),
        ("multixact", server.multixact_age, server.multixact_freeze_at),
    )
    for kind, age, freeze_at in ages:
        if age < freeze_at * limits.frozen:
            continue
        level: Level = "critical" if age > HARD_LIMIT // 2 else "warning"
        what = (
            f"the oldest {kind} id is {age:,} old, autovacuum freezes from {freeze_at:,}; at {HARD_LIMIT:,} writes stop"
        )
        todo = "end old transactions, prepared ones and replication slots, then VACUUM (FREEZE) as its owner"
        yield Finding(level, "wraparound", server.database, what, todo)


def _sequences(facts: PostgresFacts, limits: Limits) -> Iterator[Finding]:
    for each in facts.sequences:
        share = each.last / each.limit
        if share < limits.sequence:
            continue
        what = f"{share:.0%} used: {each.last:,} of {each.limit:,}"
        todo = "let it begin anew where ids may be used again, or make it a bigint"
        if each.table and each.column:
            what += f", in {named(each.schema, each.table)}.{named(each.column)} ({each.type})"
            column = f"ALTER TABLE {named(each.schema, each.table)} ALTER COLUMN {named(each.column)} TYPE bigint;"
            begin = f"ALTER SEQUENCE {named(each.schema, each.name)} AS bigint; {column}"
            todo = (
                f"{begin} rewrites the table under a lock: on a"
                " large one add a bigint column, fill it in batches and swap the two"
            )
        level: Level = "critical" if share >= 0.9 else "warning"
        yield Finding(level, "sequence", named(each.schema, each.name), what, todo)


def _invalid(facts: PostgresFacts, _: Limits) -> Iterator[Finding]:
    for index in facts.indexes:
        if not index.valid and not index.building:
            what = "invalid: its building was broken off; it costs every write and serves no query"
            yield Finding("warning", "invalid-index", _name(index), what, _reindex(_name(index)))


def _bloat(facts: PostgresFacts, limits: Limits) -> Iterator[Finding]:
    for each in facts.bloat:
        if each.wasted < limits.bloat_size or each.wasted < each.size * limits.bloat:
            continue
        name = named(each.schema, each.name)
        what = f"about {human_size(each.wasted)} of {human_size(each.size)} are gaps (estimate)"
        todo = _reindex(name)
        if each.kind == "table":
            todo = f"{_vacuum(name)} lets new rows use them; pg_repack gives them back to the disk without a lock"
        yield Finding("warning", f"{each.kind}-bloat", name, what, todo)


def _dead(facts: PostgresFacts, limits: Limits) -> Iterator[Finding]:
    for table in facts.tables:
        name = named(table.schema, table.name)
        if table.dead >= limits.dead_rows and table.dead >= table.rows * limits.dead:
            when = f"{human_duration(table.vacuumed)} ago" if table.vacuumed is not None else "never"
            what = f"{table.dead:,} dead rows beside {table.rows:,} live ones, vacuumed {when}"
            yield Finding("warning", "dead-rows", name, what, _vacuum(name))
        elif table.analyzed is None and table.table >= limits.never_analyzed * 8192:
            what = "never analyzed: the planner guesses how many rows there are"
            yield Finding("warning", "never-analyzed", name, what, _vacuum(name))


def _scans(facts: PostgresFacts, limits: Limits) -> Iterator[Finding]:
    for table in facts.tables:
        if table.table < limits.scanned_table or table.seq_scans < limits.scans:
            continue
        each = table.seq_rows // max(table.seq_scans, 1)
        what = (
            f"{table.seq_scans:,} times read from end to end, {each:,} rows each; {table.index_scans:,} times by index"
        )
        todo = "look at its slow queries with EXPLAIN, then CREATE INDEX CONCURRENTLY on the columns they filter by"
        yield Finding("warning", "missing-index", named(table.schema, table.name), what, todo)


def _foreign_keys(facts: PostgresFacts, limits: Limits) -> Iterator[Finding]:
    for key in facts.foreign_keys:
        if key.size < limits.foreign_key_table:
            continue
        name, columns = named(key.schema, key.table), ", ".join(named(column) for column in key.columns)
        what = f"{key.name} ({columns}) has no index: each delete in {key.target} reads all of the table"
        todo = f"CREATE INDEX CONCURRENTLY ON {name} ({columns});"
        yield Finding("warning", "foreign-key-without-index", name, what, todo)


def _duplicates(facts: PostgresFacts, _: Limits) -> Iterator[Finding]:
    alike: dict[tuple[str, str, str], list[Index]] = defaultdict(list)
    for index in facts.indexes:
        if index.valid:
            alike[index.schema, index.table, index.shape].append(index)
    for group in alike.values():
        # The one that is kept: what a constraint needs, then what is unique, then what is used most.
        keep, *rest = sorted(group, key=lambda index: (not index.needed, not index.unique, -index.scans, index.name))
        for index in rest:
            if not index.needed and (not index.unique or keep.unique):
                what = f"the same as {keep.name}; {human_size(index.size)}, written at every change of the table"
                yield Finding("warning", "duplicate-index", _name(index), what, _drop(index))


def _unused(facts: PostgresFacts, limits: Limits) -> Iterator[Finding]:
    if facts.server.counted < limits.counted:
        return  # too early to tell: a monthly report may need it
    for index in facts.indexes:
        if (
            index.valid
            and not index.scans
            and not index.needed
            and not index.unique
            and index.size >= limits.unused_index
        ):
            since = human_duration(facts.server.counted)
            what = f"not used in {since} on this server; {human_size(index.size)}, written at every change of the table"
            yield Finding(
                "note", "unused-index", _name(index), what, f"{_drop(index)} unless a replica or a rare job uses it"
            )


def _drop(index: Index) -> str:
    return f"DROP INDEX CONCURRENTLY {_name(index)};"


def _vacuum(table: str) -> str:
    return f"golive db vacuum {_word(table)}"


def _reindex(index: str) -> str:
    return f"golive db reindex {_word(index)}"


def _word(name: str) -> str:
    """As a shell takes it."""
    return shlex.quote(name)


def _name(index: Index) -> str:
    return named(index.schema, index.name)


def _cache(facts: PostgresFacts, limits: Limits) -> Iterator[Finding]:
    asked = facts.server.hits + facts.server.reads
    if asked >= limits.cache_reads and (rate := facts.server.hits / asked) < limits.cache:
        what = f"{rate:.1%} of the blocks were in PostgreSQL's cache"
        todo = "more `memory` for the resource in golive.toml, or indexes for what reads whole tables"
        yield Finding("warning", "cache", facts.server.database, what, todo)


def _slow(facts: PostgresFacts, limits: Limits) -> Iterator[Finding]:
    for each in facts.slow:
        if each.mean >= limits.slow and each.calls >= limits.slow_calls:
            what = f"{human_duration(each.mean / 1000)} each time, {each.calls:,} times: {without_values(each.query)}"
            yield Finding(
                "warning",
                "slow-query",
                "a query",
                what,
                "EXPLAIN (ANALYZE, BUFFERS) in golive db shell says where the time goes",
            )


def _server(facts: PostgresFacts, _: Limits) -> Iterator[Finding]:
    if facts.statements == "no extension":
        todo = "CREATE EXTENSION pg_stat_statements; the provider may have a switch for it"
        yield Finding("note", "no-statements", facts.server.database, "slow queries are not counted", todo)
    if facts.statements == "not loaded":
        what = "slow queries are not counted: the server runs without pg_stat_statements"
        todo = "with it in shared_preload_libraries it needs one restart; for golive's own: golive down, golive up"
        yield Finding("note", "no-statements", facts.server.database, what, todo)
    if facts.after_restart:
        what = f"{', '.join(facts.after_restart)} changed, in force after a restart of the server"
        yield Finding("note", "restart", facts.server.database, what, "when a pause is fine: golive down, golive up")


RULES: tuple[Callable[[PostgresFacts, Limits], Iterator[Finding]], ...] = (
    *(_connections, _sessions, _wraparound, _sequences, _invalid, _bloat, _dead, _scans, _foreign_keys),
    *(_duplicates, _unused, _cache, _slow, _server),
)
