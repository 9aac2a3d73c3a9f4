"""What a rehearsal sees of migrations on a real PostgreSQL: locks, files written anew, indexes, errors."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Database
from golive.migrate.account import Account, Lock
from golive.migrate.rehearse import rehearse

PLANT = """
CREATE TABLE users (id serial PRIMARY KEY, name text, team int);
CREATE TABLE teams (id int PRIMARY KEY);
INSERT INTO users (name, team) SELECT 'n' || n, n FROM generate_series(1, 60000) n;
INSERT INTO teams SELECT generate_series(1, 60000);
"""


@pytest.fixture
async def planted(database: Database) -> Database:
    database.write("001_plant.sql", PLANT)
    await database.apply()
    return database


async def rehearsed(database: Database, **settings: Any) -> Account:
    folder = database.folder.parent
    return await rehearse(database.settings(**settings), folder, database.secret, database.events.append)


def locks(found: tuple[Lock, ...]) -> list[tuple[str, str]]:
    return [(lock.table, lock.mode) for lock in found]


async def test_each_statement_with_the_locks_that_it_took_and_what_it_wrote_anew(planted: Database) -> None:
    planted.write(
        "002_many.sql",
        "ALTER TABLE users ADD COLUMN note text;\n"
        "CREATE TABLE mine (id int PRIMARY KEY);\n"
        "UPDATE users SET note = 'x' WHERE id <= 500;\n"
        "CREATE INDEX users_team ON users (team);\n"
        "ALTER TABLE users ALTER COLUMN team TYPE bigint;\n"
        "ALTER TABLE users ADD FOREIGN KEY (id) REFERENCES teams NOT VALID;\n",
    )
    found = await rehearsed(planted)
    assert (found.applied, found.error) == (("002_many.sql",), None)
    add, make, change, index, wide, key = found.steps
    assert [step.line for step in found.steps] == [1, 2, 3, 4, 5, 6]
    assert (add.statement, add.file) == ("ALTER TABLE users ADD COLUMN note text", "002_many.sql")
    assert locks(add.locks) == [("public.users", "ACCESS EXCLUSIVE")]
    # It is one transaction, so the first lock lasts as long as all that comes after it.
    assert add.locks[0].seconds == pytest.approx(sum(step.seconds for step in found.steps))
    assert (make.locks, make.built, change.locks, change.rows) == ((), (), (), 500)
    assert (index.built, index.rewritten, index.rows) == (("public.users_team",), (), None)
    assert (wide.rewritten, "public.users_pkey" in wide.built) == (("public.users",), True)
    assert locks(key.locks) == [("public.teams", "SHARE ROW EXCLUSIVE")]
    assert found.longest == (add, add.locks[0])
    assert found.rewritten == ("public.users",)
    assert found.size_after > found.size_before
    assert planted.query("SELECT release FROM golive_migrations WHERE version = 2") == [(0,)]


async def test_what_runs_outside_a_transaction_is_watched_from_beside(planted: Database) -> None:
    planted.write("002_index.sql", "CREATE INDEX CONCURRENTLY users_name ON users (name);\nANALYZE users;\n")
    found = await rehearsed(planted)
    index, look = found.steps
    assert index.built == ("public.users_name",)
    assert locks(index.locks) == [("public.users", "SHARE UPDATE EXCLUSIVE")]
    assert 0 < index.locks[0].seconds <= index.seconds
    assert locks(look.locks) == [("public.users", "SHARE UPDATE EXCLUSIVE")]
    assert found.longest is None


async def test_an_error_is_the_one_that_a_deploy_would_give(planted: Database) -> None:
    planted.write("002_good.sql", "ALTER TABLE users ADD COLUMN note text;")
    planted.write("003_bad.sql", "ALTER TABLE users ALTER COLUMN note SET NOT NULL;\n")
    found = await rehearsed(planted)
    assert found.applied == ("002_good.sql",)
    assert found.error is not None
    assert found.error["what"] == "migration 003_bad.sql failed at statement 1 of 1, line 1"
    assert found.error["why"] == 'column "note" of relation "users" contains null values'
    assert [step.failed for step in found.steps] == [False, True]


async def test_a_try_that_could_not_have_its_lock_is_not_counted(planted: Database, held: Any) -> None:
    planted.write("002_late.sql", "ALTER TABLE teams ADD COLUMN a int;\nALTER TABLE users ADD COLUMN b int;\n")
    blocker = await held("LOCK TABLE users IN ACCESS SHARE MODE")
    retried: list[str] = []

    def told(event: Any) -> None:
        if event.kind == "retrying":
            retried.append(event.text)
            blocker.pgconn.finish()

    found = await rehearse(planted.settings(), planted.folder.parent, planted.secret, told)
    assert retried
    assert [(step.line, step.failed) for step in found.steps] == [(1, False), (2, False)]
    assert found.error is None
