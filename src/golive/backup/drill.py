"""A drill: a backup restored with all WAL there is into a scratch cluster, looked at from all sides, and removed.

What it finds is kept beside the manifest, see `proof`. A backup is only called failed for what is wrong with itself: a
full disk or a location that does not answer says nothing about it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from golive.backup import catalog, proof, restore, restoring, work
from golive.backup.proof import Proof, Verdict
from golive.backup.recovery import Latest
from golive.backup.repository import Repository
from golive.backup.server import Server, environment, reason
from golive.errors import BackupFailed, EngineUnavailable, GoliveError
from golive.system.files import remove_tree
from golive.system.processes import run

Report = Callable[[Any], None]
LONGEST = 3600.0
"""Seconds for one program that looks at all of the data."""
_TABLES = """
SELECT n.nspname, c.relname, EXISTS (
    SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am a ON a.oid = x.relam
    WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND a.amname = 'btree')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relpersistence = 'p' AND c.relispopulated AND n.nspname NOT LIKE 'pg\\_toast%'
ORDER BY 1, 2"""
_INDEXES = ("enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan")
_BY_HEAP = "; ".join([*(f"SET {name} = off" for name in _INDEXES), "SET enable_seqscan = on"])
_BY_INDEX = "; ".join([*(f"SET {name} = on" for name in _INDEXES), "SET enable_seqscan = off"])


@dataclass(frozen=True)
class Terms:
    """`checks` are the app's own, asked in its `database` as its role of the same name: every value true."""

    database: str
    checks: tuple[str, ...] = ()
    id: str | None = None


@dataclass
class Seen:
    """`usable` after so many seconds; rows and tables of the app's, and what was checked, in words."""

    usable: float = 0.0
    tables: int = 0
    rows: int = 0
    checks: list[str] = field(default_factory=list)


async def drill(
    server: Server, repository: Repository, received: Path, folder: Path, terms: Terms, report: Report = lambda _: None
) -> dict[str, Any]:
    """`folder` is golive's and may be passed through; nothing is left in it. As `work.view`. BackupFailed says what is
    wrong with the backup, and is kept beside it; other errors say why it was not tried."""
    location = repository.location()
    manifest = catalog.find(location, repository.source, terms.id)
    key = repository.key_of(manifest)
    began, seen = time.monotonic(), Seen()
    await tidy(folder)

    async def look(server: Server) -> None:
        seen.usable = time.monotonic() - began
        await look_at(server, terms, seen, report)

    def said(what: str, done: int, total: int) -> None:
        report({"what": what, "done": done, "total": total})

    goal, why, last = Latest(), "", ""
    try:
        async with restoring.fetched(repository, manifest, key, received, folder / "wal", server.user, goal) as wal:
            done = await restore.restore(
                server, location, manifest, key, goal, folder / "data", wal, look=look, report=said
            )
        last = done.last_commit
        report({"what": "checksums"})
        await _checksums(server, folder / "data", seen)
    except GoliveError as error:
        why = work.damage_in(error)
        raise
    finally:
        await asyncio.shield(tidy(folder))
        if why or last or seen.usable:
            found = proof_of(began, seen, last, why)
            if why or not _was_cut(found):
                proof.write(location, manifest, found)
            if why and manifest.parent:  # which archive of them: all that is built on it fails too
                with contextlib.suppress(GoliveError):
                    await work.verify(repository, manifest.id)
    return work.view(manifest, Verdict(found)) | {"source": repository.source}


def _was_cut(found: Proof) -> bool:
    """It was stopped before all had been looked at."""
    return not any(check.startswith("checksums") for check in found.checks)


def proof_of(began: float, seen: Seen, last: str, why: str) -> Proof:
    """Of a drill that `began` then (monotonic)."""
    total = time.monotonic() - began
    return Proof(
        at=datetime.now(UTC), seconds=seen.usable or total, checking=total - (seen.usable or total), last_commit=last,
        checks=tuple(seen.checks), tables=seen.tables, rows=seen.rows, why=why,
    )  # fmt: skip


async def tidy(folder: Path) -> None:
    """What a drill that was killed has left, its server too."""
    await restore.tidy(folder / "data.restoring")
    for name in ("data", "wal"):
        await asyncio.to_thread(remove_tree, folder / name)


