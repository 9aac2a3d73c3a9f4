"""What users, projects and machines get wrong: said in words, with the exit code for it, and nothing is worse after."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from e2e_apps import API, RELEASE, MakeApp
from e2e_harness import COMMAND, App, Golive, Result, new_home, until
from e2e_load import Load

from golive.state.database import VERSION
from golive.system import ports
from small_disk import empty, fill, small_disk

DATABASE = """
[resources.db]
engine = "postgres"

[migrations]
tool = "sql"
source = "migrations"
resource = "db"
lock_timeout = "100ms"
retries = 1
"""


def test_no_file_and_files_that_are_none(golive: Golive, make_app: MakeApp) -> None:
    app = make_app()
    nowhere = app.folder.parent / "nowhere"
    nowhere.mkdir()
    assert "golive.toml" in golive("up", nowhere).failed(2).err
    for verb in ("up", "plan", "config"):
        app.write("golive.toml", f'name = "{app.name}"\n[services.api\n')
        assert "line 2" in golive(verb, app.folder).failed(2).err.replace(":2", " line 2")
        app.write("golive.toml", f'name = "{app.name}"\n[services.api]\nsauce = "api"\nport = "many"\ncolour = 1\n')
        said = golive(verb, app.folder).failed(2).err
        for word in ("sauce", "source", "port", "colour"):
            assert word in said
    app.write("golive.toml", "")
    golive("up", app.folder).failed(2)
    assert golive.query("SELECT 1 FROM release WHERE app = ?", app.name) == []


def test_variables_that_are_missing_are_all_named(app: App) -> None:
    text = (app.folder / "golive.toml").read_text()
    missing = "".join(f'\n[env.{name}]\ntype = "{type}"\n' for name, type in (("ONE", "secret"), ("TWO", "url")))
    app.write("golive.toml", text + missing + '\n[env.THREE]\ntype = "int"\n')
    app.command("env", "set", "THREE=many").ok()
    with Load(app) as load:
        said = app.up().failed(2).err
        load.more()
    load.unharmed()
    for name in ("ONE", "TWO", "THREE"):
        assert name in said
    plan = app.golive("plan", app.folder).ok()
    assert "ONE" in plan.out
    app.golive.no_strays()
    for assignment in ("ONE=1", "TWO=https://example.org", "THREE=3"):
        app.command("env", "set", assignment).ok()
    app.up().ok()


def test_requirements_that_do_not_resolve(app: App) -> None:
    app.write("api/requirements.txt", "uvicorn==0.35.0\nuvicorn==0.34.0\n")
    still_serves(app, app.up().failed(), "uvicorn")


def test_a_build_that_fails_says_its_last_lines(app: App) -> None:
    add(app, '\n[services.api.build]\ncommand = "echo the paint is wet; exit 9"\n')
    still_serves(app, app.up().failed(), "exited with 9", "the paint is wet")


def test_a_build_that_takes_too_long_is_stopped(app: App) -> None:
    add(app, '\n[build]\ntimeout = "1s"\n\n[services.api.build]\ncommand = "echo asleep; sleep 600"\n')
    still_serves(app, app.up().failed(), "took longer", "hint:")


def test_a_port_that_somebody_else_has(make_app: MakeApp) -> None:
    port = ports.choose()
    app = make_app(toml=API + f"port = {port}\noverlap = false\n")
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        said = app.up().failed().err
        assert f"port {port} is taken by" in said
        assert str(os.getpid()) in said
    app.golive.no_strays()
    app.up().ok()
    assert app.version() == "1"


def test_a_migration_that_fails_half_way_or_waits_for_a_lock(make_app: MakeApp) -> None:
    app = make_app(extra=DATABASE)
    app.write("migrations/0001_first.sql", "CREATE TABLE first (n bigint);\n")
    app.up().ok()
    app.change(version="2")
    app.write("migrations/0002_second.sql", "CREATE TABLE second (n bigint);\nSELECT 1 / 0;\n")
    still_serves(app, app.up().failed(), "0002_second.sql", "division by zero")
    app.write("migrations/0002_second.sql", "ALTER TABLE first ADD COLUMN m bigint;\n")
    with database(app) as connection:
        assert connection.execute("SELECT to_regclass('first'), to_regclass('second')").fetchone() == ("first", None)
        with connection.transaction():
            connection.execute("LOCK TABLE first IN ACCESS EXCLUSIVE MODE")
            still_serves(app, app.up().failed(), "0002_second.sql", "lock")
    app.up().ok()
    assert app.version() == "2"
    app.golive.no_strays()


@pytest.mark.nightly  # so does tests/integration/migrate
def test_a_migration_that_endangers_the_release(make_app: MakeApp) -> None:
    """Refused before anything runs; as a contract it waits until no release needs what it takes away."""
    app = make_app(extra=DATABASE, release=RELEASE + 'keep_warm = "0s"\n')
    app.write("api/queries.py", 'PEOPLE = "SELECT nick FROM people"\n')
    app.write("migrations/0001_first.sql", "CREATE TABLE people (n bigint, nick text);\n")
    app.up().ok()
    app.write("api/queries.py", 'PEOPLE = "SELECT n FROM people"\n')
    app.change(version="2")
    drop = "ALTER TABLE people DROP COLUMN nick;\n"
    app.write("migrations/0002_drop.sql", drop)
    app.write("migrations/0003_more.sql", "ALTER TABLE people ADD COLUMN m bigint;\n")
    linted = app.command("migrate", "lint")
    assert (linted.code, "queries.py:1" in linted.out) == (1, True)
    still_serves(app, app.up().failed(), "0002_drop.sql:1", "drop-column", "queries.py:1", "-- golive: contract")
    app.write("migrations/0002_drop.sql", f"-- golive: contract\n{drop}")
    assert "0002_drop.sql waits" in app.up().ok().err
    assert app.version() == "2"
    until("the old release has ended", lambda: "late" in app.command("migrate", "up").ok().err)
    refused = app.command("rollback").failed().err
    assert "0002_drop.sql (contract)" in refused and "public.people.nick is gone: queries.py:1" in refused
    assert app.version() == "2"
    with database(app) as connection:
        columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'people'"
        assert sorted(connection.execute(columns).fetchall()) == [("m",), ("n",)]


@contextlib.contextmanager
def database(app: App) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    url = app.command("run", "--", "printenv", "DATABASE_URL").ok().out.strip()
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.mark.nightly  # each alone: tests/integration/daemon
def test_a_home_of_a_newer_golive_a_lost_key_a_damaged_state(own_home: Golive, make_app: MakeApp) -> None:
    """The app serves all the time; what is wrong is said; put right, everything goes on as if nothing had been."""
    app = make_app(own_home)
    app.up().ok()
    before = app.pids()
    with Load(app) as load:
        own_home("daemon", "stop").ok()
        set_version(own_home, 99)
        said = own_home("status").failed().err
        assert "newer golive" in said
        assert "hint:" in said
        set_version(own_home, VERSION)

        own_home.home.key.rename(own_home.root / "elsewhere")
        assert "key" in own_home("status").failed().err
        (own_home.root / "elsewhere").rename(own_home.home.key)

        own_home.home.state.rename(own_home.root / "kept.db")
        own_home.home.state.write_text("this is no database, and never was one; it is a sentence")
        assert str(own_home.home.state) in own_home("status").failed().err
        own_home.home.state.unlink()
        (own_home.root / "kept.db").rename(own_home.home.state)
        load.more()
    load.unharmed()
    assert app.pids() == before
    assert "nothing to do" in app.up().ok().err
    own_home.no_strays()


def set_version(golive: Golive, version: int) -> None:
    with contextlib.closing(sqlite3.connect(golive.home.state)) as db:
        db.execute(f"PRAGMA user_version = {version}")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run a command as somebody else")
def test_a_home_that_may_not_be_written(environ_for_others: dict[str, str]) -> None:
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *COMMAND]
    if subprocess.run(
        [*other, "--version"], cwd="/", env=environ_for_others, capture_output=True, check=False
    ).returncode:
        pytest.skip("another user may not read this checkout")
    for home in ("/proc/golive", "/usr/share/golive-home"):
        done = subprocess.run(
            [*other, "status"],
            check=False,
            capture_output=True,
            text=True,
            env={**environ_for_others, "GOLIVE_HOME": home, "HOME": "/nonexistent"},
            cwd="/",
            timeout=60,
        )
        said = Result(("status",), done.returncode, done.stdout, done.stderr, 0).failed().err
        assert home in said
        assert "GOLIVE_HOME" in said


@pytest.mark.nightly  # a full disk of the whole home is there every time
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_build_that_fills_the_disk(own_home: Golive, make_app: MakeApp) -> None:
    with small_disk(own_home.home.artifacts, 6):
        app = make_app(own_home)
        app.up().ok()
        text = add(app, '\n[services.api.build]\ncommand = "dd if=/dev/zero of=much bs=1M count=20"\n')
        still_serves(app, app.up().failed(), "disk", "hint:")
        app.write("golive.toml", text)
        app.change(version="2")
        app.up().ok()
        assert app.version() == "2"
        own_home.no_strays()
        own_home.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk(make_app: MakeApp, request: pytest.FixtureRequest) -> None:
    """The app serves, commands that look work, the one that cannot write says why; with room again all goes on."""
    folder = Path(f"/tmp/gl-small-{os.getpid()}")
    with small_disk(folder, 360), new_home(folder) as golive:
        app = make_app(golive)
        app.up().ok()
        fill(folder)
        with Load(app) as load:
            app.change(version="2")
            said = app.up().failed().err
            assert "disk" in said or "No space" in said or "full" in said
            for words in (("restart",), ("env", "set", "X=1" * 5000)):
                app.command(*words).failed()
            assert app.status()["release"] == 1
            load.more()
        load.unharmed()
        assert app.version() == "1"
        empty(folder)
        until("the deployment that failed to be settled", lambda: settled(app))
        app.up().ok()
        assert app.version() == "2"
        golive.no_strays()
    folder.rmdir()


def settled(app: App) -> bool:
    return not app.golive.query("SELECT 1 FROM deployment WHERE state IN ('queued', 'running')")


def add(app: App, toml: str) -> str:
    """More of golive.toml; what it was."""
    text = (app.folder / "golive.toml").read_text()
    app.write("golive.toml", text + toml)
    return text


def still_serves(app: App, result: Result, *words: str) -> None:
    for word in words:
        assert word in result.err, result.text
    assert app.version() == "1"
    assert [state for state in app.releases().values() if state == "live"] == ["live"]
    app.golive.no_strays()
