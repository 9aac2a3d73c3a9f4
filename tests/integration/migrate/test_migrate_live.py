"""`golive migrate` through the daemon's API, on a real database that a live release uses."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

sys.path += [str(Path(__file__).parents[2] / "unit" / name) for name in ("daemon", "release")]

from daemon_fakes import QUIET, Running
from release_fakes import SHOP, blueprint

from conftest import PASSWORD, Database, until
from golive.release import verify
from golive.secret import Secret

AT = "/v1/migrations?app=shop"
SHOP_CALL = {"app": "shop", "environment": "production"}


async def nothing_to_ask(*_: Any) -> list[verify.Evidence]:
    """The service has no route: there is no edge here."""
    return []


@pytest.fixture
async def shop(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    """A daemon with a live release whose database is the test's, and migrations of golang-migrate in its checkout."""
    (tmp_path / "home").mkdir()
    running = Running(tmp_path / "home")
    monkeypatch.setattr(verify, "probe_paths", lambda _: ())
    monkeypatch.setattr(verify, "through_the_edge", nothing_to_ask)
    made = blueprint(
        {"web": QUIET},
        resources={"db": {"engine": "postgres", "url_from": "DATABASE_URL"}},
        env={"DATABASE_URL": {"type": "secret"}},
        migrations={"tool": "golang-migrate", "source": "migrations", "resource": "db"},
    )
    running.world.release(made, 1)
    running.state.set_variable(SHOP, "DATABASE_URL", Secret(database.url), "me")
    running.state.remember_app(SHOP, str(tmp_path))
    await running.ended(running.rollback(1))
    database.tool = "golang-migrate"
    yield running
    await running.daemon.stop()


async def test_status_plan_up(shop: Running, database: Database) -> None:
    database.write("001_a.up.sql", "CREATE TABLE a (id int);")
    database.write("002_b.up.sql", "CREATE TABLE b (id int);\nINSERT INTO b VALUES (1);")
    code, found = await shop.call("GET", AT)
    assert (code, found["tool"], found["version"], found["pending"]) == (
        200, "golang-migrate", None, ["001_a.up.sql", "002_b.up.sql"],
    )  # fmt: skip
    assert [(m["state"], m["sql"]) for m in found["migrations"]] == [("pending", None), ("pending", None)]
    _, planned = await shop.call("GET", f"{AT}&sql=true")
    assert planned["migrations"][1]["sql"] == "CREATE TABLE b (id int);\nINSERT INTO b VALUES (1);"
    assert database.query("SELECT to_regclass('schema_migrations')") == [(None,)]
    code, lines = await shop.call("POST", "/v1/migrations", SHOP_CALL)
    assert (code, [(x["kind"], x["text"]) for x in lines if x["type"] == "migration"][:2]) == (
        200, [("started", "001_a.up.sql"), ("applied", "001_a.up.sql")],
    )  # fmt: skip
    (done,) = [line for line in lines if line["type"] == "done"]
    assert (done["files"], done["version_before"], done["version_after"]) == (
        ["001_a.up.sql", "002_b.up.sql"],
        None,
        "2",
    )
    _, found = await shop.call("GET", AT)
    assert [(m["state"], m["release"]) for m in found["migrations"]] == [("applied", 1), ("applied", 1)]
    assert (found["pending"], found["version"], shop.state.release(SHOP, 1).schema_version) == ([], "2", "2")
    said = [(e.action, e.actor, e.detail.get("applied")) for e in shop.state.audit_log(SHOP) if "migrate" in e.action]
    assert said == [("migrate.done", "me@test", ["001_a.up.sql", "002_b.up.sql"]), ("migrate", "me@test", None)]


async def test_what_is_half_done_changed_and_dirty_is_shown(shop: Running, database: Database) -> None:
    database.write("001_a.up.sql", "CREATE TABLE a (id int);")
    database.write("002_b.up.sql", "VACUUM a;\nSELECT nope;")
    code, lines = await shop.call("POST", "/v1/migrations", SHOP_CALL)
    (error,) = [line["error"] for line in lines if line["type"] == "error"]
    assert (code, error["kind"], error["why"]) == (200, "MigrationFailed", 'column "nope" does not exist')
    assert "its first statement stands" in error["hint"] and PASSWORD not in str(lines)
    assert shop.state.audit_log(SHOP)[0].action == "migrate.failed"
    _, found = await shop.call("GET", f"{AT}&sql=true")
    assert [(m["state"], m["done"], m["sql"]) for m in found["migrations"]] == [
        ("applied", 0, ""), ("unfinished", 1, "SELECT nope;"),
    ]  # fmt: skip
    assert (found["stop"], found["pending"]) == (None, ["002_b.up.sql"])
    database.write("001_a.up.sql", "CREATE TABLE a (id bigint);")
    _, found = await shop.call("GET", AT)
    assert found["migrations"][0]["state"] == "drifted"
    assert found["stop"]["what"].startswith("migrations changed after they were applied: 001_a.up.sql (applied 20")
    database.write("001_a.up.sql", "CREATE TABLE a (id int);")
    database.query("DROP SCHEMA golive CASCADE")
    _, found = await shop.call("GET", AT)
    assert [(m["name"], m["state"]) for m in found["migrations"]] == [
        ("001_a.up.sql", "applied"), ("002_b.up.sql", "failed"),
    ]  # fmt: skip
    assert found["stop"]["what"] == "version 2 in schema_migrations is dirty"


async def test_refused_while_a_deployment_is_under_way(shop: Running, database: Database) -> None:
    database.write("001_a.up.sql", "CREATE TABLE a (id int);")
    shop.keep(2, "other")
    shop.gate.clear()
    id = shop.rollback(2)
    await shop.reaches(id, "ready")
    _, lines = await shop.call("POST", "/v1/migrations", SHOP_CALL)
    assert [line["error"]["kind"] for line in lines if line["type"] == "error"] == ["Conflict"]
    assert database.query("SELECT to_regclass('a')") == [(None,)]
    shop.gate.set()
    await shop.ended(id)


async def test_it_goes_on_when_nobody_listens_any_more(shop: Running, database: Database) -> None:
    database.write("001_a.up.sql", "CREATE TABLE a AS SELECT 1 AS id FROM pg_sleep(0.5);")
    listening = asyncio.create_task(shop.call("POST", "/v1/migrations", SHOP_CALL))
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE TABLE a%%' AND datname = %s"
    await until(lambda: database.query(sleeping, database.name) == [(1,)], "the migration")
    listening.cancel()
    await until(lambda: shop.state.audit_log(SHOP)[0].action == "migrate.done", "its end")
    assert database.query("SELECT id FROM a") == [(1,)]


@pytest.mark.parametrize(
    ("change", "said"),
    [({"migrations": None}, "has no migrations"), ({"checkout": "/nothing/there"}, "is gone")],
)
async def test_what_cannot_be_migrated(shop: Running, change: dict[str, Any], said: str) -> None:
    if "checkout" in change:
        shop.state.remember_app(SHOP, change["checkout"])
    else:
        shop.keep(2)
        await shop.ended(shop.rollback(2))
    code, answer = await shop.call("GET", AT)
    assert (code, answer["error"]["kind"]) == (404, "NotFound") and said in answer["error"]["what"]
    assert (await shop.call("GET", "/v1/migrations?app=other"))[0] == 404
