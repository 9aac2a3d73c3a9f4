"""An app behind PgBouncer: what it gets, what migrations get, and that the pool comes and goes with golive.toml."""

from __future__ import annotations

import shutil

import psycopg
import pytest
from e2e_apps import MakeApp

POOLED = '\n[resources.db]\nengine = "postgres"\nversion = 15\npool = { size = 4 }\n\n[migrations]\nsource = "sql"\n'


@pytest.mark.skipif(
    shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin") is None,
    reason="PgBouncer is not on this machine (apt-get install pgbouncer)",
)
def test_an_app_and_its_pool(make_app: MakeApp) -> None:
    app = make_app(extra=POOLED)
    app.write("sql/0001_item.sql", "CREATE TABLE item (id serial PRIMARY KEY);")
    app.up().ok()

    pooled, direct = (
        app.command("run", "--", "printenv", v).ok().out.strip() for v in ("DATABASE_URL", "DATABASE_DIRECT_URL")
    )
    assert pooled != direct
    with psycopg.connect(pooled, prepare_threshold=None) as connection:
        assert connection.execute("SELECT count(*) FROM item").fetchone() == (0,)
        seen = app.command("status", "--json").ok().json()["apps"][0]["resources"]["db@pool"]
    assert seen["engine"] == "pgbouncer"
    assert seen["use"]["clients"] == 1
    assert "db@pool: 0 clients" in app.command("status").ok().out

    app.golive.kill_daemon()
    assert app.command("status").ok().out.count("pgbouncer") == 1
    with psycopg.connect(pooled, prepare_threshold=None) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)

    app.write("golive.toml", (app.folder / "golive.toml").read_text().replace("pool = { size = 4 }", "pool = false"))
    app.up().ok()
    assert app.command("run", "--", "printenv", "DATABASE_URL").ok().out.strip() == direct
    app.command("rollback").ok()
    assert app.command("run", "--", "printenv", "DATABASE_URL").ok().out.strip() == pooled