async def look_at(server: Server, terms: Terms, seen: Seen, report: Report) -> None:
    """Every table, index and check of the app's own of a cluster that was restored. BackupFailed for what is wrong."""
    with server.session() as session:
        query = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1"
        databases = [str(row[0]) for row in session.execute(query).fetchall()]
    for database in databases:
        report({"what": f"count {database}"})
        await asyncio.to_thread(_count, server, database, seen)
    seen.checks.append(f"{seen.tables} tables: as many rows by heap as by index")
    report({"what": "amcheck"})
    await _amcheck(server, seen)
    await asyncio.to_thread(_own_checks, server, terms, seen)


def _count(server: Server, database: str, seen: Seen) -> None:
    """A page that cannot be read or has a wrong checksum fails here, and an index that lost rows."""
    from psycopg.sql import SQL, Identifier

    with server.session(database) as session:
        for schema, name, indexed in session.execute(_TABLES.encode()).fetchall():
            count = SQL("SELECT count(*) FROM {}").format(Identifier(schema, name))
            session.execute(_BY_HEAP.encode())
            rows = _one(session, count)
            if indexed:
                session.execute(_BY_INDEX.encode())
                if (by_index := _one(session, count)) != rows:
                    raise BackupFailed(
                        f"{server.label}: {schema}.{name} has {rows} rows by its heap and {by_index} by an index",
                        where=database,
                        hint="golive db reindex mends the live one if it is so there too; then make another backup",
                    )
            if schema not in ("pg_catalog", "information_schema"):
                seen.tables += 1
                seen.rows += rows


async def _amcheck(server: Server, seen: Seen) -> None:
    """Where the engine has the program, and it can be started."""
    try:
        program = str(server.engine.program("pg_amcheck"))
    except EngineUnavailable:
        seen.checks.append("pg_amcheck: this engine has none")
        return
    env = environment(server.engine)
    if (await run((program, "--version"), env=env, cwd=Path("/"))).code:
        seen.checks.append("pg_amcheck: cannot be started here")
        return
    how = ("--all", "--install-missing", "--heapallindexed", "--jobs=2", "--no-password")
    target = ("--host", str(server.sockets), "--port", str(server.port), "--username", server.superuser)
    done = await run((program, *target, *how), env=env, cwd=Path("/"), timeout=LONGEST)
    if done.code and "is not available" in done.output:
        seen.checks.append("pg_amcheck: this engine has no extension amcheck")
    elif done.code:
        raise BackupFailed(f"{server.label}: pg_amcheck finds damage", why=reason(done.output), log=done.output)
    else:
        seen.checks.append("pg_amcheck: tables and indexes are sound")


def _own_checks(server: Server, terms: Terms, seen: Seen) -> None:
    from psycopg.sql import SQL, Identifier

    for query in terms.checks:
        with server.session(terms.database) as session:
            session.execute(SQL("SET ROLE {}").format(Identifier(terms.database)))
            session.execute("SET default_transaction_read_only = on")
            rows = session.execute(query.encode()).fetchall()
        if not rows or not all(value is True for row in rows for value in row):
            raise BackupFailed(
                f"{server.label}: a check of the app's own does not hold",
                where=query,
                why=f"it answers {rows[0] if rows else 'no row'}, and true is wanted in every row",
                hint="look whether it holds on the live database: golive db shell",
            )
        seen.checks.append(f"{query}: holds")


async def _checksums(server: Server, data: Path, seen: Seen) -> None:
    program = str(server.engine.program("pg_checksums"))
    done = await run(
        (program, "--check", "--pgdata", str(data)),
        env=environment(server.engine), cwd=data, user=server.user, timeout=LONGEST,
    )  # fmt: skip
    if done.code and "not enabled" in done.output:
        seen.checks.append("checksums: not enabled in this cluster")
    elif done.code:
        raise BackupFailed(f"{server.label}: pages have wrong checksums", why=reason(done.output), log=done.output)
    else:
        seen.checks.append("checksums: every page is right")


def _one(session: Any, query: Any) -> int:
    row = session.execute(query).fetchone()
    return int(row[0]) if row else 0
