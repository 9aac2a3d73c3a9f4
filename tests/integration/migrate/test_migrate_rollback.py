"""Going back to a release while the schema stays: what it still names decides."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path += [str(Path(__file__).parents[2] / "unit" / name) for name in ("daemon", "release")]

from daemon_fakes import QUIET, Running
from release_fakes import SHOP, blueprint

from conftest import Database
from golive.build.artifact import Artifact
from golive.release import verify
from golive.secret import Secret
from golive.state.records import GenerationState

CALL = {"app": "shop", "environment": "production"}


async def nothing_to_ask(*_: Any) -> list[verify.Evidence]:
    """The service has no route: there is no edge here."""
    return []


@pytest.fixture
async def shop(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    """Release 1 reads a column that 2 does without; 1 is live and has migrated."""
    (tmp_path / "home").mkdir()
    running = Running(tmp_path / "home")
    monkeypatch.setattr(verify, "probe_paths", lambda _: ())
    monkeypatch.setattr(verify, "through_the_edge", nothing_to_ask)
    artifacts = {}
    for key, code in (("a1", "SELECT nick FROM users"), ("a2", "SELECT id FROM users")):
        (tmp_path / key / "app").mkdir(parents=True)
        (tmp_path / key / "app" / "shop.py").write_text(code)
        artifacts[key] = Artifact(key=key, kind="python", path=tmp_path / key, argv=("serve",))
    builder: Any = SimpleNamespace(store=SimpleNamespace(get=artifacts.get))
    running.host.builder = builder
    made = blueprint(
        {"web": QUIET},
        resources={"db": {"engine": "postgres", "url_from": "DATABASE_URL"}},
        env={"DATABASE_URL": {"type": "secret"}},
        migrations={"tool": "sql", "source": "migrations", "resource": "db"},
        release={"keep_warm": "0s", "drain": "0s"},
    )
    running.world.release(made, 1, artifact="a1")
    running.world.release(made, 2, artifact="a2")
    running.state.set_variable(SHOP, "DATABASE_URL", Secret(database.url), "me")
    running.state.remember_app(SHOP, str(tmp_path))
    await running.ended(running.rollback(1))
    database.write("001_users.sql", "CREATE TABLE users (id int PRIMARY KEY, nick text);")
    await migrated(running)
    yield running
    await running.daemon.stop()


async def migrated(running: Running) -> None:
    _, lines = await running.call("POST", "/v1/migrations", CALL)
    assert [line for line in lines if line["type"] == "error" or line.get("kind") == "lint"] == []


async def went_on(running: Running, database: Database, file: str, text: str) -> None:
    """Release 2 is live, and migrates."""
    await running.ended(running.rollback(2))
    for generation in running.state.generations(SHOP):
        if generation.release == 1:
            running.state.set_generation(generation.id, GenerationState.STOPPED)
    database.write(file, text)
    await migrated(running)


async def test_it_is_refused_when_its_code_names_what_is_gone(shop: Running, database: Database) -> None:
    text = "-- golive: contract\nALTER TABLE users DROP COLUMN nick;"
    await went_on(shop, database, "002_nick.sql", text)
    row = await shop.ended(shop.rollback(1))
    error = row.error or {}
    assert (row.state, error["what"]) == ("failed", "release 1 cannot run on the schema as it is now")
    assert "002_nick.sql (contract)" in error["why"] and "public.users.nick is gone: shop.py:1" in error["why"]
    assert "golive rollback 1 --despite-schema" in error["hint"]
    assert (shop.state.app(SHOP) or row).live == 2
    _, found = await shop.call("GET", "/v1/releases?app=shop")
    assert [(r["release"], r["migrated_since"], r["contracts_since"]) for r in found["releases"]] == [
        (2, [], []), (1, ["002_nick.sql"], ["002_nick.sql"]),
    ]  # fmt: skip
    body = {**CALL, "kind": "rollback", "release": 1, "despite_schema": True}
    _, answer = await shop.call("POST", "/v1/deployments", body)
    assert (await shop.ended(answer["deployment"])).state == "done"
    (said,) = [step.detail for step in shop.state.steps(answer["deployment"]) if step.name == "validate"]
    assert said.endswith("accepted: public.users.nick is gone")


async def test_it_goes_back_when_it_can_and_says_what_stays(shop: Running, database: Database) -> None:
    await went_on(shop, database, "002_email.sql", "ALTER TABLE users ADD COLUMN email text;")
    id = shop.rollback(1)
    assert (await shop.ended(id)).state == "done"
    (said,) = [step.detail for step in shop.state.steps(id) if step.name == "validate"]
    assert said == "the schema keeps 002_email.sql, applied since release 1; release 1 can run on it"


async def test_a_database_that_does_not_answer_stops_nobody(shop: Running, database: Database) -> None:
    await went_on(shop, database, "002_email.sql", "ALTER TABLE users ADD COLUMN email text;")
    shop.state.set_variable(SHOP, "DATABASE_URL", Secret("postgresql://nobody:x@127.0.0.1:1/none"), "me")
    id = shop.rollback(1)
    assert (await shop.ended(id)).state == "done"
    (said,) = [step.detail for step in shop.state.steps(id) if step.name == "validate"]
    assert "was not asked: cannot connect to the database" in said
