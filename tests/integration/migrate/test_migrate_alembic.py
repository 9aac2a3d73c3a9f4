"""A small Alembic project, end to end, with its own Alembic in its own environment."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import PASSWORD, Database, until
from golive.blueprint.models import Migrations
from golive.errors import MigrationFailed, UsageError
from golive.migrate import Applied, Runtime, migrate, pending
from golive.migrate.lint import Verdict
from golive.migrate.lint.gate import inspect
from golive.migrate.overview import Overview, overview
from golive.migrate.rehearse import rehearse

ENV = """
import os
from alembic import context
from sqlalchemy import create_engine
print("env.py talks too: abc123 (head)")
engine = create_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://"))
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = """
\"\"\"{title}\"\"\"
from alembic import op
revision = "{revision}"
down_revision = {down!r}
def upgrade():
    {upgrade}
def downgrade():
    pass
"""


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alembic, as a release would have it: not golive's own."""
    target = tmp_path_factory.mktemp("packages")
    uv = [sys.executable, "-m", "uv", "pip", "install", "-q", "--compile-bytecode", "--target", str(target)]
    subprocess.run([*uv, "alembic>=1.13,<2", "sqlalchemy>=2,<3", "psycopg[binary]>=3.2"], check=True)
    return target


class Project:
    def __init__(self, database: Database, packages: Path, folder: Path) -> None:
        self.database = database
        self.folder = folder
        (folder / "db/versions").mkdir(parents=True)
        (folder / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/db\n")
        (folder / "db/env.py").write_text(ENV)
        variables = {"DATABASE_URL": database.url, "PYTHONPATH": str(packages), "PATH": os.environ["PATH"]}
        self.runtime = Runtime((sys.executable,), variables)

    def revision(self, revision: str, down: str | None, upgrade: str, title: str = "a change") -> None:
        text = REVISION.format(revision=revision, down=down, upgrade=f"op.execute({upgrade!r})", title=title)
        (self.folder / f"db/versions/{revision}.py").write_text(text)

    def settings(self, **more: Any) -> Migrations:
        return Migrations(tool="alembic", source=self.folder.name, resource="db", service="api", **more)

    async def migrate(self, **more: Any) -> Applied:
        report = self.database.events.append
        return await migrate(
            self.settings(**more),
            self.folder.parent,
            self.database.secret,
            release=3,
            report=report,
            runtime=self.runtime,
        )

    async def pending(self) -> tuple[str, ...]:
        return await pending(self.settings(), self.folder.parent, self.database.secret, runtime=self.runtime)

    async def inspect(self) -> Verdict:
        url = self.database.secret
        return await inspect(self.settings(), self.folder.parent, url, runtime=self.runtime)

    async def overview(self, *, sql: bool = False) -> Overview:
        url = self.database.secret
        return await overview(self.settings(), self.folder.parent, url, runtime=self.runtime, sql=sql)


@pytest.fixture
def project(database: Database, packages: Path, tmp_path: Path) -> Project:
    return Project(database, packages, tmp_path / "backend")


async def test_upgrades_once_and_says_from_where_to_where(project: Project) -> None:
    project.revision("aaa1", None, "CREATE TABLE a (id int)", "first")
    project.revision("bbb2", "aaa1", "INSERT INTO a VALUES (1)", "second")
    assert await project.pending() == ("aaa1 first", "bbb2 second")
    done = await project.migrate()
    assert (done.version_before, done.version_after, done.files) == (None, "bbb2", ("aaa1 first", "bbb2 second"))
    assert any("Running upgrade aaa1 -> bbb2" in text for text in project.database.said("notice")) or done.files
    again = await project.migrate()
    assert (again.version_before, again.version_after, again.files) == ("bbb2", "bbb2", ())
    assert project.database.query("SELECT id FROM a") == [(1,)]
    assert await project.pending() == ()


async def test_what_is_applied_and_what_would_run_is_shown(project: Project) -> None:
    project.revision("aaa1", None, "CREATE TABLE a (id int)", "first")
    await project.migrate()
    project.revision("bbb2", "aaa1", "SELECT 'what would run'", "second")
    seen = await project.overview(sql=True)
    assert [(line.name, line.state) for line in seen.lines] == [("aaa1", "applied"), ("bbb2 second", "pending")]
    assert [line.name for line in seen.pending] == ["bbb2 second"]
    assert "SELECT 'what would run'" in seen.sql and "talks too" not in seen.sql
    assert (await project.overview()).sql == ""


async def test_a_failure_says_at_which_revision_the_database_is(project: Project) -> None:
    project.revision("aaa1", None, "CREATE TABLE a (id int)")
    await project.migrate()
    project.revision("bbb2", "aaa1", "ALTER TABLE nothing ADD COLUMN b int")
    with pytest.raises(MigrationFailed) as caught:
        await project.migrate()
    assert caught.value.what == "alembic upgrade failed"
    assert 'relation "nothing" does not exist' in str(caught.value.why)
    assert "The database is at aaa1" in str(caught.value.hint)
    assert PASSWORD not in str(caught.value.to_json())


async def test_an_upgrade_that_takes_too_long_is_stopped(project: Project) -> None:
    project.revision("aaa1", None, "CREATE TABLE a AS SELECT 1 AS id FROM pg_sleep(60)")
    with pytest.raises(MigrationFailed, match="did not finish within 3 s") as caught:
        await project.migrate(timeout="3s")
    assert "The database is at no revision" in str(caught.value.hint)


async def test_two_heads_are_refused_before_anything_runs(project: Project) -> None:
    project.revision("aaa1", None, "CREATE TABLE a (id int)")
    project.revision("bbb2", "aaa1", "SELECT 1")
    project.revision("ccc3", "aaa1", "SELECT 1")
    with pytest.raises(UsageError, match="2 heads") as caught:
        await project.migrate()
    assert "alembic merge heads" in str(caught.value.hint)
    assert project.database.query("SELECT to_regclass('a')") == [(None,)]


async def test_a_database_ahead_of_an_older_release_is_left_alone(project: Project) -> None:
    project.revision("aaa1", None, "CREATE TABLE a (id int)")
    project.revision("bbb2", "aaa1", "SELECT 1")
    await project.migrate()
    (project.folder / "db/versions/bbb2.py").unlink()
    done = await project.migrate()
    assert (done.version_after, done.files) == ("bbb2", ())
    assert project.database.said("ahead") == ["applied by another release, not in this one: bbb2"]


async def test_a_lock_is_tried_for_again(
    project: Project, held: Callable[[str], Awaitable[psycopg.AsyncConnection[Any]]]
) -> None:
    project.database.query("CREATE TABLE a (id int)")
    project.revision("aaa1", None, "ALTER TABLE a ADD COLUMN b int")
    blocker = await held("SELECT * FROM a")
    running = asyncio.create_task(project.migrate(lock_timeout="50ms"))
    await until(lambda: bool(project.database.said("retrying")), "a second try")
    await blocker.commit()
    assert (await running).version_after == "aaa1"


INDEX = """with op.get_context().autocommit_block():
        op.execute("CREATE UNIQUE INDEX CONCURRENTLY a_id ON a (id)")
"""


def index_revision(project: Project) -> None:
    """Revision aaa1 builds an index on a table that is there."""
    project.database.query("CREATE TABLE a (id int)")
    text = REVISION.format(revision="aaa1", down=None, upgrade=INDEX, title="an index")
    (project.folder / "db/versions/aaa1.py").write_text(text)


async def test_an_index_that_a_try_left_is_not_in_the_way_of_the_next(
    project: Project, held: Callable[[str], Awaitable[psycopg.AsyncConnection[Any]]]
) -> None:
    index_revision(project)
    blocker = await held("INSERT INTO a VALUES (1)")
    running = asyncio.create_task(project.migrate(lock_timeout="50ms", retries=20))
    await until(lambda: bool(project.database.said("retrying")), "the first try")
    await blocker.commit()
    assert (await running).version_after == "aaa1" and project.database.said("mended")
    assert project.database.index("a_id") is True


async def test_an_index_that_a_failure_left_is_named_with_the_command(project: Project) -> None:
    index_revision(project)
    project.database.query("INSERT INTO a VALUES (1), (1)")
    with pytest.raises(MigrationFailed) as caught:
        await project.migrate()
    assert 'Left invalid by a build that failed: DROP INDEX CONCURRENTLY "public"."a_id";' in (caught.value.hint or "")


async def test_two_at_once_upgrade_once(project: Project) -> None:
    project.revision("aaa1", None, "CREATE TABLE a AS SELECT 1 AS id FROM pg_sleep(0.5)")
    done = await asyncio.gather(project.migrate(), project.migrate())
    assert sorted(len(applied.files) for applied in done) == [0, 1]


async def test_the_alembic_of_a_killed_migrator_is_waited_for(project: Project) -> None:
    project.revision("aaa1", None, "CREATE TABLE a AS SELECT 1 AS id FROM pg_sleep(2)")
    code = (
        "import asyncio, json, sys; from pathlib import Path; from golive.blueprint.models import Migrations;"
        "from golive.migrate import Runtime, migrate; from golive.secret import Secret; a = json.load(sys.stdin);"
        "m = Migrations(tool='alembic', source=a['source'], resource='db');"
        "r = Runtime((sys.executable,), a['variables']);"
        "asyncio.run(migrate(m, Path(a['checkout']), Secret(a['url']), release=1, report=print, runtime=r))"
    )
    told = {"source": project.folder.name, "checkout": str(project.folder.parent), "url": project.database.url}
    at_work = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE TABLE a%%' AND datname = %s"
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:  # noqa: ASYNC220
        assert process.stdin
        process.stdin.write(json.dumps({**told, "variables": dict(project.runtime.variables)}).encode())
        process.stdin.close()
        await until(lambda: project.database.query(at_work, project.database.name) == [(1,)], "the upgrade")
        process.kill()
    done = await project.migrate()
    assert (done.version_before, done.files) == ("aaa1", ())
    assert project.database.said("waiting")


async def test_a_project_that_cannot_be_loaded(project: Project) -> None:
    (project.folder / "db/env.py").write_text("import nothing_of_this_name")
    with pytest.raises(MigrationFailed, match="cannot tell") as caught:
        await project.migrate()
    assert "No module named 'nothing_of_this_name'" in str(caught.value.why)
    (project.folder / "alembic.ini").unlink()
    with pytest.raises(UsageError, match=r"no alembic\.ini"):
        await project.pending()


async def test_the_step_chooses_the_tool(database: Database, tmp_path: Path) -> None:
    database.write("001_a.sql", "CREATE TABLE a ()")
    settings = Migrations(tool="sql", source="migrations", resource="db")
    assert await pending(settings, tmp_path, None) == ("001_a.sql",)
    assert await pending(settings, tmp_path, database.secret) == ("001_a.sql",)
    done = await migrate(settings, tmp_path, database.secret, release=1, report=database.events.append)
    assert done.files == ("001_a.sql",)
    alembic = Migrations(tool="alembic", source=".", resource="db")
    for url in (None, database.secret):
        assert await pending(alembic, tmp_path, url) == ("alembic upgrade head",)
    with pytest.raises(UsageError, match="environment of a service"):
        await migrate(alembic, tmp_path, database.secret, release=1, report=database.events.append)


async def test_the_linter_reads_what_its_revisions_would_run(project: Project) -> None:
    database = project.database
    database.query("CREATE TABLE users (id int, nick text)")
    database.query("INSERT INTO users SELECT n, repeat('x', 400) FROM generate_series(1, 90000) n")
    database.query("ANALYZE")
    project.revision("aaa", None, "ALTER TABLE users ADD COLUMN bio text")
    project.revision("bbb", "aaa", "CREATE INDEX users_nick ON users (nick)")
    found = await project.inspect()
    assert [(each.rule, each.file) for each in found.stops] == [("index-blocks-writes", "backend: bbb")]
    with (project.folder / "db/versions/bbb.py").open("a") as file:
        file.write("# golive: allow index-blocks-writes because it is night\n")
    assert (await project.inspect()).stops == ()


async def test_a_rehearsal_sees_what_its_own_program_does(project: Project) -> None:
    project.revision("aaa1", None, "CREATE TABLE a AS SELECT generate_series(1, 1000) id")
    await project.migrate()
    project.revision("bbb2", "aaa1", "ALTER TABLE a ALTER COLUMN id TYPE bigint; SELECT pg_sleep(0.2)")
    settings, report = project.settings(), project.database.events.append
    folder, url = project.folder.parent, project.database.secret
    found = await rehearse(settings, folder, url, report, runtime=project.runtime)
    assert (found.applied, found.rewritten, found.error) == (("bbb2 a change",), ("public.a",), None)
    assert found.longest is not None
    ran, lock = found.longest
    assert ran.statement.startswith("ALTER TABLE a")
    assert (lock.table, lock.mode) == ("public.a", "ACCESS EXCLUSIVE")
    assert 0 < lock.seconds < found.seconds
