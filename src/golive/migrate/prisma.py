"""Prisma Migrate: `<timestamp>_<name>/migration.sql`, and a row for each in `_prisma_migrations`.

Rules as in its sources: github.com/prisma/prisma-engines, `schema-engine` (`apply_migrations.rs`, `checksum.rs`,
`sql_migration_persistence.rs`, `flavour/postgres.rs`). A row is begun with `started_at` and stands with `finished_at`;
one with neither that nor `rolled_back_at` has failed, and stops everything until somebody has said how it ended.
"""

from __future__ import annotations

import hashlib
import re
import uuid
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

from psycopg import sql
from psycopg.rows import class_row

from golive.errors import UsageError
from golive.migrate.drizzle import newlines
from golive.migrate.files import MigrationFile, checked, gathered, listed, read, same_numbers
from golive.migrate.history import Connection, current_schema, exists
from golive.migrate.ledger import Ledger
from golive.migrate.sql import SqlProblem, parse
from golive.migrate.status import Blocked, Record, Standing
from golive.secret import Secret

TABLE = "_prisma_migrations"
RUNNING = "golive runs this statement by statement"
"""In `logs` of a row that golive has begun and means to go on with; Prisma leaves it empty until a failure."""
_LOCK = 72707369
"""The one that Prisma takes while it applies."""
_DIGITS = 14
_CREATE = """
CREATE TABLE {table} (
    id                      VARCHAR(36) PRIMARY KEY NOT NULL,
    checksum                VARCHAR(64) NOT NULL,
    finished_at             TIMESTAMPTZ,
    migration_name          VARCHAR(255) NOT NULL,
    logs                    TEXT,
    rolled_back_at          TIMESTAMPTZ,
    started_at              TIMESTAMPTZ NOT NULL DEFAULT now(),
    applied_steps_count     INTEGER NOT NULL DEFAULT 0
)"""
_OTHERS = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname = %s
  AND c.relname NOT IN ('golive_migrations', 'spatial_ref_sys', 'geography_columns', 'geometry_columns')
