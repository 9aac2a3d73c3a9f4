"""What PostgreSQL knows about itself, read with the app's own account: the same for ours and for somebody else's.

One read-only transaction, so that it holds through a pooler too; what the account may not see is left out and listed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from golive.data import postgres_queries as queries

if TYPE_CHECKING:
    from psycopg import AsyncConnection

T = TypeVar("T")
Statements = Literal["read", "no extension", "not loaded", "not allowed"]


@dataclass(frozen=True)
class Server:
    """`up` and `counted` in seconds: since its start, and since its counters began."""

    version: str
    database: str
    size: int
    up: float
    counted: float
    max_connections: int
    reserved: int
    hits: int
    reads: int
    xid_age: int
    freeze_at: int
    multixact_age: int
    multixact_freeze_at: int
    memory: dict[str, str] = field(default_factory=dict)
    """Settings that say how much it may take, as it writes them."""


@dataclass(frozen=True)
class Table:
    """Sizes in bytes. `rows` is the planner's estimate, `vacuumed` and `analyzed` seconds ago or None for never."""

    schema: str
    name: str
    rows: int
    table: int
    indexes: int
    toast: int
    seq_scans: int
    seq_rows: int
    index_scans: int
    dead: int
    vacuumed: float | None
    analyzed: float | None

    @property
    def total(self) -> int:
        return self.table + self.indexes + self.toast


@dataclass(frozen=True)
class Index:
    """`shape` is equal for two indexes that are the same but for their name; `keys` are the columns' numbers."""

    schema: str
    table: str
    name: str
    size: int
    scans: int
    unique: bool
    needed: bool
    """A constraint, a replica identity or a partitioned index depends on it."""
    valid: bool
    building: bool
    method: str
    keys: tuple[int, ...]
    shape: str


@dataclass(frozen=True)
class ForeignKey:
    schema: str
    table: str
    name: str
    columns: tuple[str, ...]
    target: str
    size: int


@dataclass(frozen=True)
class Bloat:
    """`size` on disk and `expected` of the same rows without gaps, in bytes; estimated from the statistics."""

    kind: Literal["table", "index"]
    schema: str
    name: str
    size: int
    expected: int

    @property
    def wasted(self) -> int:
        return max(self.size - self.expected, 0)


@dataclass(frozen=True)
class Session:
    """One with a transaction open. `open` and `quiet` in seconds: the transaction's age, and since its last change."""

    pid: int
    state: str
    open: float
    quiet: float
    application: str
    query: str
    blocked_by: tuple[int, ...]


@dataclass(frozen=True)
class Sequence:
    """`limit` is the smaller of the sequence's own and its column's."""

    schema: str
    name: str
    last: int
    limit: int
    table: str | None
    column: str | None
    type: str | None


@dataclass(frozen=True)
class Slow:
    """A statement of pg_stat_statements, without values; times in milliseconds."""

    query: str
    calls: int
    total: float
    mean: float
    rows: int


@dataclass(frozen=True)
class PostgresFacts:
    server: Server
    connections: dict[str, int]
    tables: tuple[Table, ...] = ()
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    bloat: tuple[Bloat, ...] = ()
    sessions: tuple[Session, ...] = ()
    sequences: tuple[Sequence, ...] = ()
    slow: tuple[Slow, ...] = ()
    statements: Statements = "read"
    after_restart: tuple[str, ...] = ()
    hidden: tuple[str, ...] = field(default_factory=tuple)
    """What the account may not read, or a lock kept from being read, by name."""


async def read_facts(connection: AsyncConnection[Any]) -> PostgresFacts:
    """psycopg.Error when not even the server's own numbers can be had."""
    async with connection.transaction():
        await connection.execute("SET TRANSACTION READ ONLY")
        await connection.execute("SET LOCAL statement_timeout = '20s'")
        await connection.execute("SET LOCAL lock_timeout = '500ms'")
        return await _Reader(connection).all()


