"""Connections to the database that is migrated, and the lock that lets one migrator work at a time.

The lock is an advisory lock of a session that does nothing else. It is *polled*: a session that waits in
pg_advisory_lock holds a snapshot, and CREATE INDEX CONCURRENTLY waits for all of those, so the two would wait for each
other. When a migrator is killed its lock is free at once while a statement of it may still run; the next one therefore
waits until no working session is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, conninfo

from golive.errors import MigrationFailed
from golive.migrate.history import Connection
from golive.migrate.status import MigrationEvent
from golive.secret import Mask, Secret

WORKING = "golive-migrate"
"""application_name of the sessions that change things; Alembic's get it through PGAPPNAME."""
_LOCK = 0x676F6C697665_6D69  # "golivemi": one per database, as advisory locks are
_POLL = 0.1
_BUSY = """
SELECT min(pid), coalesce(extract(epoch FROM now() - min(backend_start)), 0)::float8
FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()"""


async def connect(url: Secret, application: str = WORKING) -> Connection:
    """An autocommit connection. MigrationFailed, without the password, when there is none."""
    try:
        return await AsyncConnection.connect(
            url.reveal(),
            autocommit=True,
            prepare_threshold=None,
            application_name=application,
            client_encoding="utf8",
            connect_timeout=10,
        )
    except psycopg.Error as error:
        raise MigrationFailed(
            "cannot connect to the database",
            why=mask(url)(str(error).strip()),
            hint="Nothing was changed, the old release keeps serving. When the database answers, deploy again.",
        ) from None


@asynccontextmanager
async def working(url: Secret) -> AsyncIterator[Connection]:
    """A session for one file: what a file SETs must not reach the next one."""
    connection = await connect(url)
    try:
        # So that the statement of a migrator that was killed ends soon; not every platform of the server has it.
        with contextlib.suppress(psycopg.Error):
            await connection.execute("SET client_connection_check_interval = '1s'")
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def locked(url: Secret, timeout: float, report: Callable[[MigrationEvent], None]) -> AsyncIterator[Connection]:
    """Hold the lock of this database. MigrationFailed when another migrator keeps it for `timeout` seconds."""
    async with await connect(url, f"{WORKING}-lock") as connection:
        await _poll(lambda: _free(connection), connection, timeout, report)
        yield connection


async def lock_too(
    connection: Connection, keys: Sequence[int], timeout: float, report: Callable[[MigrationEvent], None]
) -> None:
    """Hold the locks that a tool takes itself, in its name: somebody may run it by hand at this moment, and what it has
    begun must not be taken for what it left behind. MigrationFailed when it keeps one for `timeout` seconds."""
    deadline, told = time.monotonic() + timeout, False
    for key in keys:
        while not await _try(connection, key):
            if time.monotonic() > deadline:
                raise MigrationFailed(
                    f"the migration tool itself is at work in this database and did not end within {timeout:.0f} s",
                    hint="Nothing was changed and the old release keeps serving. When it has ended, deploy again.",
                )
            if not told:
                report(MigrationEvent("waiting", "the migration tool itself is at work in this database"))
                told = True
            await asyncio.sleep(_POLL)


async def _try(connection: Connection, key: int) -> bool:
    row = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", [key])).fetchone()
    return bool(row and row[0])


async def _free(connection: Connection) -> bool:
    """Take the lock if it can be had, and see that nobody's statement is left over."""
    if not await _try(connection, _LOCK):
        return False
    if (await _busy(connection))[0] is None:
        return True
    await connection.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
    return False


async def _busy(connection: Connection) -> tuple[int | None, float]:
    row = await (await connection.execute(_BUSY, [WORKING])).fetchone()
    return (row[0], row[1]) if row else (None, 0.0)


async def _poll(free: Any, connection: Connection, timeout: float, report: Callable[[MigrationEvent], None]) -> None:
    deadline, told = time.monotonic() + timeout, False
    while not await free():
        pid, age = await _busy(connection)
        if time.monotonic() > deadline:
            who = f"session {pid}, for {age:.0f} s" if pid else "a session that is between two files"
            raise MigrationFailed(
                f"another migration of this database did not end within {timeout:.0f} s",
                why=f"It is run by {who}.",
                hint="Nothing was changed and the old release keeps serving. When it has ended, deploy again.",
            )
        if not told:
            report(MigrationEvent("waiting", "another migration of this database is running"))
            told = True
        await asyncio.sleep(_POLL)


def back_off(tried: int) -> float:
    """Seconds before the next try, after `tried` retries: doubling up to five, spread so that two part ways."""
    return min(5.0, 0.1 * 2.0**tried) * random.uniform(0.7, 1.3)  # noqa: S311  # keeps no secret


def mask(url: Secret) -> Mask:
    """Hides the URL and the password in it, however short."""
    found = Mask([url])
    with contextlib.suppress(psycopg.Error):
        parts: Mapping[str, Any] = conninfo.conninfo_to_dict(url.reveal())
        if password := parts.get("password"):
            found.add(Secret(str(password)))
    return found
