"""A tool's own record of what it applied, kept by golive as the tool would, so that both may be used in turn.

The tool's table decides what is applied. Beside it stands golive's, in a schema of its own so that no tool takes it for
the project's: it knows how far a file got that runs outside a transaction, and its checksum where the tool keeps none.
Both are written in one transaction. Where somebody used the tool's own way out (resolved, forced, rolled back), the
tool's table is right and golive's forgets.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from psycopg import sql

from golive.migrate.files import MigrationFile
from golive.migrate.history import Connection, History, current_schema, exists
from golive.migrate.status import Blocked, Record, Standing
from golive.secret import Secret

SCHEMA = "golive"
_HOME = """
SELECT CASE WHEN to_regclass('golive.golive_migrations') IS NOT NULL
              OR has_database_privilege(current_database(), 'CREATE') THEN 'golive' ELSE current_schema() END"""


class Ledger(Protocol):
    """The table of one tool in one database."""

    name: str

    async def exists(self, connection: Connection) -> bool: ...

    async def locks(self, connection: Connection) -> tuple[int, ...]:
        """The advisory locks that the tool holds while it works."""
        ...

    async def create(self, connection: Connection) -> None:
        """Make the table as the tool does, when it is not there."""
        ...

    async def standing(
        self, connection: Connection, files: Sequence[MigrationFile], journal: Sequence[Record]
    ) -> Standing:
        """What the tool says, with what golive's own rows know besides. The table may not be there yet."""
        ...

    async def begin(self, connection: Connection, file: MigrationFile) -> None:
        """Say that the file was begun; again, when it goes on after an interruption."""
        ...

    async def complete(self, connection: Connection, file: MigrationFile) -> None:
        """Say that the file stands."""
        ...


@dataclass(frozen=True)
class Dialect:
    """How a tool's files are found and read, and where it records them. No `ledger`: golive's table is the record."""

    tool: str
    discover: Callable[[Path], tuple[MigrationFile, ...]]
    ledger: Callable[[Connection], Awaitable[Ledger]] | None = None
    address: Callable[[Secret], Secret] = lambda url: url
    """The URL as libpq reads it, with the search path that the tool works in."""

    async def history(self, connection: Connection) -> History:
        """The record of the database behind this connection."""
        if self.ledger is None:
            return await History.of(connection)
        row = await (await connection.execute(_HOME)).fetchone()
        before = sql.Identifier(await current_schema(connection), "golive_migrations")
        return LedgerHistory(row[0] if row else SCHEMA, await self.ledger(connection), before)


class LedgerHistory(History):
    """A tool's table, and golive's beside it."""

    def __init__(self, schema: str, ledger: Ledger, before: sql.Identifier) -> None:
        super().__init__(schema)
        self._schema = schema
        self._ledger = ledger
        self._before = before
        self.name = ledger.name

    async def create(self, connection: Connection) -> None:
        async with connection.transaction():
            if self._schema == SCHEMA and not await self._exists(connection):
                await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)))
            await super().create(connection)
            await self._ledger.create(connection)

    async def standing(self, connection: Connection, files: Sequence[MigrationFile]) -> Standing:
        if not await self._ledger.exists(connection) and await exists(connection, self._before):
            return Standing(blocked=_was_plain(self.name))
        return await self._ledger.standing(connection, files, await self.records(connection))

    async def locks(self, connection: Connection) -> tuple[int, ...]:
        return await self._ledger.locks(connection)

    async def settle(self, connection: Connection, standing: Standing) -> None:
        """Forget what the tool says is undone or was finished without golive; keep what it says stands."""
        journal = {record.version: record for record in await self.records(connection)}
        agreed = [
            record.version
            for record in standing.records
            if record.version in journal and journal[record.version].whole == record.whole
        ]
        async with connection.transaction():
            await self.forget(connection, agreed)
            await self.adopt(connection, standing.unknown)

    async def begin(self, connection: Connection, file: MigrationFile, release: int) -> bool:
        async with connection.transaction():
            begun = await super().begin(connection, file, release)
            if begun:
                await self._ledger.begin(connection, file)
            return begun

    async def complete(self, connection: Connection, file: MigrationFile, seconds: float) -> None:
        async with connection.transaction():
            await super().complete(connection, file, seconds)
            await self._ledger.complete(connection, file)


def _was_plain(table: str) -> Blocked:
    return Blocked(
        name=table,
        what=f"this database was migrated as plain SQL: it has golive_migrations and no {table}",
        why="With another tool every file would run a second time.",
        hint='Set migrations.tool = "sql" in golive.toml to go on as before; or write what is applied into '
        f"{table} with the tool's own command, and drop golive_migrations.",
    )


def identifier(table: str, schema: str) -> sql.Identifier:
    """`schema.table`, or a table in this schema."""
    before, dot, last = table.rpartition(".")
    return sql.Identifier(before if dot else schema, last)
