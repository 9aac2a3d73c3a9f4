"""A preview's database begins as production's is, masked; nobody sees it before, whatever happens in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from copies_host import SHOP, end_all, live_app, make_host, remember

from golive.blueprint.models import Blueprint
from golive.daemon.api import PlaceCall
from golive.daemon.daemon import Daemon
from golive.daemon.operations import Operations
from golive.daemon.wiring import Wires
from golive.data.postgres import Postgres
from golive.data.store import Store
from golive.errors import ResourceFailed
from golive.home import Home
from golive.release import branches, databases, previews, resources
from golive.release.host import Host
from golive.secret import Secret
from golive.state.records import Place, Release

PREVIEW = Place("shop", "preview/new")


def blueprint(preview: str = "branch") -> Blueprint:
    db = {"engine": "postgres", "version": 15, "mask": {"users.email": "email"}, "preview": preview}
    return Blueprint.model_validate(
        {"name": "shop", "services": {"web": {"kind": "worker", "command": "true"}}, "resources": {"db": db}}
    )


@pytest.fixture
async def host(golive_home: Home) -> AsyncIterator[Host]:
    host = make_host(golive_home)
    await live_app(host, blueprint())
    stores = await resources.declare(host, SHOP, blueprint())
    await ask(
        stores, "CREATE TABLE users AS SELECT n AS id, 'p' || n || '@shop.test' AS email FROM generate_series(1, 9) n"
    )
    yield host
    for row in host.state.resources(PREVIEW):
        await resources.stop(host, PREVIEW, row.name)
    await end_all(host)


def running(host: Host, place: Place, name: str) -> int | None:
    state = host.supervisor.state(resources.unit_name(place, name))
    return state.process.pid if state and state.process else None


async def declared(host: Host, preview: str = "branch") -> dict[str, Store]:
    return await resources.declare(host, PREVIEW, blueprint(preview))


async def ask(stores: dict[str, Store], query: str) -> list[Any]:
    url = stores["db"].variables()["url"]
    assert isinstance(url, Secret)
    async with await psycopg.AsyncConnection.connect(url.reveal(), autocommit=True) as db:
        done = await db.execute(query.encode())
        return await done.fetchall() if done.description else []


async def test_it_begins_as_production_is_masked_is_its_own_from_then_on_and_goes_with_its_branch(host: Host) -> None:
    host.state.remember_app(PREVIEW, "/nowhere")
    stores, said = await declared(host), list[str]()
    await previews.begin(host, PREVIEW, stores, said.append)
    assert said == ["db begins as that of shop/production is now, 1 column masked"]
    with pytest.raises(psycopg.OperationalError, match="pg_hba"):
        await ask(stores, "SELECT 1")
    await resources.ensure(host, PREVIEW, stores)
    assert await ask(stores, "SELECT count(*), count(*) FILTER (WHERE email LIKE 'u%@example.com') FROM users") == [
        (9, 9)
    ]
    assert await ask(stores, "SELECT current_setting('fsync')") == [("on",)]
    await ask(stores, "DROP TABLE users")
    await previews.begin(host, PREVIEW, stores, said.append)
    assert len(said) == 1
    live = await resources.declare(host, SHOP, blueprint())
    assert await ask(live, "SELECT count(*) FROM users WHERE email LIKE '%shop.test'") == [(9,)]

    # It goes with a branch of its own, and production's does not.
    await ask(stores, "CREATE TABLE users (email text)")
    made = blueprint().model_dump_json(by_alias=True)
    host.state.add_release(Release(PREVIEW, 1, "ready", made, {}, None, 1.0, "me"), {})
    host.state.set_live(PREVIEW, 1)
    for place in (PREVIEW, SHOP):
        await branches.create(host, place, None, "try", actor="me", expires_at=None, report=said.append)
    rows = host.state.resources(PREVIEW)
    assert [row.name for row in rows] == ["db", "db@try"]
    sockets = [resources.placement(host, row).sockets("postgres", row.name) for row in rows]
    pids = [running(host, PREVIEW, row.name) for row in rows]
    assert all(each.is_dir() for each in sockets) and all(pids)
    remember(host)
    call = PlaceCall(app=PREVIEW.app, environment=PREVIEW.environment)
    done = await Operations(Daemon(host, Wires())).destroy(call, "me")
    assert done == {"destroyed": "shop/preview/new", "processes": 2}
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not any(each.exists() for each in (*sockets, host.home.app(*PREVIEW)))
    assert (host.state.resources(PREVIEW), host.state.copies(PREVIEW)) == ([], [])
    assert [copy.name for copy in host.state.copies()] == ["db@try"]
    assert running(host, SHOP, "db@try")
    assert await ask(live, "SELECT count(*) FROM users") == [(9,)]


async def test_one_that_was_not_masked_is_never_opened(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.state.remember_app(PREVIEW, "/nowhere")
    stores = await declared(host)

    async def broken(*_: object) -> None:
        raise ResourceFailed("killed")

    monkeypatch.setattr(databases, "mask", broken)
    with pytest.raises(ResourceFailed, match="killed"):
        await previews.begin(host, PREVIEW, stores, print)
    monkeypatch.undo()
    store = stores["db"]
    assert isinstance(store, Postgres)
    assert (store.data / "PG_VERSION").exists()
    with pytest.raises(psycopg.OperationalError, match="pg_hba"):
        await ask(stores, "SELECT 1")
    empty = await declared(host, "empty")
    await previews.begin(host, PREVIEW, empty, print)
    assert not store.data.exists()
    await resources.ensure(host, PREVIEW, empty)
    assert await ask(empty, "SELECT to_regclass('users') IS NULL") == [(True,)]
