"""golive backup: of an app that is live, by hand and by itself."""

from __future__ import annotations

from e2e_apps import MakeApp
from e2e_harness import App, until

RESOURCES = '\n[resources]\ndb = "postgres"\n'


def sql(app: App, query: str) -> str:
    return app.command("db", "shell", "db", "--", "-Atc", query).ok().out.strip()


def database(app: App) -> dict[str, object]:
    found: dict[str, object] = app.command("backup", "list", "--json").json()["databases"][0]
    return found


def receiving(app: App) -> str:
    found = database(app)["receiving"]
    assert isinstance(found, dict)
    return str(found["status"])


def test_a_backup_is_made_listed_verified_and_deleted(make_app: MakeApp) -> None:
    app = make_app(extra=RESOURCES)
    assert "no live release" in app.command("backup", "list").failed().err
    app.up().ok()
    until("writes to be received", lambda: receiving(app) == "ready")
    sql(app, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS id")

    made = app.command("backup", "create").ok()
    assert "golive backup key" in made.err
    assert "db: backed up" in app.command("status").ok().out
    listed = app.command("backup", "list").ok()
    assert "unproven" in listed.out
    assert "lost with it" in listed.err
    id = app.command("backup", "list", "--json").json()["databases"][0]["backups"][0]["id"]
    assert "is whole" in app.command("backup", "verify").ok().err
    assert "did you mean" in app.command("backup", "show", id[:-1]).failed().err
    assert id in app.command("backup", "show").ok().out
    assert "every page is right" in app.command("backup", "drill").ok().out
    assert " proven " in app.command("backup", "list").ok().out
    key = app.golive("backup", "key", "--yes").ok().out.strip()
    assert key.startswith("golive-backup-")
    segments = app.golive.root / "backups" / app.name / "production/db/wal"
    until("a whole segment in the location", lambda: any(len(path.name) == 24 for path in segments.glob("*/*")))

    archive = app.golive.root / "backups" / app.name / f"production/db/base/{id}/data.golive"
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-9])
    assert "is damaged" in app.command("backup", "verify").failed().err
    listed = app.command("backup", "list")
    assert listed.code == 1 and " failed " in listed.out
    assert "db: a backup failed" in " ".join(app.command("status").ok().out.split())
    archive.write_bytes(whole)
    app.command("backup", "verify").ok()
    assert " proven " in app.command("backup", "list").ok().out

    assert "1 left" not in app.command("backup", "delete", id, "--yes").ok().err
    assert database(app)["backups"] == []
    app.command("down").ok()
    app.up().ok()
    until("writes to be received again", lambda: receiving(app) == "ready")
