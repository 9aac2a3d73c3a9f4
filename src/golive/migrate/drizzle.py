"""Drizzle: `meta/_journal.json`, `NNNN_name.sql`, and a row for each in `drizzle.__drizzle_migrations`.

Rules as in its sources: drizzle-orm, `src/migrator.ts` and `src/pg-core/dialect.ts`. A row is the SHA-256 of the file
as it is and the `when` of its entry; what has a later `when` than the newest row is run, all else is passed over.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from psycopg import sql

from golive.errors import UsageError
from golive.migrate.files import MigrationFile, checked, gathered, read, same_numbers
from golive.migrate.history import Connection, exists
from golive.migrate.ledger import Ledger, identifier
from golive.migrate.sql import SqlProblem, parse
from golive.migrate.status import Blocked, Record, Standing

TABLE = "drizzle.__drizzle_migrations"
BREAK = "--> statement-breakpoint"
_CREATE = "CREATE TABLE IF NOT EXISTS {table} (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint)"


def discover(folder: Path) -> tuple[MigrationFile, ...]:
    """The entries of the journal, in its order. UsageError lists every problem."""
    entries = _entries(folder)
    found, problems = gathered(_file(folder, when, tag) for when, tag in entries)
    problems += same_numbers([(file.version, file.name) for file in found])
    return checked(folder, found, problems)


def _entries(folder: Path) -> list[tuple[int, str]]:
    journal = folder / "meta" / "_journal.json"
    hint = "Set migrations.source in golive.toml to drizzle-kit's `out` folder, the one with meta/_journal.json."
    try:
        content: Any = json.loads(journal.read_bytes())
        entries = [(entry["when"], entry["tag"]) for entry in content["entries"]]
    except OSError as error:
        raise UsageError(f"cannot read Drizzle's journal: {error.strerror}", where=str(journal), hint=hint) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UsageError("Drizzle's journal is not one", where=str(journal), hint=hint) from None
    dialect = content.get("dialect", "postgresql")
    if dialect not in ("postgresql", "pg"):
        raise UsageError(f"these migrations are for {dialect}", where=str(journal), why="golive runs PostgreSQL.")
    wrong = [tag for when, tag in entries if not _sound(when, tag)]
    if wrong:
        raise UsageError(f"Drizzle's journal has an entry that cannot be: {wrong[0]!r}", where=str(journal))
    return entries


def _sound(when: object, tag: object) -> bool:
    """A whole number of milliseconds, and a file's name that stays in the folder."""
    plain = isinstance(tag, str) and tag not in ("", ".", "..") and not set(tag) & set("/\\\0")
    return plain and isinstance(when, int) and not isinstance(when, bool) and 0 <= when < 2**63


def _file(folder: Path, when: int, tag: str) -> MigrationFile | str:
    path = folder / f"{tag}.sql"
    source = read(path, path.name)
    if isinstance(source, str):
        return source
    try:
        script = parse(broken(source.text), blocks=True)
    except SqlProblem as problem:
        return f"{path.name}:{problem.line}: {problem}"
    return MigrationFile(when, path.name, path, _hash(source.raw), script, tag, newlines(source.raw))


def broken(text: str) -> str:
    """With a semicolon in place of each breakpoint, of the same length, so that lines and columns stay."""
    return text.replace(BREAK, ";".ljust(len(BREAK)))


def newlines(raw: bytes) -> frozenset[str]:
    """Checksums of the same text as git may have checked it out elsewhere."""
    unix = raw.replace(b"\r\n", b"\n")
    return frozenset((_hash(unix), _hash(unix.replace(b"\n", b"\r\n"))))


def _hash(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def ledger(table: str | None) -> Callable[[Connection], Awaitable[Ledger]]:
    """Drizzle's table, or the `schema.table` that the project's configuration names."""

    async def opened(_: Connection) -> Ledger:
        return HashTable(table or TABLE)

    return opened


class HashTable:
    def __init__(self, name: str) -> None:
        self.name = name if "." in name else f"drizzle.{name}"
        self._table = identifier(self.name, "drizzle")

    async def exists(self, connection: Connection) -> bool:
        return await exists(connection, self._table)

    async def locks(self, connection: Connection) -> tuple[int, ...]:
        """Drizzle has none."""
        return ()

    async def create(self, connection: Connection) -> None:
        if not await self.exists(connection):
            schema = sql.Identifier(self.name.rpartition(".")[0])
            await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
            await connection.execute(sql.SQL(_CREATE).format(table=self._table))

    async def standing(
        self, connection: Connection, files: Sequence[MigrationFile], journal: Sequence[Record]
    ) -> Standing:
        rows: list[tuple[str, int]] = []
        if await self.exists(connection):
            query = "SELECT hash, created_at FROM {table} WHERE created_at IS NOT NULL ORDER BY created_at, id"
            rows = await (await connection.execute(sql.SQL(query).format(table=self._table))).fetchall()
        return reached(rows, files, journal)

    async def begin(self, connection: Connection, file: MigrationFile) -> None:
        """Drizzle has no word for it."""

    async def complete(self, connection: Connection, file: MigrationFile) -> None:
        insert = sql.SQL("INSERT INTO {table} (hash, created_at) VALUES (%s, %s)").format(table=self._table)
        await connection.execute(insert, [file.checksum, file.version])


def reached(rows: Sequence[tuple[str, int]], files: Sequence[MigrationFile], journal: Sequence[Record]) -> Standing:
    """Pure: what the rows mean for these files."""
    own = {record.version: record for record in journal}
    last = max((when for _, when in rows), default=-1)
    named = {file.version: file for file in files}
    recorded = {when: hash for hash, when in rows}
    records = [_record(when, hash, named.get(when), own.get(when)) for when, hash in recorded.items()]
    pending = [file for file in files if file.version > last]
    return Standing(
        records=(*records, *(r for r in journal if not r.whole and r.version > last)),
        blocked=_out_of_order(pending),
        passed=tuple(file for file in files if file.version <= last and file.version not in recorded),
    )


def _record(when: int, hash: str, file: MigrationFile | None, own: Record | None) -> Record:
    at = own.applied_at if own else None
    name = file.name if file else f"the migration of {hash[:12]}"
    release = own.release if own else None
    return Record(when, name, hash, at, release, 0, "", False, standing=True, key=file.key if file else "")


def _out_of_order(pending: Sequence[MigrationFile]) -> Blocked | None:
    """Drizzle runs them in one transaction; one by one, what is interrupted after the newer would lose the older."""
    for before, after in itertools.pairwise(pending):
        if after.version < before.version:
            return Blocked(
                name=after.name,
                what=f"{after.key} comes after {before.key} in Drizzle's journal and is older",
                why="Drizzle runs only what is newer than its last row, so an interruption between them would lose it.",
                hint=f"Nothing was changed. Raise its `when` in meta/_journal.json above {before.version}, as "
                "generating it again would, and deploy again.",
            )
    return None
