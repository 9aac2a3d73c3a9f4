"""Migrations rehearsed before a deploy: it stops before the database is touched; killed, nothing is left."""

from __future__ import annotations

import psycopg
import pytest
from e2e_apps import API, MakeApp
from e2e_harness import App, until

DATABASE = """
[resources]
db = "postgres"

[migrations]
source   = "migrations"
rehearse = { longest_lock = "300ms" }
"""
SLOW = "ALTER TABLE item ADD COLUMN note text;\nSELECT pg_sleep(60);\n"


@pytest.mark.nightly  # its steps are those of tests/integration/release/test_rehearsal.py
def test_rehearsed_killed_and_deployed(make_app: MakeApp) -> None:
    app = make_app(toml=API, extra=DATABASE)
    app.write("migrations/001_item.sql", "CREATE TABLE item (id serial PRIMARY KEY);\nINSERT INTO item VALUES (1);")
    app.up().ok()
    assert _steps(app)["rehearse"] == ("skipped", "nothing is live yet")

    # Killed in the middle, the next daemon takes away what is left.
    app.write("migrations/002_note.sql", SLOW)
    command = app.golive.start("migrate", "rehearse", "--app", app.name)
    assert command.stderr
    next(line for line in command.stderr if line.strip() == "started: 002_note.sql")
    app.golive.kill_daemon()
    left = app.golive.processes().keys() - app.golive.supervised().keys()
    assert app.golive.finish(command).code == 1
    app.status()
    until("the copy's end", lambda: not app.golive.query("SELECT name FROM copy"))
    assert not [line for line in app.golive.processes().values() if "@rehearsal" in line]
    until("the end of what looked on", lambda: not left & app.golive.processes().keys())
    assert [path.name for path in app.golive.home.resource(app.name, "production", "db").parent.iterdir()] == ["db"]

    # A deploy stops before the database is touched.
    app.write("migrations/002_note.sql", SLOW.replace("60", "0.4"))
    plan = app.golive("plan", app.folder).ok()
    assert "on a copy of the database first" in plan.out
    failed = app.up().failed()
    assert "in the rehearsal 002_note.sql:1 kept reads and writes of public.item waiting for 4" in failed.err
    assert "Production was not touched" in failed.err
    with psycopg.connect(_url(app)) as connection:
        assert connection.execute("SELECT name FROM golive_migrations").fetchall() == [("001_item.sql",)]
    app.write("migrations/002_note.sql", SLOW.replace("60", "0.01"))
    app.up().ok()
    state, detail = _steps(app)["rehearse"]
    assert state == "done" and detail.startswith("1 migration in "), detail
    with psycopg.connect(_url(app)) as connection:
        assert connection.execute("SELECT note FROM item").fetchall() == [(None,)]
    assert "nothing to rehearse" in app.command("migrate", "rehearse").ok().err


def _url(app: App) -> str:
    return app.command("run", "--", "printenv", "DATABASE_URL").ok().out.strip()


def _steps(app: App) -> dict[str, tuple[str, str]]:
    """Of the last deployment."""
    return {step["name"]: (step["state"], step["detail"]) for step in app.deployments()[0]["steps"]}
