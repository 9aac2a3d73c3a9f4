"""A small Django project, end to end, with its own Django in its own environment."""

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
from golive.migrate.lint.gate import inspect
from golive.migrate.overview import Overview, overview

MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
SETTINGS = """
import os
from urllib.parse import urlsplit
print("settings.py talks too")
url = urlsplit(os.environ["DATABASE_URL"])
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": url.path[1:], "HOST": url.hostname,
             "USER": url.username, "PASSWORD": url.password, "PORT": url.port}}
INSTALLED_APPS = ["polls"]
SECRET_KEY = "x"
USE_TZ = True
"""
MIGRATION = """
from django.db import migrations
class Migration(migrations.Migration):
    dependencies = {after!r}
    operations = [migrations.RunSQL({statement!r})]
"""


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Django, as a release would have it: not golive's own."""
    target = tmp_path_factory.mktemp("django")
    uv = [sys.executable, "-m", "uv", "pip", "install", "-q", "--compile-bytecode", "--target", str(target)]
    subprocess.run([*uv, "django>=5.2,<6", "psycopg[binary]>=3.2"], check=True)
    return target


class Project:
    def __init__(self, database: Database, packages: Path, folder: Path) -> None:
        self.database = database
        self.folder = folder
        (folder / "polls/migrations").mkdir(parents=True)
        (folder / "polls/__init__.py").touch()
        (folder / "polls/migrations/__init__.py").touch()
        (folder / "manage.py").write_text(MANAGE)
        (folder / "settings.py").write_text(SETTINGS)
        variables = {"DATABASE_URL": database.url, "PYTHONPATH": str(packages), "PATH": os.environ["PATH"]}
        self.runtime = Runtime((sys.executable, "-B"), variables)

    def migration(self, name: str, after: str | None, statement: str) -> None:
        text = MIGRATION.format(after=[("polls", after)] if after else [], statement=statement)
        (self.folder / f"polls/migrations/{name}.py").write_text(text)

    def settings(self, **more: Any) -> Migrations:
        return Migrations(tool="django", source=self.folder.name, resource="db", service="api", **more)

    async def migrate(self, **more: Any) -> Applied:
        checkout, report = self.folder.parent, self.database.events.append
        settings, url = self.settings(**more), self.database.secret
        return await migrate(settings, checkout, url, release=3, report=report, runtime=self.runtime)

    async def pending(self) -> tuple[str, ...]:
        return await pending(self.settings(), self.folder.parent, self.database.secret, runtime=self.runtime)

    async def overview(self, *, sql: bool = False) -> Overview:
        url = self.database.secret
        return await overview(self.settings(), self.folder.parent, url, runtime=self.runtime, sql=sql)


@pytest.fixture
def project(database: Database, packages: Path, tmp_path: Path) -> Project:
    return Project(database, packages, tmp_path / "backend")


async def test_migrates_once_and_a_failure_says_where_the_database_is(project: Project) -> None:
    project.migration("0001_initial", None, "CREATE TABLE a (id int)")
    project.migration("0002_more", "0001_initial", "INSERT INTO a VALUES (1)")
    assert await project.pending() == ("polls.0001_initial", "polls.0002_more")
    done = await project.migrate()
    assert (done.version_before, done.version_after) == (None, "polls.0002_more")
    assert done.files == ("polls.0001_initial", "polls.0002_more")
    assert (await project.migrate()).files == ()
    assert project.database.query("SELECT id FROM a") == [(1,)]
    project.migration("0003_bad", "0002_more", "SELECT 'what would run'")
    seen = await project.overview(sql=True)
    assert [(line.name, line.state) for line in seen.lines] == [
        ("polls.0001_initial", "applied"), ("polls.0002_more", "applied"), ("polls.0003_bad", "pending"),
    ]  # fmt: skip
    assert (seen.tool, seen.version) == ("django", "polls.0002_more")
    assert seen.sql.startswith("-- polls.0003_bad\nBEGIN;") and "SELECT 'what would run';" in seen.sql
    project.migration("0003_bad", "0002_more", "ALTER TABLE nothing ADD COLUMN b int")
    with pytest.raises(MigrationFailed) as caught:
        await project.migrate()
    assert caught.value.what == "django migrate failed"
    assert 'relation "nothing" does not exist' in str(caught.value.why)
    assert "The database is at polls.0002_more" in str(caught.value.hint)
    assert PASSWORD not in str(caught.value.to_json())


