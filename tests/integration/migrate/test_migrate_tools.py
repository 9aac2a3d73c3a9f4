"""What holds for the files of every tool that golive runs itself, recorded in that tool's own table."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from conftest import Database, until
from golive.errors import MigrationFailed

TOOLS = ("prisma", "drizzle", "golang-migrate")
Write = Callable[..., str]
WHOLE = "SELECT count(*) FROM golive.golive_migrations WHERE applied_at IS NOT NULL"


@pytest.fixture(params=TOOLS)
def tool(request: pytest.FixtureRequest, database: Database) -> Database:
    database.tool = request.param
    return database


def write(database: Database, number: int, text: str, title: str = "x") -> str:
    """A migration as the tool lays it out; its name."""
    if database.tool == "golang-migrate":
        name = f"{number:03}_{title}.up.sql"
        database.write(name, text)
        database.write(f"{number:03}_{title}.down.sql", "this is not even SQL")
        return name
    if database.tool == "prisma":
        database.write("migration_lock.toml", 'provider = "postgresql"\n')
        name = f"202401010000{number:02}_{title}"
        database.write(f"{name}/migration.sql", text)
        return name
    journal = database.folder / "meta/_journal.json"
    old = json.loads(journal.read_text())["entries"] if journal.exists() else []
    entry = {"idx": number, "version": "7", "when": 1_700_000_000_000 + number, "tag": f"{number:04}_{title}"}
    entries = [*(e for e in old if e["idx"] != number), {**entry, "breakpoints": True}]
    database.write("meta/_journal.json", json.dumps({"version": "7", "dialect": "postgresql", "entries": entries}))
    database.write(f"{entry['tag']}.sql", text)
    return f"{entry['tag']}.sql"


def recorded(database: Database) -> list[tuple[Any, ...]]:
    """What the tool's own table says."""
    queries = {
        "golang-migrate": "SELECT version, dirty FROM schema_migrations",
        "prisma": "SELECT migration_name, checksum, finished_at >= started_at, applied_steps_count, logs, "
        "rolled_back_at FROM _prisma_migrations ORDER BY started_at",
        "drizzle": "SELECT id, hash, created_at FROM drizzle.__drizzle_migrations ORDER BY id",
    }
    return database.query(queries[database.tool])