ORDER BY c.relname LIMIT 3"""
_BEGUN = "finished_at IS NULL AND rolled_back_at IS NULL AND migration_name = %s"
# What Prisma's URLs say to Prisma alone; libpq refuses what it does not know.
_OWN = ("schema", "connection_limit", "pool_timeout", "pgbouncer", "socket_timeout", "statement_cache_size",
        "sslaccept", "sslidentity", "sslpassword", "single_use_connections")  # fmt: skip


@dataclass(frozen=True)
class Row:
    checksum: str
    finished_at: datetime | None
    migration_name: str
    logs: str | None
    started_at: datetime


def discover(folder: Path) -> tuple[MigrationFile, ...]:
    """The folders with a migration.sql, by name as Prisma sorts them. UsageError lists every problem."""
    paths = listed(folder)
    _refuse_provider(folder / "migration_lock.toml")
    found, problems = gathered(_file(path) for path in paths if path.is_dir())
    problems += same_numbers([(file.version, file.name) for file in found])
    return checked(folder, found, problems)


def _refuse_provider(lock: Path) -> None:
    """`provider` has to be PostgreSQL. Without the file Prisma does not ask either."""
    try:
        text = lock.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return
    match = re.search(r"""^\s*provider\s*=\s*["']([^"']*)["']""", text, re.MULTILINE)
    provider = match[1] if match else "not said"
    if provider != "postgresql":
        raise UsageError(
            f"the provider of these migrations is {provider}",
            where=str(lock),
            why="golive runs Prisma's migrations on PostgreSQL.",
            hint="Point migrations.source to those for postgresql, or set `migrations = false`.",
        )


def _file(folder: Path) -> MigrationFile | str:
    path = folder / "migration.sql"
    source = read(path, f"{folder.name}/migration.sql")
    if isinstance(source, str):
        return source
    if len(folder.name) > 255:
        return f"{folder.name[:40]}…: a name has at most 255 characters"
    try:
        script = parse(source.text, blocks=True)
    except SqlProblem as problem:
        return f"{folder.name}/migration.sql:{problem.line}: {problem}"
    checksum = hashlib.sha256(source.raw).hexdigest()
    alike = newlines(source.raw)
    short = {_unpadded(text) for text in (checksum, *alike)}
    return MigrationFile(
        version_of(folder.name), folder.name, path, checksum, script, folder.name, frozenset((*alike, *short))
    )


def version_of(name: str) -> int:
    """A number for a folder's name: its digits to 14 places, which sort as the names do, and four that tell those of
    the same second apart."""
    digits = re.match(r"\d*", name)
    stamp = int((digits[0] if digits else "")[:_DIGITS].ljust(_DIGITS, "0" if digits and digits[0] else "9"))
    return stamp * 10_000 + zlib.crc32(name.encode()) % 10_000


def _unpadded(checksum: str) -> str:
    """As versions of Prisma before 2.22 wrote them, without the zero of a byte below 16."""
    return "".join(f"{byte:x}" for byte in bytes.fromhex(checksum))


def address(url: Secret) -> Secret:
    """The URL for libpq, its search path the `schema` that it names, else public, as in Prisma."""
    text = url.reveal()
    if not text.startswith(("postgres://", "postgresql://")):
        return url
    place, _, query = text.partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True))
    kept = {name: value for name, value in given.items() if name not in _OWN}
    schema = (given.get("schema") or "public").replace('"', '""')
    # In `options` a backslash makes the next character ordinary.
    escaped = re.sub(r"([\\\s])", r"\\\1", schema)
    kept["options"] = f'-c search_path="{escaped}" {kept.get("options", "")}'.strip()
    return Secret(f"{place}?{urlencode(kept, quote_via=quote)}")


async def ledger(connection: Connection) -> Ledger:
    schema = await current_schema(connection)
    return PrismaTable(schema)


class PrismaTable:
    name = TABLE

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._table = sql.Identifier(schema, TABLE)

    async def exists(self, connection: Connection) -> bool:
        return await exists(connection, self._table)

    async def locks(self, connection: Connection) -> tuple[int, ...]:
        return (_LOCK,)

    async def create(self, connection: Connection) -> None:
        if not await self.exists(connection):
            await connection.execute(sql.SQL(_CREATE).format(table=self._table))

    async def standing(
        self, connection: Connection, files: Sequence[MigrationFile], journal: Sequence[Record]
    ) -> Standing:
        if not await self.exists(connection):
            others = await (await connection.execute(_OTHERS, [self._schema])).fetchall()
            return Standing(blocked=_not_empty([str(row[0]) for row in others]) if others else None)
        columns = "checksum, finished_at, migration_name, logs, started_at"
        query = sql.SQL(f"SELECT {columns} FROM {{table}} WHERE rolled_back_at IS NULL ORDER BY started_at")  # noqa: S608
        async with connection.cursor(row_factory=class_row(Row)) as cursor:
            await cursor.execute(query.format(table=self._table))
            return reached(await cursor.fetchall(), journal)

    async def begin(self, connection: Connection, file: MigrationFile) -> None:
        update = f"UPDATE {{table}} SET checksum = %s WHERE {_BEGUN} AND logs = %s"  # noqa: S608  # ours
        again = sql.SQL(update).format(table=self._table)
        if (await connection.execute(again, [file.checksum, file.name, RUNNING])).rowcount:
            return
        insert = "INSERT INTO {table} (id, checksum, migration_name, logs, started_at) VALUES (%s, %s, %s, %s, now())"
        values = [str(uuid.uuid4()), file.checksum, file.name, RUNNING]
        await connection.execute(sql.SQL(insert).format(table=self._table), values)

    async def complete(self, connection: Connection, file: MigrationFile) -> None:
        changes = "finished_at = clock_timestamp(), applied_steps_count = 1, logs = NULL"
        update = f"UPDATE {{table}} SET {changes} WHERE {_BEGUN} AND logs = %s"  # noqa: S608  # ours
        await connection.execute(sql.SQL(update).format(table=self._table), [file.name, RUNNING])


def reached(rows: Iterable[Row], journal: Sequence[Record]) -> Standing:
    """Pure: what the rows mean that were not rolled back."""
    own = {record.version: record for record in journal}
    records: dict[int, Record] = {}
    failed: list[Row] = []
    for row in rows:
        version = version_of(row.migration_name)
        begun = own.get(version)
        if row.finished_at is not None:
            release = begun.release if begun else None
            name = row.migration_name
            records[version] = Record(version, name, row.checksum, row.finished_at, release, 0, "", False, key=name)
        elif begun and not begun.whole and row.logs == RUNNING:
            records.setdefault(version, begun)
        else:
            failed.append(row)
    return Standing(tuple(records.values()), _failed(failed[0]) if failed else None)


def _failed(row: Row) -> Blocked:
    name = row.migration_name
    said = f" Prisma wrote: {row.logs.strip()}" if row.logs and row.logs.strip() else ""
    return Blocked(
        name=name,
        what=f"migration {name} has failed before, on {row.started_at:%Y-%m-%d %H:%M}",
        why=f"{TABLE} says that it was begun and not that it ended.{said}",
        hint="Nothing was changed. Look at what stands of it, then say so: "
        f"`prisma migrate resolve --rolled-back {name}` when nothing does, and it runs again; "
        f"`prisma migrate resolve --applied {name}` when you completed it by hand. Then deploy again.",
        failed=True,
    )


def _not_empty(tables: Sequence[str]) -> Blocked:
    return Blocked(
        name=TABLE,
        what=f"the database has tables ({', '.join(tables)}) and no {TABLE}",
        why="Prisma has never migrated it, so every migration would run, also those that these tables come from.",
        hint="Nothing was changed. Baseline it: `prisma migrate resolve --applied NAME` for each migration that it has "
        "already. Then deploy again.",
    )
