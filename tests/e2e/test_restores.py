"""golive restore: a copy beside the database, side by side, swapped in and back while somebody uses the app."""

from __future__ import annotations

import time

from e2e_apps import MakeApp
from e2e_harness import App, until
from e2e_load import Load

RESOURCES = '\n[resources]\ndb = "postgres"\n'


def sql(app: App, query: str) -> str:
    return app.command("db", "shell", "db", "--", "-Atc", query).ok().out.strip()


def test_a_table_that_was_dropped_comes_back(make_app: MakeApp) -> None:
    app = make_app(extra=RESOURCES)
    app.up().ok()
    until(
        "writes to be received",
        lambda: app.command("backup", "list", "--json").json()["databases"][0]["receiving"]["status"] == "ready",
    )
    assert "no good backup" in app.command("restore").failed().err
    sql(app, "CREATE TABLE kept AS SELECT generate_series(1, 500) AS id, now() AS created_at")
    app.command("backup", "create").ok()
    sql(app, "INSERT INTO kept SELECT generate_series(501, 1000), now()")
    moment = time.time()
    time.sleep(0.2)
    sql(app, "DROP TABLE kept")
    sql(app, "CREATE TABLE other (id int)")

    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f"{moment % 1:.3f}"[1:] + "+00:00"
    done = app.command("restore", "--to-time", at).ok()
    assert "1,000" in done.out
    assert "nothing of the live database has changed" in done.err
    assert sql(app, "SELECT count(*) FROM other") == "0"
    branch = app.command("db", "branch", "create", "then", "--at", at).ok()
    assert "unpacking the backup" in branch.err
    assert app.command("db", "shell", "db@then", "--", "-Atc", "SELECT count(*) FROM kept").ok().out.strip() == "1000"
    app.command("db", "branch", "drop", "then").ok()
    [backup] = app.command("backup", "list", "--json").ok().json()["databases"][0]["backups"]
    assert "did you mean" in app.command("db", "branch", "create", "it", "--backup", backup["id"][:-1]).failed().err
    made = app.command("db", "branch", "create", "it", "--backup", backup["id"], "--json").ok().json()
    assert made["origin"] == f"backup {backup['id']}, as it was taken"
    assert app.command("db", "shell", "db@it", "--", "-Atc", "SELECT count(*) FROM kept").ok().out.strip() == "500"
    app.command("db", "branch", "drop", "it").ok()
    with Load(app) as load:
        swapped = app.command("restore", "swap", "--yes").ok()
    load.unharmed()
    assert "is kept as db@replaced-" in swapped.err
    assert sql(app, "SELECT count(*) FROM kept") == "1000"
    sql(app, "INSERT INTO kept VALUES (0, now())")
    until(
        "a backup of the new life",
        lambda: len(app.command("backup", "list", "--json").json()["databases"][0]["backups"]) == 2,
    )

    app.command("restore", "undo", "--yes").ok()
    assert sql(app, "SELECT count(*) FROM other") == "0"
    kept = app.command("restore", "list", "--json").ok().json()["copies"]
    assert [each["kind"] for each in kept] == ["restored"]
    app.command("restore", "drop", "--yes").ok()
    assert app.command("restore", "list", "--json").ok().json()["copies"] == []
