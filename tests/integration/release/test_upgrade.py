"""A real PostgreSQL 15 goes to 17: rehearsed, done, taken back, and put right when it was cut off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg
import pytest
from copies_host import SHOP, end_all, live_app, make_host

from golive.blueprint.models import Blueprint
from golive.data import upgrade as data
from golive.data.postgres import Postgres
from golive.errors import Conflict, NotFound, ResourceFailed, UsageError
from golive.home import Home
from golive.release import copies, replicas, resources, upgrade
from golive.release.host import Host
from golive.secret import Secret

OLD = Blueprint.model_validate(
    {
        "name": "shop",
        "services": {"web": {"kind": "worker", "command": "true"}},
        "resources": {"db": {"engine": "postgres", "version": 15, "extensions": ["citext"]}},
    }
)


@pytest.fixture
async def host(golive_home: Home) -> AsyncIterator[Host]:
    host = make_host(golive_home)
    await live_app(host, OLD)
    async with await connect(host) as db:
        await db.execute("CREATE TABLE item (id serial PRIMARY KEY, word citext NOT NULL)")
        await db.execute("INSERT INTO item (word) SELECT 'word ' || n FROM generate_series(1, 1000) n")
    yield host
    await end_all(host)


async def primary(host: Host) -> Postgres:
    return (await replicas.primaries(host, SHOP))["db"]


async def connect(host: Host) -> psycopg.AsyncConnection[tuple[object, ...]]:
    url = (await primary(host)).variables()["url"]
    assert isinstance(url, Secret)
    return await psycopg.AsyncConnection.connect(url.reveal(), autocommit=True)


async def one(host: Host, query: str) -> object:
    async with await connect(host) as db:
        row = await (await db.execute(query.encode())).fetchone()
        assert row
        return row[0]


async def to(host: Host, major: int, *, rehearse: bool = False) -> dict[str, object]:
    return await upgrade.upgrade(host, SHOP, ("db", major, rehearse), lambda _: None)


async def test_to_the_next_version_and_back(host: Host) -> None:
    with pytest.raises(UsageError, match="is on PostgreSQL 15"):
        await to(host, 15)
    with pytest.raises(NotFound, match="was not upgraded"):
        await upgrade.undo(host, SHOP, "db", lambda _: None, force=False)

    done = await to(host, 17)
    assert done["rehearsal"]["tables"] == 1  # type: ignore[index]
    assert str(await one(host, "SHOW server_version")).startswith("17.")
    assert await one(host, "SELECT count(*) FROM item WHERE word = 'WORD 7'") == 1
    assert await one(host, "SELECT reltuples FROM pg_class WHERE relname = 'item'") == 1000
    [kept] = host.state.copies(SHOP)
    assert (kept.name, kept.state) == (done["kept"], "kept")
    # The live release was made for 15 and goes on; a new one has to ask for what is there.
    await resources.standing(host, SHOP, OLD)
    with pytest.raises(Conflict, match="is postgres 17") as caught:
        resources.require_versions(host, SHOP, OLD)
    assert "set version = 17" in str(caught.value.hint)

    await one(host, "INSERT INTO item (word) VALUES ('new') RETURNING id")
    await one(host, "SELECT pg_stat_force_next_flush()")
    with pytest.raises(Conflict, match="1 rows were written"):
        await upgrade.undo(host, SHOP, "db", lambda _: None, force=False)
    await upgrade.undo(host, SHOP, "db", lambda _: None, force=True)
    assert str(await one(host, "SHOW server_version")).startswith("15.")
    assert await one(host, "SELECT count(*) FROM item") == 1000
    rows = {row.name: row.version.split(".")[0] for row in host.state.resources(SHOP)}
    assert rows == {"db": "15", kept.name: "17"}
    resources.require_versions(host, SHOP, OLD)


async def test_an_extension_that_the_new_version_lacks_is_said_before_anything(host: Host) -> None:
    new = await host.engines.find("postgres", 17)
    with pytest.raises(ResourceFailed, match="has no extension anywhere"):
        await data.require((await primary(host)).engine, new, ("citext", "anywhere"))


@pytest.mark.parametrize(
    "step", [pytest.param(0, marks=pytest.mark.nightly), 1, pytest.param(2, marks=pytest.mark.nightly)]
)
async def test_what_was_cut_off_is_taken_back(host: Host, step: int) -> None:
    """As a kill of the daemon leaves it: with the new folder beside, between the two renames, and after them."""
    new = await host.engines.find("postgres", 17)
    old = await primary(host)
    kept = copies.declare(host, SHOP, "db", "before-upgrade-1", "upgraded", actor="me", origin="the test")
    host.state.set_copy(kept, "changing")
    await resources.stop(host, SHOP, "db")
    following = await data.upgrade(old, new)
    aside = host.home.resource(*SHOP, kept.name)
    aside.mkdir(0o711)
    if step > 0:
        old.data.rename(aside / "data")
    if step > 1:
        following.rename(old.data)

    await upgrade.settle_interrupted(host)

    assert host.state.copies(SHOP) == []
    await resources.ensure(host, SHOP, await resources.standing(host, SHOP, OLD))
    assert str(await one(host, "SHOW server_version")).startswith("15.")
    assert await one(host, "SELECT count(*) FROM item") == 1000
    assert not following.exists()


async def test_an_upgrade_that_fails_leaves_the_database_as_it_was(host: Host) -> None:
    async with await connect(host) as db:  # pg_upgrade refuses columns of types whose numbers are not kept
        await db.execute("CREATE TABLE odd (what regproc)")
    with pytest.raises(ResourceFailed, match="cannot be upgraded") as caught:
        await to(host, 17, rehearse=True)
    assert "nothing was changed" in str(caught.value.hint)
    assert host.state.copies(SHOP) == []
    work = upgrade.Upgrade(host, SHOP, await primary(host), await host.engines.find("postgres", 17), lambda _: None)
    with pytest.raises(ResourceFailed, match="cannot be upgraded"):
        await work.perform()
    assert await one(host, "SELECT count(*) FROM item") == 1000
    assert host.state.copies(SHOP) == []
    assert replace(work.old) == await primary(host)
