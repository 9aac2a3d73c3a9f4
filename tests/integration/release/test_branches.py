"""Branches of a real PostgreSQL that is written to meanwhile: complete, masked, reset, and undone when broken off."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from copies_host import SHOP, end_all, live_app, make_host

from golive.blueprint.models import Blueprint
from golive.data import clone as cloning
from golive.errors import ResourceFailed
from golive.home import Home
from golive.release import branches, copies, resources
from golive.release.host import Host

COUNTED = True

MASK = {"users.email": "email", "users.name": "name", "users.secret": "null", "users.ref": "hash", "users.vip": "hash"}
PLANT = """
CREATE TABLE users (id serial PRIMARY KEY, email varchar(30) UNIQUE, name text NOT NULL, secret text, ref uuid,
    vip int, plan text);
CREATE TABLE audit (line text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO audit VALUES (OLD.email); RETURN NEW; END$$;
INSERT INTO users (email, name, secret, ref, vip, plan)
    SELECT 'u' || n || '@shop.test', 'Person ' || n, 's', gen_random_uuid(), n, 'gold' FROM generate_series(1, 500) n;
INSERT INTO users (name) VALUES ('Nobody');
CREATE TABLE staff () INHERITS (users);
INSERT INTO staff (email, name) SELECT 'boss' || n || '@shop.test', 'Ann' FROM generate_series(1, 50) n;
CREATE TRIGGER note BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION note();
CREATE MATERIALIZED VIEW mails AS SELECT email FROM users;
CREATE TABLE written (id bigserial PRIMARY KEY);
CREATE UNLOGGED TABLE fleeting AS SELECT repeat('x', 1000) FROM generate_series(1, 1000);
ANALYZE;
"""


def blueprint(mask: dict[str, str]) -> Blueprint:
    return Blueprint.model_validate(
        {
            "name": "shop",
            "services": {"web": {"kind": "worker", "command": "true"}},
            "resources": {"db": {"engine": "postgres", "version": 15, "mask": mask}},
        }
    )


@pytest.fixture
async def host(golive_home: Home) -> AsyncIterator[Host]:
    host = make_host(golive_home)
    await live_app(host, blueprint(MASK))
    async with await live(host) as db:
        await db.execute(PLANT)
    yield host
    await end_all(host)


async def live(host: Host) -> psycopg.AsyncConnection[Any]:
    store = (await resources.declare(host, SHOP, blueprint({})))["db"]
    url = store.variables()["url"]
    assert not isinstance(url, str)
    return await psycopg.AsyncConnection.connect(url.reveal(), autocommit=True)


async def rows(url: str, query: str) -> list[Any]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as db:
        done = await db.execute(query.encode())
        return await done.fetchall() if done.description else []


async def create(host: Host, label: str, said: list[str]) -> dict[str, Any]:
    return await branches.create(host, SHOP, None, label, actor="me", expires_at=None, report=said.append)


async def test_a_branch_has_all_that_was_committed_before_it_and_nothing_that_is_masked(host: Host) -> None:
    kept: list[int] = []

    async def write() -> None:
        async with await live(host) as db:
            while True:
                [(id,)] = await (await db.execute("INSERT INTO written DEFAULT VALUES RETURNING id")).fetchall()
                kept.append(id)

    writer = asyncio.create_task(write())
    while not kept:
        await asyncio.sleep(0.01)
    before = kept[-1]
    made = await create(host, "try-1", [])
    after = kept[-1]
    writer.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await writer
    assert after > before  # it was never held up for good
    ids = [row[0] for row in await rows(made["url"], "SELECT id FROM written ORDER BY id")]
    assert ids[: before - 1] == list(range(1, before))
    assert ids == list(range(1, len(ids) + 1))

    people = await rows(made["url"], "SELECT email, name, secret, ref, vip, plan FROM users WHERE plan IS NOT NULL")
    assert len({row[0] for row in people}) == 500
    assert all(re.fullmatch(r"u[0-9a-f]{16}@example.com", row[0]) for row in people)
    assert not any(row[1].startswith("Person") or row[2] for row in people)
    assert {row[5] for row in people} == {"gold"}
    everything = "SELECT email::text FROM mails UNION ALL SELECT line FROM audit"
    everything += " UNION ALL SELECT most_common_vals::text FROM pg_stats UNION ALL"
    everything += " SELECT histogram_bounds::text FROM pg_stats WHERE schemaname = 'public'"
    assert not [row for row in await rows(made["url"], everything) if row[0] and "shop.test" in row[0]]
    [(settings,)] = await rows(made["url"], "SELECT current_setting('fsync') || current_setting('shared_buffers')")
    assert settings == "on64MB"

    assert await rows(made["url"], "SELECT count(*) FROM fleeting") == [(0,)]

    again = await create(host, "try-2", [])
    same = "SELECT email, name, ref, vip FROM users ORDER BY id"
    assert await rows(again["url"], same) == await rows(made["url"], same)
    async with await live(host) as db:
        assert (await (await db.execute("SELECT count(*) FROM pg_replication_slots")).fetchall()) == [(0,)]


async def test_reset_brings_the_present_under_the_same_url(host: Host) -> None:
    sockets = {path.name for path in host.home.run.glob("po-*")}
    made = await create(host, "try", [])
    await rows(made["url"], "CREATE TABLE mine AS SELECT 1")
    async with await live(host) as db:
        await db.execute("INSERT INTO users (name, plan) VALUES ('Late', 'blue')")
    again = await branches.reset(host, SHOP, "try", actor="me", expires_at=None, report=print)
    assert again["url"] == made["url"]
    assert await rows(made["url"], "SELECT count(*) FROM users WHERE plan = 'blue'") == [(1,)]
    assert await rows(made["url"], "SELECT to_regclass('mine') IS NULL") == [(True,)]
    folder = host.home.resource(*SHOP, "db@try")
    assert not [path.name for path in folder.iterdir() if path.name.startswith("data.")]
    assert (await branches.drop(host, SHOP, "try", actor="me")) == {"dropped": "db@try"}
    assert not folder.exists()
    assert {path.name for path in host.home.run.glob("po-*")} == sockets


async def test_a_rule_that_cannot_be_followed_stops_it_before_anything_is_copied(host: Host) -> None:
    wrong = {"users.emial": "email", "users.name": "null", "users.vip": "email", "users.plan": "hash"}
    change(host, wrong)
    said: list[str] = []
    with pytest.raises(ResourceFailed) as caught:
        await create(host, "try", said)
    why = caught.value.why or ""
    assert "there is no users.emial, did you mean users.email?" in why
    assert "users.name may not be null" in why
    assert "users.vip is integer, and email makes text" in why
    assert "users.plan" not in why
    assert said == []
    assert host.state.copies(SHOP) == []


def change(host: Host, mask: dict[str, str]) -> None:
    host.state._run("UPDATE release SET blueprint = ?", blueprint(mask).model_dump_json(by_alias=True))
    host.forget(SHOP)


async def test_broken_off_or_failed_nothing_of_it_is_left(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = asyncio.Event()
    work = asyncio.create_task(
        branches.create(host, SHOP, None, "try", actor="me", expires_at=None, report=lambda _: reached.set())
    )
    await reached.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    made = await create(host, "kept", [])

    def full(_: object) -> None:
        raise ResourceFailed("the disk is full")

    monkeypatch.setattr(cloning, "adopt", full)
    with pytest.raises(ResourceFailed, match="the disk is full"):
        await branches.reset(host, SHOP, "kept", actor="me", expires_at=None, report=print)
    assert [copy.name for copy in host.state.copies(SHOP)] == ["db@kept"]
    assert {path.name for path in host.home.resource(*SHOP, "db").parent.iterdir()} == {"db", "db@kept"}
    [seen] = await copies.listing(host, SHOP)
    assert (seen["state"], seen["running"]) == ("changing", False)
    monkeypatch.undo()
    await branches.reset(host, SHOP, "kept", actor="me", expires_at=None, report=print)
    assert await rows(made["url"], "SELECT count(*) FROM ONLY users") == [(501,)]