async def read_tables(connection: AsyncConnection[Any]) -> tuple[int, tuple[Table, ...]]:
    """The size of the database in bytes, and its tables, the largest first."""
    async with connection.transaction():
        await connection.execute("SET TRANSACTION READ ONLY")
        await connection.execute("SET LOCAL lock_timeout = '500ms'")
        reader = _Reader(connection)
        size = (await reader.rows("size", queries.SIZE))[0][0]
        return size, await reader.tables()


class _Reader:
    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection
        self._hidden: list[str] = []

    async def all(self) -> PostgresFacts:
        server = Server(*(await self.rows("server", queries.SERVER))[0])
        statements, slow = await self._slow()
        return PostgresFacts(
            server,
            dict(await self.some("connections", queries.CONNECTIONS, _pair)),
            await self.tables(),
            await self._sized("indexes", queries.INDEXES, queries.INDEX_PAGES, _index),
            await self.some("foreign keys", queries.FOREIGN_KEYS, _foreign_key),
            (
                *await self.some("table bloat", queries.TABLE_BLOAT, lambda row: Bloat("table", *row)),
                *await self.some("index bloat", queries.INDEX_BLOAT, lambda row: Bloat("index", *row)),
            ),
            await self.some("sessions", queries.SESSIONS, _session),
            await self.some("sequences", queries.SEQUENCES, lambda row: Sequence(*row)),
            slow,
            statements,
            await self.some("settings", queries.AFTER_RESTART, lambda row: str(row[0])),
            tuple(self._hidden),
        )

    async def tables(self) -> tuple[Table, ...]:
        return await self._sized("tables", queries.TABLES, queries.TABLE_PAGES, lambda row: Table(*row))

    async def _sized(self, name: str, exact: str, pages: str, make: Callable[[Any], T]) -> tuple[T, ...]:
        """Sizes as of the last vacuum where somebody's exclusive lock keeps the exact ones."""
        from psycopg import errors

        try:
            return tuple(make(row) for row in await self.rows(name, exact))
        except (errors.LockNotAvailable, errors.QueryCanceled):
            self._hidden.append(f"exact sizes of {name}")
            return await self.some(name, pages, make)

    async def _slow(self) -> tuple[Statements, tuple[Slow, ...]]:
        from psycopg import errors

        found = await self.rows("extension", queries.STATEMENTS_SCHEMA)
        if not found:
            return "no extension", ()
        try:
            rows = await self.rows("statements", queries.statements(found[0][0]))
        except errors.ObjectNotInPrerequisiteState:
            return "not loaded", ()
        except errors.InsufficientPrivilege:
            return "not allowed", ()
        return "read", tuple(Slow(*row) for row in rows)

    async def some(self, name: str, query: str, make: Callable[[Any], T]) -> tuple[T, ...]:
        """Nothing, and a word in `hidden`, where the account may not ask this or it takes too long."""
        from psycopg import errors

        try:
            return tuple(make(row) for row in await self.rows(name, query))
        except (errors.InsufficientPrivilege, errors.UndefinedObject, errors.QueryCanceled, errors.LockNotAvailable):
            self._hidden.append(name)
            return ()

    async def rows(self, name: str, query: str) -> list[Any]:
        """In a savepoint of its own: what fails takes nothing else along. The comment keeps it out of slow queries."""
        async with self._connection.transaction():
            cursor = await self._connection.execute(f"{queries.MARK} {name} */ {query}".encode())
            return await cursor.fetchall()


def _pair(row: Any) -> tuple[str, int]:
    return row[0], row[1]


def _index(row: Any) -> Index:
    values = [*row[:10], tuple(int(number) for number in row[10].split()), row[11]]
    return Index(*values)


def _foreign_key(row: Any) -> ForeignKey:
    values = [*row[:3], tuple(row[3]), *row[4:]]
    return ForeignKey(*values)


def _session(row: Any) -> Session:
    values = [*row[:6], tuple(row[6])]
    return Session(*values)
