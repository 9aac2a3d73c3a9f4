"""Variables of real deploys: a database URL composed of its parts, and when they are checked."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from e2e_apps import REQUIREMENTS, MakeApp
from e2e_examples import EXAMPLES
from e2e_harness import App, Golive

from golive.secret import MASK

OWNED = '\n[resources.db]\nengine = "postgres"\n'
GIVEN = """
[resources.db]
engine = "postgres"
url_from = "DATABASE_URL"
"""
DECLARED = '\n[env.DATABASE_URL]\ntype = "secret"\n'
MIGRATED = '\n[migrations]\ntool = "sql"\nsource = "migrations"\nresource = "db"\n'
PASSWORD = "p@ss:w/o#r%d?+ é"


def database(app: App) -> dict[str, str]:
    """The parts of the app's database, once its password is one that a URL has to quote."""
    said = app.command("run", "--", "env").ok().out
    given = dict(line.split("=", 1) for line in said.splitlines() if line.startswith("DB_"))
    with psycopg.connect(app.command("run", "--", "printenv", "DATABASE_URL").ok().out.strip(), autocommit=True) as db:
        db.execute(psycopg.sql.SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(PASSWORD))
    return given | {"DB_PASSWORD": PASSWORD}


def give(app: App, parts: dict[str, str]) -> None:
    lines = "".join(f"{name}='{value}'\n" for name, value in parts.items())
    app.command("env", "import", "-", "--undeclared", "--yes", input=lines).ok()


def validated(app: App) -> str:
    """What the newest deployment said of its validation."""
    sql = "SELECT s.detail FROM step s JOIN deployment d ON d.id = s.deployment WHERE d.app = ? AND s.name = 'validate'"
    return str(app.golive.query(sql + " ORDER BY d.id DESC", app.name)[0][0])


@pytest.mark.nightly  # the parts are those of unit tests
def test_an_app_whose_database_is_given_in_parts(make_app: MakeApp) -> None:
    owner = make_app(extra=OWNED)
    owner.up().ok()
    parts = database(owner)
    app = make_app(extra=GIVEN + DECLARED + MIGRATED, requirements=REQUIREMENTS + "psycopg[binary]==3.2.9\n")
    app.write("migrations/0001_first.sql", "CREATE TABLE first (n bigint);\n")
    app.change(store="postgres")
    host = parts.pop("DB_HOST")
    give(app, parts)
    lacks = app.up().failed(2)
    assert "cannot be composed: of its parts there is" in lacks.err
    assert "DB_HOST has none" in lacks.err
    give(app, {"DB_HOST": host})
    said = app.up().ok()
    # No sslmode on this machine.
    assert validated(app) == "1 variable; DATABASE_URL composed from DB_HOST, DB_PORT, DB_USER, DB_PASSWORD, DB_NAME"
    assert "API_KEY, REDIS_URL are read (api/main.py:" in said.err  # and nobody declared it
    assert app.get("/write?n=1").status_code == 200
    assert PASSWORD not in said.text
    assert "nothing to do" in app.up().ok().err
    app.command("env", "set", "DB_HOST=db.example.com", "DB_SSLMODE=disable").ok()
    refused = app.up().failed()
    assert "unencrypted to db.example.com" in refused.err
    assert app.get("/write?n=2").status_code == 200


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_darasa_composes_its_url_of_the_same_parts(make_app: MakeApp, golive: Golive, tmp_path: Path) -> None:
    owner = make_app(extra=OWNED)
    owner.up().ok()
    app = App(golive, "darasa", EXAMPLES["darasa"].checkout(tmp_path / "darasa"))
    text = (app.folder / "golive.toml").read_text()
    before = 'engine  = "postgres"\nversion = 17\n'
    assert before in text
    app.write("golive.toml", text.replace(before, 'engine   = "postgres"\nurl_from = "DATABASE_URL"\n') + DECLARED)
    give(app, database(owner))
    try:
        app.up(timeout=900).ok()
        assert "DATABASE_URL composed from DB_HOST" in validated(app)
        assert app.get("/api/health").status_code == 200
        listed = {v["name"]: v["value"] for v in app.command("env", "ls", "--json").json()["variables"]}
        assert listed["DATABASE_URL"] == listed["DB_PASSWORD"] == MASK
    finally:
        app.command("destroy", "--yes", "darasa")


def test_the_check_before_the_build_may_be_skipped_and_the_one_before_the_start_not(make_app: MakeApp) -> None:
    app = make_app(extra='\n[env.KEY]\ntype = "secret"\n')
    assert "✓ build" not in app.up().failed(2).err
    said = app.up("--skip-build-env-check").failed(2)
    assert "✓ build" in said.err
    assert "env.KEY: has no value" in said.err
    assert not app.golive.query("SELECT 1 FROM release WHERE app = ?", app.name)
    app.command("env", "set", "KEY", input="k" * 20).ok()
    assert "unchanged" in next(line for line in app.up().ok().err.splitlines() if "✓ build" in line)