async def test_two_last_migrations_are_refused_before_anything_runs(project: Project) -> None:
    project.migration("0001_initial", None, "CREATE TABLE a (id int)")
    project.migration("0002_one", "0001_initial", "SELECT 1")
    project.migration("0002_two", "0001_initial", "SELECT 1")
    with pytest.raises(UsageError, match="more than one last migration in polls: 0002_one and 0002_two") as caught:
        await project.migrate()
    assert "makemigrations --merge" in str(caught.value.hint)
    assert project.database.query("SELECT to_regclass('a')") == [(None,)]


async def test_a_database_ahead_of_an_older_release_is_left_alone(project: Project) -> None:
    project.migration("0001_initial", None, "CREATE TABLE a (id int)")
    project.migration("0002_more", "0001_initial", "SELECT 1")
    await project.migrate()
    (project.folder / "polls/migrations/0002_more.py").unlink()
    assert (await project.migrate()).files == ()
    assert project.database.said("ahead") == ["applied by another release, not in this one: polls.0002_more"]


async def test_a_lock_is_tried_for_again_and_two_at_once_migrate_once(
    project: Project, held: Callable[[str], Awaitable[psycopg.AsyncConnection[Any]]]
) -> None:
    project.database.query("CREATE TABLE a (id int)")
    project.migration("0001_initial", None, "ALTER TABLE a ADD COLUMN b int")
    blocker = await held("SELECT * FROM a")
    running = asyncio.gather(project.migrate(lock_timeout="50ms"), project.migrate(lock_timeout="50ms"))
    await until(lambda: bool(project.database.said("retrying")), "a second try")
    await blocker.commit()
    assert sorted(len(applied.files) for applied in await running) == [0, 1]


@pytest.mark.nightly  # as Alembic's, whose test runs every time
async def test_the_django_of_a_killed_migrator_is_waited_for(project: Project) -> None:
    project.migration("0001_initial", None, "CREATE TABLE a AS SELECT 1 AS id FROM pg_sleep(2)")
    code = (
        "import asyncio, json, sys; from pathlib import Path; from golive.blueprint.models import Migrations;"
        "from golive.migrate import Runtime, migrate; from golive.secret import Secret; a = json.load(sys.stdin);"
        "m = Migrations(tool='django', source=a['source'], resource='db');"
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
        await until(lambda: project.database.query(at_work, project.database.name) == [(1,)], "the migration")
        process.kill()
    done = await project.migrate()
    assert (done.version_after, project.database.query("SELECT id FROM a")) == ("polls.0001_initial", [(1,)])
    assert project.database.said("waiting")


async def test_a_project_that_cannot_be_loaded(project: Project) -> None:
    (project.folder / "settings.py").write_text("import nothing_of_this_name")
    with pytest.raises(MigrationFailed, match="cannot tell") as caught:
        await project.migrate()
    assert "No module named 'nothing_of_this_name'" in str(caught.value.why)
    (project.folder / "manage.py").unlink()
    with pytest.raises(UsageError, match=r"no manage\.py"):
        await project.pending()


async def test_the_linter_reads_what_its_migrations_would_run(project: Project) -> None:
    project.database.query("CREATE TABLE users (id int, nick text)")
    project.database.query("INSERT INTO users VALUES (1, 'a')")
    project.migration("0001_initial", None, "ALTER TABLE users ADD COLUMN bio text")
    project.migration("0002_gone", "0001_initial", "TRUNCATE users")
    url = project.database.secret
    found = await inspect(project.settings(), project.folder.parent, url, runtime=project.runtime)
    assert [(each.rule, each.file) for each in found.stops] == [("truncate", "backend: polls.0002_gone")]