def expected(database: Database, *migrations: tuple[int, str, str]) -> list[tuple[Any, ...]]:
    def sha(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    if database.tool == "golang-migrate":
        return [(migrations[-1][0], False)]
    if database.tool == "prisma":
        return [(name, sha(text), True, 1, None, None) for _, name, text in migrations]
    return [(i, sha(text), 1_700_000_000_000 + n) for i, (n, _, text) in enumerate(migrations, 1)]


async def test_it_is_applied_once_and_recorded_as_the_tool_does(tool: Database) -> None:
    first, second = "CREATE TABLE a (id int);\nINSERT INTO a VALUES (1);\n", "CREATE INDEX CONCURRENTLY a_id ON a (id);"
    one, two = write(tool, 1, first), write(tool, 2, second)
    assert [file.name for file in (await tool.status()).pending] == [one, two]
    done = await tool.apply(release=7)
    assert done.files == (one, two)
    assert done.version_after in ("2", two, two.removesuffix(".sql"))
    assert recorded(tool) == expected(tool, (1, one, first), (2, two, second))
    left = tool.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    own = {"prisma": [("_prisma_migrations",)], "golang-migrate": [("schema_migrations",)], "drizzle": []}
    assert sorted(left) == sorted([("a",), *own[tool.tool]])  # no tool takes a table of golive's for the project's
    again = await tool.apply()
    assert (again.files, again.version_before) == ((), done.version_after)
    assert tool.query("SELECT count(*) FROM a") == [(1,)]
    found = await tool.status()
    assert (found.pending, found.drifted, found.missing, found.unfinished, found.blocked) == ((), (), (), None, None)


async def test_a_failure_half_way_leaves_nothing_and_blocks_nothing(tool: Database) -> None:
    one = write(tool, 1, "CREATE TABLE a (id int);")
    two = write(tool, 2, "CREATE TABLE b ();\n\nINSERT INTO a VALUES (nope);")
    with pytest.raises(MigrationFailed) as caught:
        await tool.apply()
    assert caught.value.what == f"migration {two} failed at statement 2 of 2, line 3"
    assert f"Applied just now and standing: {one}. Nothing of {two} stands" in str(caught.value.hint)
    assert len(recorded(tool)) == 1
    right = "CREATE TABLE b ();\n\nINSERT INTO a VALUES (2);"
    write(tool, 2, right)
    assert (await tool.apply()).files == (two,)
    assert recorded(tool) == expected(tool, (1, one, "CREATE TABLE a (id int);"), (2, two, right))


async def test_a_file_outside_a_transaction_goes_on_where_it_failed(tool: Database) -> None:
    begun = "CREATE TABLE a (id int);\nCREATE INDEX CONCURRENTLY a_id ON a (id);\n"
    name = write(tool, 1, begun + "INSERT INTO a VALUES (nope);")
    with pytest.raises(MigrationFailed, match="statement 3 of 3, line 3") as caught:
        await tool.apply()
    assert "its first 2 statements stand" in str(caught.value.hint)
    found = await tool.status()
    assert found.unfinished and (found.unfinished.done, found.blocked) == (2, None)
    right = begun + "INSERT INTO a VALUES (1);"
    write(tool, 1, right)
    assert (await tool.apply()).files == (name,)
    assert recorded(tool) == expected(tool, (1, name, right))
    assert tool.query("SELECT id FROM a") == [(1,)]


async def test_a_changed_file_is_refused_and_other_newlines_are_not(tool: Database) -> None:
    text = "CREATE TABLE a (\n  id int\n);\n"
    name = write(tool, 1, text)
    await tool.apply()
    write(tool, 1, text.replace("\n", "\r\n"))
    assert (await tool.apply()).files == ()
    write(tool, 1, text.replace("int", "bigint"))
    with pytest.raises(MigrationFailed, match=f"changed after they were applied: {name}"):
        await tool.apply()
    assert [record.name for record in (await tool.status()).drifted] == [name]


KILLED = [pytest.param(tool, marks=[] if tool == "prisma" else [pytest.mark.nightly]) for tool in TOOLS]


@pytest.mark.parametrize("tool", KILLED, indirect=True)
async def test_migrators_killed_in_a_transaction_and_outside_of_one(tool: Database) -> None:
    first = "CREATE TABLE log (n int);\nINSERT INTO log SELECT 1 FROM pg_sleep(1);"
    second = "INSERT INTO log VALUES (2);\nVACUUM log;\nINSERT INTO log SELECT 3 FROM pg_sleep(1);"
    write(tool, 1, first)
    write(tool, 2, second)
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s AND datname = %s"
    for sleeping in ("INSERT INTO log SELECT 1%", "INSERT INTO log SELECT 3%"):
        with tool.migrator() as process:
            await until(lambda s=sleeping: tool.query(running, s, tool.name) == [(1,)], sleeping)  # type: ignore[misc]
            process.kill()
    assert len((await tool.apply()).files) == 1
    assert tool.query("SELECT n FROM log ORDER BY n") == [(1,), (2,), (3,)]
    names = [record.name for record in (await tool.status()).applied]
    assert recorded(tool) == expected(tool, (1, names[0], first), (2, names[1], second))


async def test_three_at_once_apply_once(tool: Database) -> None:
    write(tool, 1, "CREATE TABLE a (id int); INSERT INTO a SELECT 1 FROM pg_sleep(0.3)")
    write(tool, 2, "CREATE INDEX CONCURRENTLY a_id ON a (id)")
    done = await asyncio.gather(*(tool.apply() for _ in range(3)))
    assert sorted(len(applied.files) for applied in done) == [0, 0, 2]
    assert tool.query("SELECT count(*) FROM a") == [(1,)]


async def test_what_was_plain_sql_does_not_run_a_second_time(tool: Database) -> None:
    wanted = tool.tool
    tool.tool = "sql"
    tool.write("001_a.sql", "CREATE TABLE a ()")
    await tool.apply()
    tool.tool = wanted
    (tool.folder / "001_a.sql").unlink()
    write(tool, 1, "CREATE TABLE a ()")
    with pytest.raises(MigrationFailed, match="was migrated as plain SQL") as caught:
        await tool.apply()
    assert 'migrations.tool = "sql"' in str(caught.value.hint)


async def test_an_older_release_does_nothing(tool: Database) -> None:
    write(tool, 1, "CREATE TABLE a ()")
    write(tool, 2, "CREATE TABLE b ()")
    await tool.apply()
    for path in tool.folder.glob("*2_x*"):
        if path.is_dir():
            (path / "migration.sql").unlink()
            path.rmdir()
        else:
            path.unlink()
    if tool.tool == "drizzle":
        journal = json.loads((tool.folder / "meta/_journal.json").read_text())
        tool.write("meta/_journal.json", json.dumps({**journal, "entries": journal["entries"][:1]}))
    assert (await tool.apply()).files == ()
    assert len(tool.said("ahead")) == 1


async def test_a_block_in_a_file_outside_a_transaction_stands_as_a_whole(tool: Database) -> None:
    """As Prisma writes it for a changed enum."""
    text = (
        "CREATE TABLE a (id int);\nVACUUM a;\nBEGIN;\nINSERT INTO a VALUES (1);\nINSERT INTO a VALUES (nope);\nCOMMIT;"
    )
    name = write(tool, 1, text)
    with pytest.raises(MigrationFailed, match="statement 4 of 4, line 5") as caught:
        await tool.apply()
    assert f"{name} runs outside a transaction: its first 2 statements stand." in str(caught.value.hint)
    assert tool.query("SELECT count(*) FROM a") == [(0,)]
    write(tool, 1, text.replace("nope", "2"))
    await tool.apply()
    assert tool.query("SELECT id FROM a ORDER BY id") == [(1,), (2,)]
