"""Locks that others hold, migrators and servers that are killed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import Cluster, Database, database_in, until
from golive.errors import MigrationFailed
from golive.migrate import session
from golive.migrate.files import discover
from golive.migrate.history import History

Hold = Callable[[str], Awaitable[psycopg.AsyncConnection[Any]]]
STATEMENTS = 8
# Ordinary statements between ones that no transaction takes; each insert would show if it ran twice.
LONG_FILE = "\n".join(
    [
        "CREATE TABLE log (n int);",
        "CREATE INDEX CONCURRENTLY log_a ON log (n);",
        "INSERT INTO log SELECT 1 FROM pg_sleep(0.2);",
        "CREATE UNIQUE INDEX CONCURRENTLY log_b ON log (n);",
        "INSERT INTO log SELECT 2 FROM pg_sleep(0.2);",
        "REINDEX INDEX CONCURRENTLY log_a;",
        "VACUUM ANALYZE log;",
        "INSERT INTO log SELECT 3 FROM pg_sleep(0.2);",
    ]
)


def reached(database: Database, done: int) -> bool:
    try:
        return database.query("SELECT done FROM golive_migrations")[0][0] >= done
    except (psycopg.errors.UndefinedTable, IndexError):
        return False


def assert_whole(database: Database) -> None:
    assert database.query("SELECT n FROM log ORDER BY n") == [(1,), (2,), (3,)]
    assert (database.index("log_a"), database.index("log_b")) == (True, True)
    assert database.query("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]
    assert database.query("SELECT applied_at IS NOT NULL, done, attempting FROM golive_migrations") == [
        (True, STATEMENTS, False)
    ]


async def test_a_lock_is_tried_for_again_and_traffic_goes_on(database: Database, held: Hold) -> None:
    database.query("CREATE TABLE a (id int)")
    database.write("001_a.sql", "ALTER TABLE a ADD COLUMN b int")
    blocker = await held("SELECT * FROM a")
    running = asyncio.create_task(database.apply(lock_timeout="50ms"))
    await until(lambda: len(database.said("retrying")) >= 2, "a second try")
    database.query("INSERT INTO a VALUES (1)")
    assert not running.done()
    await blocker.commit()
    assert (await running).files == ("001_a.sql",)


async def test_a_lock_that_never_comes_says_who_has_it(database: Database, held: Hold) -> None:
    database.query("CREATE TABLE a (id int)")
    database.write("001_a.sql", "CREATE TABLE b ();\nALTER TABLE a ADD COLUMN b int")
    blocker = await held("SELECT * FROM a")
    with pytest.raises(MigrationFailed, match="at statement 2 of 2, line 2") as caught:
        await database.apply(lock_timeout="50ms", retries=1)
    why, hint = str(caught.value.why), str(caught.value.hint)
    assert why.startswith("canceling statement due to lock timeout\nOpen transactions: the-blocker (session ")
    assert "Nothing of 001_a.sql stands" in hint and "raise migrations.retries" in hint
    assert len(database.said("retrying")) == 1
    await blocker.commit()
    assert (await database.apply()).files == ("001_a.sql",)


async def test_a_concurrent_build_waits_for_old_transactions(database: Database, held: Hold) -> None:
    database.query("CREATE TABLE a (id int)")
    database.write("001_a.sql", "CREATE INDEX CONCURRENTLY a_id ON a (id)")
    blocker = await held("INSERT INTO a VALUES (1)")
    running = asyncio.create_task(database.apply(lock_timeout="50ms", retries=0))
    await until(lambda: database.index("a_id") is False, "the build")
    await asyncio.sleep(0.3)  # longer than lock_timeout, which must not apply here
    await blocker.commit()
    await running
    assert database.index("a_id") is True


async def test_a_concurrent_build_out_of_patience_is_cleared_and_tried_again(database: Database, held: Hold) -> None:
    database.query("CREATE TABLE a (id int)")
    database.write("001_a.sql", "CREATE INDEX CONCURRENTLY a_id ON a (id)")
    blocker = await held("INSERT INTO a VALUES (1)")
    running = asyncio.create_task(database.apply(lock_timeout="50ms", patience=0.1))
    await until(lambda: len(database.said("retrying")) >= 1, "a retry")
    await blocker.commit()
    await running
    assert database.said("mended")
    assert database.index("a_id") is True


async def test_migrators_killed_at_every_statement(database: Database) -> None:
    database.write("001_long.sql", LONG_FILE)
    for done in range(STATEMENTS):
        with database.migrator() as process:
            await until(lambda done=done: reached(database, done), f"statement {done}")  # type: ignore[misc]
            process.kill()
    await database.apply()
    assert_whole(database)


@pytest.mark.parametrize("done", range(4))
async def test_a_statement_whose_end_was_not_recorded_is_looked_at(database: Database, done: int) -> None:
    """The world between a statement that no transaction takes and its record, made by hand for each of them."""
    database.query("CREATE TABLE a (id int)")
    database.query("CREATE INDEX old ON a (id)")
    statements = [
        "CREATE INDEX CONCURRENTLY a_id ON a (id)",
        "DROP INDEX CONCURRENTLY old",
        f"CREATE DATABASE {database.name}_x",
        "VACUUM a",
    ]
    for statement in statements[: done + 1]:
        database.query(statement)
    database.write("001_a.sql", ";\n".join(statements))
    async with await session.connect(database.secret) as connection:
        history = await History.of(connection)
        await history.create(connection)
        (file,) = discover(database.folder)
        await history.begin(connection, file, 1)
        await history.advance(connection, file, done)
        await history.attempt(connection, file)
    assert (await database.apply()).files == ("001_a.sql",)
    assert (database.index("a_id"), database.index("old")) == (True, None)


async def test_a_statement_that_failed_is_not_taken_for_done(database: Database) -> None:
    database.query("CREATE TABLE a (id int)")
    database.query("CREATE INDEX a_id ON a (id)")
    database.write("001_a.sql", "VACUUM a;\nCREATE INDEX CONCURRENTLY a_id ON a (id)")
    for _ in range(2):
        with pytest.raises(MigrationFailed, match="statement 2 of 2") as caught:
            await database.apply()
        assert caught.value.why == 'relation "a_id" already exists'


async def test_an_index_that_somebody_left_invalid_is_said_with_what_mends_it(database: Database) -> None:
    database.query("CREATE TABLE a (id int)")
    database.query("INSERT INTO a VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.query("CREATE UNIQUE INDEX CONCURRENTLY a_id ON a (id)")
    database.write("001_b.sql", "CREATE TABLE b ();")
    await database.apply()
    (said,) = database.said("invalid")
    command = said.partition("no query. ")[2]
    assert command == 'REINDEX INDEX CONCURRENTLY "public"."a_id";'
    database.query("DELETE FROM a")
    database.query(command)
    assert database.index("a_id") is True


async def test_a_build_whose_migrator_was_killed_is_mended(database: Database, held: Hold) -> None:
    database.query("CREATE TABLE log (n int)")
    database.write("001_a.sql", "CREATE INDEX CONCURRENTLY log_a ON log (n)")
    blocker = await held("INSERT INTO log VALUES (1)")
    with database.migrator() as process:
        await until(lambda: database.index("log_a") is False, "the build")
        process.kill()
    left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND datname = %s"
    running = asyncio.create_task(database.apply())
    await until(lambda: database.query(left, session.WORKING, database.name) == [(0,)], "end of what was left over")
    await until(lambda: bool(database.said("mended") or database.said("started")), "the second migrator")
    await blocker.commit()
    assert (await running).files == ("001_a.sql",)
    assert database.index("log_a") is True
    assert database.said("waiting") == ["another migration of this database is running"]


async def test_a_transaction_whose_migrator_was_killed_leaves_nothing(database: Database) -> None:
    database.write("001_a.sql", "CREATE TABLE log (n int);\nINSERT INTO log SELECT 1 FROM pg_sleep(3);")
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO log%%' AND datname = %s"
    with database.migrator() as process:
        await until(lambda: database.query(sleeping, database.name) == [(1,)], "the insert")
        process.kill()
    database.write("001_a.sql", "CREATE TABLE log (n int);\nINSERT INTO log VALUES (1);")
    await database.apply()
    assert database.query("SELECT n FROM log") == [(1,)]


async def test_a_migrator_that_loses_its_lock_stops(database: Database) -> None:
    database.write("001_a.sql", "CREATE TABLE log (n int); VACUUM; SELECT pg_sleep(1); INSERT INTO log VALUES (1)")
    running = asyncio.create_task(database.apply())
    await until(lambda: reached(database, 2), "the second statement")
    database.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s AND datname = %s",
        f"{session.WORKING}-lock",
        database.name,
    )
    with pytest.raises(MigrationFailed, match=r"lost during migration 001_a\.sql"):
        await running
    assert database.query("SELECT count(*) FROM log") == [(0,)]
    await database.apply()
    assert database.query("SELECT n FROM log") == [(1,)]


async def test_another_migrator_that_does_not_end(database: Database) -> None:
    database.write("001_a.sql", "SELECT pg_sleep(5)")
    running = asyncio.create_task(database.apply())
    await until(lambda: bool(database.said("started")), "the first")
    with pytest.raises(MigrationFailed, match="did not end within 1 s") as caught:
        await database.apply(timeout=1)
    assert "run by session" in str(caught.value.why)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert database.query("SELECT count(*) FROM golive_migrations") == [(0,)]


async def test_servers_killed_at_every_statement(doomed_cluster: Cluster, tmp_path: Path) -> None:
    database = database_in(doomed_cluster, tmp_path / "migrations", "doomed")
    database.write("001_long.sql", LONG_FILE)
    for done in range(STATEMENTS):
        running = asyncio.create_task(database.apply())
        await until(lambda done=done: reached(database, done), f"statement {done}")  # type: ignore[misc]
        doomed_cluster.kill()
        with pytest.raises(MigrationFailed, match="connect"):
            await running
        doomed_cluster.start()
    await database.apply()
    assert_whole(database)
