"""The table `golive_migrations`: what was applied, when, by which release, and how far an unfinished file got."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection, sql
from psycopg.rows import class_row

from golive.errors import MigrationFailed
from golive.migrate.files import MigrationFile, checksum_of, order
from golive.migrate.status import Record, Standing

Connection = AsyncConnection[tuple[Any, ...]]
_CREATE = """
CREATE TABLE IF NOT EXISTS {table} (
    version       bigint           PRIMARY KEY,
    name          text             NOT NULL,
    checksum      text             NOT NULL,
    applied_at    timestamptz,
    duration      double precision,
    release       bigint,
    done          integer          NOT NULL DEFAULT 0,
    done_checksum text             NOT NULL DEFAULT '',
    attempting    boolean          NOT NULL DEFAULT false
)"""
_BEGIN = """
INSERT INTO {table} (version, name, checksum, release, done_checksum) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (version) DO UPDATE SET name = excluded.name, checksum = excluded.checksum, release = excluded.release
WHERE {table}.applied_at IS NULL"""


_ADOPT = """
INSERT INTO {table} (version, name, checksum, applied_at, done) VALUES (%s, %s, %s, clock_timestamp(), %s)
ON CONFLICT (version) DO NOTHING"""


async def current_schema(connection: Connection) -> str:
    """Where tables are made that name no schema. MigrationFailed when nowhere."""
    row = await (await connection.execute("SELECT current_schema()")).fetchone()
    if not row or not row[0]:
        raise MigrationFailed(
            "no schema of the search path exists", hint="Create one, or set the role's search_path, e.g. to public."
        )
    return str(row[0])


async def exists(connection: Connection, table: sql.Identifier) -> bool:
    found = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table.as_string(connection)])
    row = await found.fetchone()
    return bool(row and row[0])


class History:
    """The table of one database, found once: a migration may change the search path, the table stays where it is."""

    name = "golive_migrations"
    """Of the table that decides, for what an error says."""

    def __init__(self, schema: str) -> None:
        self._table = sql.Identifier(schema, "golive_migrations")

    @classmethod
    async def of(cls, connection: Connection) -> History:
        return cls(await current_schema(connection))

    async def create(self, connection: Connection) -> None:
        """Make the table when it is not there; asking first, because the role may no longer be allowed to."""
        if not await self._exists(connection):
            await connection.execute(self._sql(_CREATE))

    async def standing(self, connection: Connection, files: Sequence[MigrationFile]) -> Standing:
        """What is recorded, compared with nothing yet."""
        return Standing(await self.records(connection))

    async def locks(self, connection: Connection) -> tuple[int, ...]:
        """Advisory locks, besides golive's, that keep other migrators of this database out."""
        return ()

    async def settle(self, connection: Connection, standing: Standing) -> None:
        """Under the lock, before anything runs: nothing to bring in line where this table is all there is."""

    async def records(self, connection: Connection) -> tuple[Record, ...]:
        """In numeric order; none when the table is not there yet."""
        if not await self._exists(connection):
            return ()
        columns = "version, name, checksum, applied_at, release, done, done_checksum, attempting"
        async with connection.cursor(row_factory=class_row(Record)) as cursor:
            await cursor.execute(self._sql(f"SELECT {columns} FROM {{table}}"))  # noqa: S608  # ours
            return tuple(sorted(await cursor.fetchall(), key=lambda record: order(record.version)))

    async def begin(self, connection: Connection, file: MigrationFile, release: int) -> bool:
        """Claim the file. False when it has been applied whole meanwhile; waits for whoever is at it just now."""
        values = [file.version, file.name, file.checksum, release, checksum_of(())]
        return (await connection.execute(self._sql(_BEGIN), values)).rowcount == 1

    async def attempt(self, connection: Connection, file: MigrationFile) -> None:
        """Say, before a statement that no transaction can take back, that it is being tried."""
        await self._set(connection, file, "attempting = true", [])

    async def advance(self, connection: Connection, file: MigrationFile, done: int) -> None:
        """The first `done` statements stand."""
        prefix = checksum_of(statement.text for statement in file.script.statements[:done])
        await self._set(connection, file, "attempting = false, done = %s, done_checksum = %s", [done, prefix])

    async def complete(self, connection: Connection, file: MigrationFile, seconds: float) -> None:
        changes = "applied_at = clock_timestamp(), duration = %s, attempting = false, done = %s"
        await self._set(connection, file, changes, [seconds, len(file.script.statements)])

    async def adopt(self, connection: Connection, files: Sequence[MigrationFile]) -> None:
        """Write down what another program applied, as it reads today: from here on a change of it is seen."""
        statement = self._sql(_ADOPT)
        for file in files:
            await connection.execute(statement, [file.version, file.name, file.checksum, len(file.script.statements)])

    async def forget(self, connection: Connection, kept: Sequence[int]) -> None:
        """Take away every row but of these versions: somebody undid what they say."""
        statement = "DELETE FROM {table} WHERE version <> ALL (%s)"
        await connection.execute(self._sql(statement), [list(kept)])

    async def _exists(self, connection: Connection) -> bool:
        return await exists(connection, self._table)

    async def _set(self, connection: Connection, file: MigrationFile, changes: str, values: list[Any]) -> None:
        statement = f"UPDATE {{table}} SET {changes} WHERE version = %s"  # noqa: S608  # all of it is ours
        await connection.execute(self._sql(statement), [*values, file.version])

    def _sql(self, text: str) -> sql.Composed:
        return sql.SQL(text).format(table=self._table)
