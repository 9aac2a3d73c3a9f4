"""golive and the tools themselves on one database in turn: each takes the other's work for its own.

Prisma's schema engine (its WebAssembly build) and drizzle-orm come from npm, golang-migrate from the Go module proxy;
without them these tests are skipped.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from test_migrate_tools import recorded, write

from conftest import PROGRAMS, Database, got, once, until
from golive.errors import MigrationFailed

pytestmark = pytest.mark.nightly  # the same behaviour, without the tools, is in test_migrate_tools every time


@pytest.fixture(scope="session")
def golang_migrate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.getbasetemp().parent / "migrate-go"
    with once(folder) as first:
        if first:
            shutil.copytree(PROGRAMS / "golang", folder, dirs_exist_ok=True)
            got(["go", "build", "-o", "agreement", "."], folder, "golang-migrate", GOFLAGS="-mod=mod", GOWORK="off")
    if (folder / "failed").exists():
        pytest.skip("golang-migrate cannot be fetched")
    return folder / "agreement"


class Tool:
    """The real one."""

    def __init__(self, database: Database, packages: Path) -> None:
        self.database = database
        self._packages = packages

    def golang(self, *force: str) -> str:
        url = f"{self.database.url}?sslmode=disable"
        argv = [str(self._packages), str(self.database.folder), url, *force]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

    def drizzle(self, schema: str = "drizzle", table: str = "__drizzle_migrations") -> None:
        script = PROGRAMS / "drizzle.mjs"
        argv = ["node", str(script), str(self._packages), str(self.database.folder), self.database.url, schema, table]
        subprocess.run(argv, capture_output=True, text=True, check=True)

    def prisma(self, command: str, *name: str) -> dict[str, Any]:
        script = PROGRAMS / "prisma.mjs"
        told = [str(self._packages), command, str(self.database.folder), self.database.url, *name]
        done = subprocess.run(["node", str(script), *told], capture_output=True, text=True, check=False)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


@pytest.fixture
def prisma(database: Database, node_packages: Path) -> Tool:
    database.tool = "prisma"
    return Tool(database, node_packages)


@pytest.fixture
def drizzle(database: Database, node_packages: Path) -> Tool:
    database.tool = "drizzle"
    return Tool(database, node_packages)


@pytest.fixture
def golang(database: Database, golang_migrate: Path) -> Tool:
    database.tool = "golang-migrate"
    return Tool(database, golang_migrate)


def columns(database: Database, table: str) -> list[tuple[Any, ...]]:
    return database.query(
        "SELECT column_name, data_type, character_maximum_length, is_nullable, column_default "
        "FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position",
        table,
    )


UP_TO_DATE = {"editedMigrationNames": [], "failedMigrationNames": [], "hasMigrationsTable": True, "history": None}


async def test_prisma_finds_nothing_to_do_after_golive(prisma: Tool) -> None:
    database = prisma.database
    write(database, 1, 'CREATE TABLE "A" (id int);\n')
    two = write(database, 2, 'CREATE INDEX CONCURRENTLY "A_id" ON "A" (id);\nVACUUM "A";')
    await database.apply()
    assert prisma.prisma("status").items() >= UP_TO_DATE.items()
    assert prisma.prisma("deploy") == {"appliedMigrationNames": []}
    write(database, 2, "VACUUM;")
    assert prisma.prisma("status")["editedMigrationNames"] == [two]


async def test_golive_finds_nothing_to_do_after_prisma(prisma: Tool) -> None:
    database = prisma.database
    one = write(database, 1, 'CREATE TABLE "A" (id int);\r\n')
    assert prisma.prisma("deploy") == {"appliedMigrationNames": [one]}
    made = columns(database, "_prisma_migrations")
    assert (await database.apply()).files == ()
    write(database, 1, 'CREATE TABLE "A" (id int);\n')
    assert (await database.status()).drifted == ()
    two = write(database, 2, 'CREATE TABLE "B" (id int);')
    assert (await database.apply()).files == (two,)
    assert prisma.prisma("status").items() >= UP_TO_DATE.items()
    database.query("DROP TABLE _prisma_migrations")
    database.query('DROP TABLE "A", "B"')
    assert (await database.apply()).files == (one, two)
    assert columns(database, "_prisma_migrations") == made


async def test_what_failed_in_prisma_blocks_until_it_is_resolved(prisma: Tool) -> None:
    database = prisma.database
    one = write(database, 1, "SELECT nope;")
    assert "nope" in prisma.prisma("deploy")["error"]
    with pytest.raises(MigrationFailed, match=f"migration {one} has failed before") as caught:
        await database.apply()
    assert "nope" in str(caught.value.why)
    assert f"prisma migrate resolve --rolled-back {one}" in str(caught.value.hint)
    found = await database.status()
    assert found.blocked and found.blocked.name == one
    prisma.prisma("rolled-back", one)
    write(database, 1, 'CREATE TABLE "A" (id int);')
    assert (await database.apply()).files == (one,)
    assert prisma.prisma("status").items() >= UP_TO_DATE.items()


async def test_what_golive_left_half_done_blocks_prisma_and_prisma_may_resolve_it(prisma: Tool) -> None:
    database = prisma.database
    one = write(database, 1, 'CREATE TABLE "A" (id int); VACUUM; SELECT nope;')
    with pytest.raises(MigrationFailed, match="statement 3 of 3"):
        await database.apply()
    assert prisma.prisma("status")["failedMigrationNames"] == [one]
    assert "error" in prisma.prisma("deploy")
    prisma.prisma("applied", one)
    assert (await database.apply()).files == ()
    found = await database.status()
    assert ([r.name for r in found.applied], found.unfinished) == ([one], None)


async def test_a_database_prisma_never_saw_is_baselined_first(prisma: Tool) -> None:
    database = prisma.database
    database.query('CREATE TABLE "A" (id int)')
    one = write(database, 1, 'CREATE TABLE "A" (id int);')
    assert "P3005" in prisma.prisma("deploy")["error"] or "not empty" in prisma.prisma("deploy")["error"]
    with pytest.raises(MigrationFailed, match=r"has tables \(A\) and no _prisma_migrations") as caught:
        await database.apply()
    assert "resolve --applied" in str(caught.value.hint)
    prisma.prisma("applied", one)
    assert (await database.apply()).files == ()


@pytest.mark.parametrize("table", [None, "app.done"])
async def test_drizzle_and_golive_in_turn(drizzle: Tool, table: str | None) -> None:
    database = drizzle.database
    settings = {"table": table} if table else {}
    place = ("app", "done") if table else ("drizzle", "__drizzle_migrations")
    write(database, 1, "CREATE TABLE a (id int)\n--> statement-breakpoint\nINSERT INTO a VALUES (1);")
    await database.apply(**settings)
    drizzle.drizzle(*place)
    assert database.query("SELECT count(*) FROM a") == [(1,)]
    write(database, 2, "INSERT INTO a VALUES (2);--> statement-breakpoint\nINSERT INTO a VALUES (3);\n")
    drizzle.drizzle(*place)
    assert (await database.apply(**settings)).files == ()
    three = write(database, 3, "INSERT INTO a VALUES (4);")
    assert (await database.apply(**settings)).files == (three,)
    drizzle.drizzle(*place)
    assert database.query("SELECT id FROM a ORDER BY id") == [(1,), (2,), (3,), (4,)]
    made = columns(database, place[1])
    database.query(f"DROP SCHEMA {place[0]} CASCADE")
    database.query("DROP TABLE a")
    drizzle.drizzle(*place)
    assert columns(database, place[1]) == made
    assert (await database.status(**settings)).drifted == ()


async def test_what_drizzle_would_never_run_golive_does_not_run(drizzle: Tool) -> None:
    database = drizzle.database
    write(database, 5, "CREATE TABLE a (id int);")
    await database.apply()
    late = write(database, 3, "CREATE TABLE b (id int);")
    drizzle.drizzle()
    assert database.query("SELECT to_regclass('b')") == [(None,)]
    assert (await database.apply()).files == ()
    assert database.said("passed") == [f"older than what was applied last, never run: {late}"]


async def test_golang_migrate_and_golive_in_turn(golang: Tool) -> None:
    database = golang.database
    write(database, 1, "BEGIN;\nCREATE TABLE a (id int);\nCOMMIT;")
    await database.apply()
    assert golang.golang() == "1 false no change"
    two = write(database, 2, "INSERT INTO a VALUES (1); INSERT INTO a VALUES (2);")
    assert golang.golang() == "2 false <nil>"
    assert (await database.apply()).files == ()
    write(database, 2, "INSERT INTO a VALUES (7);")
    with pytest.raises(MigrationFailed, match=f"changed after they were applied: {two}"):
        await database.apply()
    write(database, 2, "INSERT INTO a VALUES (1); INSERT INTO a VALUES (2);")
    write(database, 4, "CREATE INDEX CONCURRENTLY a_id ON a (id); VACUUM a;")
    assert (await database.apply()).version_after == "4"
    assert golang.golang() == "4 false no change"
    made = columns(database, "schema_migrations")
    database.query("DROP TABLE schema_migrations, a")
    write(database, 4, "SELECT 1")
    assert golang.golang() == "4 false <nil>"
    assert columns(database, "schema_migrations") == made


async def test_what_is_dirty_blocks_until_it_is_forced(golang: Tool) -> None:
    database = golang.database
    write(database, 1, "CREATE TABLE a (id int);")
    two = write(database, 2, "INSERT INTO a VALUES (1); SELECT nope;")
    with pytest.raises(subprocess.CalledProcessError):
        raise_for(golang.golang())
    assert recorded(database) == [(2, True)]
    with pytest.raises(MigrationFailed, match="version 2 in schema_migrations is dirty") as caught:
        await database.apply()
    assert two in str(caught.value.why) and "`migrate force 1` when nothing does" in str(caught.value.hint)
    golang.golang("1")
    write(database, 2, "INSERT INTO a VALUES (1);")
    assert (await database.apply()).files == (two,)


async def test_what_golive_left_half_done_is_dirty_and_may_be_forced(golang: Tool) -> None:
    database = golang.database
    write(database, 1, "CREATE TABLE a (id int); VACUUM; SELECT nope;")
    with pytest.raises(MigrationFailed, match="statement 3 of 3"):
        await database.apply()
    assert "Dirty database version 1" in golang.golang()
    golang.golang("1")
    assert (await database.apply()).files == ()
    write(database, 2, "VACUUM; SELECT nope;")
    with pytest.raises(MigrationFailed, match="statement 2 of 2"):
        await database.apply()
    golang.golang("1")
    write(database, 2, "INSERT INTO a VALUES (1);")  # undone by hand and written anew: it runs from its beginning
    assert (await database.apply()).version_after == "2"
    assert database.query("SELECT id FROM a") == [(1,)]


def raise_for(said: str) -> None:
    if not said.endswith(("<nil>", "no change")):
        raise subprocess.CalledProcessError(1, said)


@pytest.mark.parametrize("kind", ["prisma", "golang"])
async def test_a_tool_that_is_at_work_is_waited_for(request: pytest.FixtureRequest, kind: str) -> None:
    """What it has begun is not taken for what it left half done."""
    tool: Tool = request.getfixturevalue(kind)
    database = tool.database
    write(database, 1, "CREATE TABLE a (id int);")
    await database.apply()
    write(database, 2, "INSERT INTO a SELECT 1 FROM pg_sleep(1.5);")
    by_hand = asyncio.create_task(asyncio.to_thread(tool.golang if kind == "golang" else lambda: tool.prisma("deploy")))
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO a%%' AND datname = %s"
    await until(lambda: database.query(sleeping, database.name) == [(1,)], "the tool's own run")
    assert (await database.apply()).files == ()
    assert database.said("waiting") == ["the migration tool itself is at work in this database"]
    await by_hand
    assert database.query("SELECT id FROM a") == [(1,)]
