"""Numbered SQL on a real PostgreSQL: what is applied, what is refused, what an error says."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from conftest import PASSWORD, Database
from golive.errors import MigrationFailed, UsageError
from golive.migrate.run import status
from golive.secret import Secret


async def test_pending_files_are_applied_once(database: Database) -> None:
    database.write("001_a.sql", "CREATE TABLE a (id int);\nINSERT INTO a VALUES (1);")
    database.write("002_b.sql", "CREATE INDEX CONCURRENTLY a_id ON a (id);")
    assert [f.version for f in (await status(database.folder, database.secret)).pending] == [1, 2]
    done = await database.apply(release=7)
    assert (done.version_before, done.version_after, done.files) == (None, "2", ("001_a.sql", "002_b.sql"))
    rows = database.query("SELECT version, name, release, applied_at IS NOT NULL, duration > 0 FROM golive_migrations")
    assert sorted(rows) == [(1, "001_a.sql", 7, True, True), (2, "002_b.sql", 7, True, True)]
    assert [(e.kind, e.version) for e in database.events] == [
        ("started", 1), ("applied", 1), ("started", 2), ("applied", 2),
    ]  # fmt: skip
    again = await database.apply(release=8)
    assert (again.version_before, again.version_after, again.files) == ("2", "2", ())
    assert database.query("SELECT count(*) FROM a") == [(1,)]
    assert (await status(database.folder, database.secret)).pending == ()


async def test_asking_changes_nothing(database: Database) -> None:
    database.write("001_a.sql", "CREATE TABLE a ()")
    await status(database.folder, database.secret)
    assert database.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


async def test_a_file_that_fails_half_way_leaves_nothing_and_says_so(database: Database) -> None:
    database.write("001_a.sql", "CREATE TABLE a (id int PRIMARY KEY);")
    database.write("002_b.sql", "CREATE TABLE b ();\n\n-- now the mistake\nINSERT INTO a\n  VALUES (1), (nope);\n")
    with pytest.raises(MigrationFailed) as caught:
        await database.apply()
    error = caught.value
    assert error.what == "migration 002_b.sql failed at statement 2 of 2, line 5"
    assert error.where == f"{database.folder}/002_b.sql:5"
    assert error.why == 'column "nope" does not exist'
    assert error.hint == (
        "Applied just now and standing: 001_a.sql. Nothing of 002_b.sql stands: it ran in one transaction. "
        "The old release keeps serving. Correct the file and deploy again."
    )
    assert ">    5 |   VALUES (1), (nope);" in error.log
    assert database.query("SELECT to_regclass('a') IS NOT NULL, to_regclass('b') IS NULL") == [(True, True)]
    database.write("002_b.sql", "CREATE TABLE b ();")
    assert (await database.apply()).files == ("002_b.sql",)


async def test_a_file_outside_a_transaction_goes_on_where_it_failed(database: Database) -> None:
    first = "CREATE TABLE a (id int);\nINSERT INTO a VALUES (1), (1);\n"
    database.write("001_a.sql", first + "CREATE UNIQUE INDEX CONCURRENTLY a_id ON a (id);\nINSERT INTO a VALUES (2);")
    with pytest.raises(MigrationFailed) as caught:
        await database.apply()
    assert caught.value.what == "migration 001_a.sql failed at statement 3 of 4, line 3"
    assert "could not create unique index" in str(caught.value.why)
    assert "001_a.sql runs outside a transaction: its first 2 statements stand." in str(caught.value.hint)
    assert database.index("a_id") is None
    assert database.said("mended") == ["dropped the invalid index a_id, left by a build that did not finish"]
    mended = "DELETE FROM a WHERE ctid > '(0,1)';\nCREATE UNIQUE INDEX CONCURRENTLY a_id ON a (id);\n"
    database.write("001_a.sql", first + mended + "INSERT INTO a VALUES (2);")
    assert (await database.apply()).files == ("001_a.sql",)
    assert database.index("a_id") is True
    assert database.query("SELECT id FROM a ORDER BY id") == [(1,), (2,)]


async def test_what_has_run_of_an_unfinished_file_may_not_change(database: Database) -> None:
    database.write("001_a.sql", "CREATE TABLE a (); VACUUM; SELECT nope")
    with pytest.raises(MigrationFailed, match="statement 3 of 3"):
        await database.apply()
    database.write("001_a.sql", "CREATE TABLE other (); VACUUM; SELECT 1")
    with pytest.raises(MigrationFailed, match=r"changed after they were applied: 001_a.sql \(half applied\)"):
        await database.apply()
    database.write("001_a.sql", "CREATE TABLE a (); VACUUM;")
    assert (await database.apply()).files == ("001_a.sql",)


async def test_an_invalid_index_from_before_is_not_taken_for_a_good_one(database: Database) -> None:
    database.query('CREATE TABLE "Odd" (id int)')
    database.query('INSERT INTO "Odd" VALUES (1), (1)')
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.query('CREATE UNIQUE INDEX CONCURRENTLY "My index" ON public."Odd" (id)')
    database.query('DELETE FROM "Odd"')
    assert database.index("My index") is False
    database.write("1_i.sql", 'create unique index concurrently if not exists "My index" on public."Odd" (id)')
    await database.apply()
    assert database.index("My index") is True
    assert len(database.said("mended")) == 1


async def test_an_interrupted_reindex_is_cleared(database: Database) -> None:
    database.query("CREATE TABLE a (id int)")
    database.query("INSERT INTO a VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.query("CREATE UNIQUE INDEX CONCURRENTLY a_ccnew ON a (id)")
    database.query("DELETE FROM a")
    database.query("CREATE INDEX a_id ON a (id)")
    database.write("1_r.sql", "REINDEX INDEX CONCURRENTLY a_id;")
    database.write("2_r.sql", "REINDEX TABLE CONCURRENTLY a;")
    await database.apply()
    assert database.index("a_ccnew") is None
    assert database.index("a_id") is True


async def test_a_changed_file_is_refused(database: Database) -> None:
    database.write("001_a.sql", "CREATE TABLE a ()")
    await database.apply()
    database.write("001_a.sql", "CREATE TABLE a (id int)")
    database.write("002_b.sql", "CREATE TABLE b ()")
    with pytest.raises(MigrationFailed, match=r"001_a\.sql") as caught:
        await database.apply()
    assert "write the change as a new migration" in str(caught.value.hint)
    assert database.query("SELECT to_regclass('b')") == [(None,)]
    assert [r.name for r in (await status(database.folder, database.secret)).drifted] == ["001_a.sql"]


async def test_late_files_run_and_an_older_release_does_nothing(database: Database) -> None:
    database.write("20240102_b.sql", "CREATE TABLE b ()")
    await database.apply()
    database.write("20240101_a.sql", "CREATE TABLE a ()")
    done = await database.apply()
    assert (done.files, done.version_before, done.version_after) == (("20240101_a.sql",), "20240102", "20240102")
    assert database.said("late") == ["numbered below what was applied before: 20240101_a.sql"]
    (database.folder / "20240102_b.sql").unlink()
    assert (await database.apply()).files == ()
    assert database.said("ahead") == ["applied by another release, not in this one: 20240102_b.sql"]


async def test_settings_of_one_file_do_not_reach_the_next(database: Database) -> None:
    database.write("001_a.sql", "SELECT pg_catalog.set_config('search_path', '', false);\nCREATE TABLE public.a ()")
    database.write("002_b.sql", "CREATE TABLE b ();\nDO $$ BEGIN RAISE NOTICE 'hello'; END $$")
    await database.apply()
    assert database.query("SELECT to_regclass('public.b') IS NOT NULL") == [(True,)]
    assert database.said("notice") == ["hello"]


async def test_enum_values_that_are_used_in_the_same_file(database: Database) -> None:
    database.write("1_e.sql", "CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE m (mood mood)")
    database.write("2_e.sql", "ALTER TYPE mood ADD VALUE 'happy';\nINSERT INTO m VALUES ('happy');")
    await database.apply()
    assert database.query("SELECT mood::text FROM m") == [("happy",)]


async def test_percent_signs_and_umlauts_arrive_as_written(database: Database) -> None:
    database.write("1_t.sql", "CREATE TABLE t AS SELECT '%s 100% $1 Zürich 日本' AS x WHERE 'a' LIKE '%a%'")
    await database.apply()
    assert database.query("SELECT x FROM t") == [("%s 100% $1 Zürich 日本",)]


async def test_nothing_runs_when_a_file_is_wrong(database: Database) -> None:
    database.write("001_a.sql", "CREATE TABLE a ()")
    database.write("002_b.sql", "SELECT 'open")
    with pytest.raises(UsageError, match=r"002_b\.sql:1"):
        await database.apply()
    assert database.query("SELECT to_regclass('a')") == [(None,)]


async def test_a_database_that_is_not_there(database: Database) -> None:
    database.write("001_a.sql", "SELECT 1")
    for url in (database.url.replace(f":{database.url.split(':')[3].split('/')[0]}/", ":1/"), database.url + "x"):
        with pytest.raises(MigrationFailed, match="cannot connect") as caught:
            await status(database.folder, Secret(url))
        assert PASSWORD not in str(caught.value.to_json())
        assert caught.value.__cause__ is None


async def test_a_role_that_may_not_keep_the_record(database: Database) -> None:
    database.query("CREATE ROLE guest LOGIN")
    database.write("001_a.sql", "SELECT 1")
    database.url = database.url.replace("tester:", "guest:")
    with pytest.raises(MigrationFailed) as caught:
        await database.apply()
    assert caught.value.why == "permission denied for schema public"
    assert "needs CREATE" in str(caught.value.hint)


async def test_too_slow_for_the_limit(database: Database) -> None:
    database.write("001_a.sql", "CREATE TABLE a ()")
    database.write("002_b.sql", "SELECT pg_sleep(30)")
    with pytest.raises(MigrationFailed, match="did not finish within 1 s") as caught:
        await database.apply(timeout=1)
    assert "Applied before that: 001_a.sql." in str(caught.value.hint)
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s AND state = 'active' AND datname = %s"
    assert database.query(sleeping, "SELECT pg_sleep%", database.name) == [(0,)]


async def test_three_at_once_apply_once(database: Database) -> None:
    database.write("001_a.sql", "CREATE TABLE a (id int); INSERT INTO a SELECT generate_series(1, 50000)")
    database.write("002_b.sql", "CREATE INDEX CONCURRENTLY a_id ON a (id)")
    database.write("003_c.sql", "INSERT INTO a VALUES (0); SELECT pg_sleep(0.3)")
    done: list[Any] = await asyncio.gather(*(database.apply() for _ in range(3)))
    assert sorted(len(applied.files) for applied in done) == [0, 0, 3]
    assert database.query("SELECT count(*) FROM a") == [(50001,)]
    assert database.index("a_id") is True
    assert len(database.said("waiting")) == 2
