"""`prisma migrate deploy` of a release that has it: Prisma's own schema engine, started as its command line is.

The engine is its WebAssembly build; the native one is fetched from Prisma's own host, which tests do not ask.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from test_migrate_tools import recorded, write

from conftest import PASSWORD, PROGRAMS, Database, until
from golive.errors import MigrationFailed
from golive.migrate import Applied, Runtime, migrate, prisma_cli

MAIN = """
const [, , ...words] = process.argv;
console.log("prisma", words.join(" "));
process.argv = [process.argv[0], "prisma.mjs", {packages}, words[1], {folder}, process.env.DATABASE_URL];
import({program});
"""


class Release:
    def __init__(self, database: Database, app: Path, packages: Path) -> None:
        self.database, self.app = database, app
        database.tool = "prisma"
        program = (PROGRAMS / "prisma.mjs").as_uri()
        told = {"packages": str(packages), "folder": str(database.folder), "program": program}
        self.put("prisma/build/index.js", MAIN.format(**{k: json.dumps(v) for k, v in told.items()}))
        self.put("@prisma/engines/schema-engine-debian", "#!/bin/sh\necho schema-engine-cli 1\n", 0o755)
        self.runtime = Runtime((), {"DATABASE_URL": database.url, "PATH": os.environ["PATH"]}, None, app)

    def put(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.app / "node_modules" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    async def migrate(self, **more: Any) -> Applied:
        settings, report = self.database.settings(**more), self.database.events.append
        checkout = self.database.folder.parent
        return await migrate(settings, checkout, self.database.secret, release=1, report=report, runtime=self.runtime)


@pytest.fixture
def release(database: Database, tmp_path: Path, node_packages: Path) -> Release:
    return Release(database, tmp_path / "app", node_packages)


async def test_prisma_itself_migrates_and_golive_goes_on_from_there(release: Release) -> None:
    database = release.database
    one = write(database, 1, 'CREATE TABLE "A" (id int);')
    done = await release.migrate()
    assert (done.version_before, done.version_after, done.files) == (None, one, (one,))
    assert database.said("notice")[0] == "prisma migrate deploy"
    assert (await release.migrate()).files == ()
    (release.app / "node_modules/@prisma/engines/schema-engine-debian").unlink()
    two = write(database, 2, 'CREATE TABLE "B" (id int);')
    assert (await release.migrate()).files == (two,)
    assert [row[:1] for row in recorded(database)] == [(one,), (two,)]


async def test_what_fails_leaves_nothing_and_may_be_corrected(release: Release) -> None:
    database = release.database
    one = write(database, 1, 'CREATE TABLE "A" (id int);')
    two = write(database, 2, 'ALTER TABLE "Nothing" ADD COLUMN b int;')
    with pytest.raises(MigrationFailed, match="prisma migrate deploy failed") as caught:
        await release.migrate()
    assert f"Applied just now and standing: {one}. Nothing of {two} stands" in str(caught.value.hint)
    assert "Nothing" in caught.value.log and PASSWORD not in str(caught.value.to_json())
    write(database, 2, 'ALTER TABLE "A" ADD COLUMN b int;')
    assert (await release.migrate()).files == (two,)


async def test_a_lock_is_tried_for_again(
    release: Release, held: Callable[[str], Awaitable[psycopg.AsyncConnection[Any]]]
) -> None:
    database = release.database
    write(database, 1, 'CREATE TABLE "A" (id int);')
    await release.migrate()
    two = write(database, 2, 'ALTER TABLE "A" ADD COLUMN b int;')
    blocker = await held('SELECT * FROM "A"')
    running = asyncio.create_task(release.migrate(lock_timeout="50ms"))
    await until(lambda: bool(database.said("retrying")), "a second try")
    await blocker.commit()
    assert (await running).version_after == two


async def test_it_is_looked_for_where_the_release_runs(release: Release) -> None:
    found = await prisma_cli.find(release.runtime)
    assert found and found.engine.name == "schema-engine-debian"
    release.put("@prisma/engines/schema-engine-debian", "#!/bin/sh\nexit 1\n", 0o755)
    assert await prisma_cli.find(release.runtime) is None
    release.put("@prisma/engines/schema-engine-debian", "not a program of this machine", 0o755)
    assert await prisma_cli.find(release.runtime) is None
    assert await prisma_cli.find(Runtime((), {})) is None
