"""golang-migrate: `NNN_name.up.sql`, and one row in `schema_migrations` that says how far it came.

Rules as in its sources: github.com/golang-migrate/migrate, `source/parse.go` and `database/postgres/postgres.go`. The
row is the version and whether the file of that version is half applied (dirty); every file up to it counts as applied.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from psycopg import sql

from golive.migrate.files import MigrationFile, checked, checksum, gathered, listed, number, read, same_numbers
from golive.migrate.history import Connection, current_schema, exists
from golive.migrate.ledger import Ledger, identifier
from golive.migrate.sql import SqlProblem, parse
from golive.migrate.status import Blocked, Record, Standing

TABLE = "schema_migrations"
_NAME = re.compile(r"(?P<version>[0-9]+)_(?P<title>.*)\.up\.(?P<kind>.*)")
_SALT = 1486364155
_CREATE = "CREATE TABLE IF NOT EXISTS {table} (version bigint not null primary key, dirty boolean not null)"


def discover(folder: Path) -> tuple[MigrationFile, ...]:
    """`1_name.up.sql` in the order of their numbers; holes are allowed. UsageError lists every problem."""
    named = [(path, match) for path in listed(folder) if (match := _NAME.fullmatch(path.name))]
    found, problems = gathered(_file(path, match["version"]) for path, match in named)
    found.sort(key=lambda file: file.version)
    problems += same_numbers([(file.version, file.name) for file in found])
    return checked(folder, found, problems)


def _file(path: Path, digits: str) -> MigrationFile | str:
    version = number(digits, path.name)
    source = read(path, path.name)
    if isinstance(version, str) or isinstance(source, str):
        return version if isinstance(version, str) else str(source)
    try:
        script = parse(source.text, blocks=True)
    except SqlProblem as problem:
        return f"{path.name}:{problem.line}: {problem}"
    return MigrationFile(version, path.name, path, checksum(source.text), script)


def ledger(table: str | None) -> Callable[[Connection], Awaitable[Ledger]]:
    """Of the database behind a connection, in its current schema unless `table` names another."""

    async def opened(connection: Connection) -> Ledger:
        return VersionTable(await current_schema(connection), table or TABLE)

    return opened


class VersionTable:
    def __init__(self, schema: str, name: str) -> None:
        self._table = identifier(name, schema)
        before, dot, last = name.rpartition(".")
        self._place = (before if dot else schema, last)
        self.name = name

    async def exists(self, connection: Connection) -> bool:
        return await exists(connection, self._table)

    async def locks(self, connection: Connection) -> tuple[int, ...]:
        """Of its command line, which names the database by the path of its URL, and of its library."""
        row = await (await connection.execute("SELECT current_database()")).fetchone()
        database = str(row[0]) if row else ""
        return tuple(lock_of(name, *self._place) for name in (f"/{database}", database))

    async def create(self, connection: Connection) -> None:
        if not await self.exists(connection):
            await connection.execute(sql.SQL(_CREATE).format(table=self._table))

    async def standing(
        self, connection: Connection, files: Sequence[MigrationFile], journal: Sequence[Record]
    ) -> Standing:
        if not await self.exists(connection):
            return Standing()
        query = sql.SQL("SELECT version, dirty FROM {table} LIMIT 1").format(table=self._table)
        row = await (await connection.execute(query)).fetchone()
        return reached(row[0], row[1], files, journal, self.name) if row else Standing()

    async def begin(self, connection: Connection, file: MigrationFile) -> None:
        await self._set(connection, file.version, dirty=True)

    async def complete(self, connection: Connection, file: MigrationFile) -> None:
        await self._set(connection, file.version, dirty=False)

    async def _set(self, connection: Connection, version: int, *, dirty: bool) -> None:
        """One row only. DELETE where the tool has TRUNCATE, which would wait for whoever reads."""
        await connection.execute(sql.SQL("DELETE FROM {table}").format(table=self._table))
        insert = sql.SQL("INSERT INTO {table} (version, dirty) VALUES (%s, %s)").format(table=self._table)
        await connection.execute(insert, [version, dirty])


def lock_of(database: str, schema: str, table: str) -> int:
    """As its `database.GenerateAdvisoryLockId` makes it."""
    return zlib.crc32("\0".join((schema, table, database)).encode()) * _SALT % 2**32


def reached(
    version: int, dirty: bool, files: Sequence[MigrationFile], journal: Sequence[Record], table: str = TABLE
) -> Standing:
    """Pure: what a row means. Files up to the version count as applied, whether golive saw them or not.

    One that golive never saw, with a lower number than one that it saw, came later: the tool passes it over.
    """
    own = {record.version: record for record in journal}
    seen = max((record.version for record in journal if record.whole), default=-1)
    end = version - 1 if dirty else version
    records: list[Record] = []
    passed: list[MigrationFile] = []
    unknown: list[MigrationFile] = []
    for file in files:
        record = own.get(file.version)
        if file.version > end:
            continue
        if record is None and file.version < seen:
            passed.append(file)
        elif record is None or not record.whole:
            unknown.append(file)
            records.append(_applied(file.version, file.name, file.checksum))
        else:
            records.append(record)
    known = {file.version for file in files}
    records += [record for record in journal if record.whole and record.version <= end and record.version not in known]
    if end >= 0 and not dirty and end not in {record.version for record in records}:
        records.append(_applied(end, f"version {end}", ""))
    begun = own.get(version) if dirty else None
    if begun and not begun.whole:
        return Standing((*records, begun), None, tuple(passed), tuple(unknown))
    blocked = _dirty(version, files, table) if dirty else None
    return Standing(tuple(records), blocked, tuple(passed), tuple(unknown))


def _applied(version: int, name: str, checksum: str) -> Record:
    return Record(version, name, checksum, None, None, 0, "", False, standing=True)


def _dirty(version: int, files: Sequence[MigrationFile], table: str) -> Blocked:
    name = next((file.name for file in files if file.version == version), f"version {version}")
    before = max((file.version for file in files if file.version < version), default=None)
    undone = f"`migrate force {before}`" if before is not None else f"an empty {table}"
    return Blocked(
        name=name,
        what=f"version {version} in {table} is dirty",
        why=f"A run of golang-migrate stopped inside {name}; which of its statements stand was not written down.",
        hint="Nothing was changed. Look at the database, complete or take back by hand what the file does, then say "
        f"so: `migrate force {version}` when all of it stands, {undone} when nothing does. Then deploy again.",
        failed=True,
    )
