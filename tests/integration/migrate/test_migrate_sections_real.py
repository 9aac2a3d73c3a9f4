"""The contract section of a file, applied once it may be, on a real PostgreSQL."""

from __future__ import annotations

import pytest

from conftest import Database
from golive.errors import MigrationFailed
from golive.migrate.overview import overview
from golive.migrate.run import apply

SECTION = "007_x.sql (contract)"
FILE = "ALTER TABLE users ADD COLUMN handle text;\n-- golive: contract\nALTER TABLE users DROP COLUMN nick;\n"


@pytest.fixture
async def users(database: Database) -> Database:
    database.write("006_users.sql", "CREATE TABLE users (id int, nick text);")
    database.write("007_x.sql", FILE)
    return database


async def applied(database: Database, *held: str) -> tuple[str, ...]:
    """What was applied, while these wait."""
    report = database.events.append
    return (await apply(database.settings(), database.folder, database.secret, report, release=1, held=held)).files


def columns(database: Database) -> list[str]:
    found = database.query("SELECT attname FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum > 0"
                           " AND NOT attisdropped ORDER BY attnum")  # fmt: skip
    return [name for (name,) in found]


async def test_it_waits_and_is_applied_once(users: Database) -> None:
    assert await applied(users, SECTION) == ("006_users.sql", "007_x.sql")
    assert columns(users) == ["id", "nick", "handle"]
    users.write("008_y.sql", "ALTER TABLE users ADD COLUMN age int;")
    assert await applied(users, SECTION) == ("008_y.sql",)
    seen = await overview(users.settings(), users.folder.parent, users.secret)
    assert [(line.name, line.state) for line in seen.lines] == [
        ("006_users.sql", "applied"), ("007_x.sql", "applied"), ("008_y.sql", "applied"), (SECTION, "pending"),
    ]  # fmt: skip
    assert seen.version == "8"
    done = await users.apply()
    assert (done.files, done.version_after, done.contracts) == ((SECTION,), "8", (SECTION,))
    assert columns(users) == ["id", "handle", "age"]
    assert (await users.apply()).files == ()


async def test_both_parts_at_once_where_nobody_needs_what_goes(users: Database) -> None:
    assert await applied(users) == ("006_users.sql", "007_x.sql", SECTION)
    assert columns(users) == ["id", "handle"]


async def test_it_may_be_corrected_until_it_is_applied(users: Database) -> None:
    await applied(users, SECTION)
    users.write("007_x.sql", FILE.replace("DROP COLUMN nick", "DROP COLUMN nick, DROP COLUMN id"))
    assert await applied(users) == (SECTION,)
    assert columns(users) == ["handle"]
    users.write("007_x.sql", FILE)
    with pytest.raises(MigrationFailed, match=r"changed after they were applied: 007_x.sql \(contract\)"):
        await users.apply()


async def test_a_section_that_fails_leaves_the_rest_standing(users: Database) -> None:
    users.write("007_x.sql", FILE.replace("nick", "nope"))
    with pytest.raises(MigrationFailed) as caught:
        await users.apply()
    assert caught.value.what == f"migration {SECTION} failed at statement 1 of 1, line 3"
    assert "standing: 006_users.sql, 007_x.sql. Nothing of 007_x.sql (contract) stands" in (caught.value.hint or "")
    users.write("007_x.sql", FILE)
    assert (await users.apply()).files == (SECTION,)
