"""Replicas of a real PostgreSQL: they follow, are promoted, and a promotion that is cut off at any step is settled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

import psycopg
import pytest
from copies_host import SHOP, end_all, live_app, make_host

from golive.blueprint.models import Blueprint, Pool
from golive.data import replica
from golive.data.postgres import Postgres
from golive.errors import Conflict, EngineUnavailable, NotFound
from golive.home import Home
from golive.release import copies, promotion, reads, replicas, resources
from golive.release.host import Host
from golive.release.replicas import Replicas
from golive.secret import Secret
from golive.state.records import ResourceRow
from golive.system import ports

REPLICATED = Blueprint.model_validate(
    {
        "name": "shop",
        "services": {"web": {"kind": "worker", "command": "true"}},
        "resources": {"db": {"engine": "postgres", "version": 15, "replicas": 1}},
    }
)


@pytest.fixture
async def host(golive_home: Home) -> AsyncIterator[Host]:
    host = make_host(golive_home)
    await live_app(host, REPLICATED)
    async with await connect(host) as db:
        await db.execute("CREATE TABLE item (id serial PRIMARY KEY, word text)")
    async with await (await primary(host)).superuser("postgres") as server:
        await server.execute("SELECT pg_create_physical_replication_slot('golive_wal', true)")
    await Replicas(host).tick(SHOP)
    yield host
    await end_all(host)


async def primary(host: Host) -> Postgres:
    return (await replicas.primaries(host, SHOP))["db"]


async def standby(host: Host) -> Postgres:
    found = await copies.store(host, copies.find(host, SHOP, "replica-1"))
    assert isinstance(found, Postgres)
    return found


async def connect(host: Host, store: Postgres | None = None) -> psycopg.AsyncConnection[tuple[object, ...]]:
    url = (store or await primary(host)).variables()["url"]
    assert isinstance(url, Secret)
    return await psycopg.AsyncConnection.connect(url.reveal(), autocommit=True)


async def count(host: Host, store: Postgres | None = None) -> object:
    async with await connect(host, store) as db:
        row = await (await db.execute("SELECT count(*) FROM item")).fetchone()
        assert row
        return row[0]


async def follows(host: Host) -> bool:
    return await replica.follows(await primary(host), "replica-1", promotion.REJOIN)


async def promote(host: Host, *, force: bool = False) -> dict[str, object]:
    return await promotion.promote(host, SHOP, (None, None), lambda _: None, force=force)


async def test_it_follows_is_promoted_and_the_old_primary_follows_it(host: Host) -> None:
    assert await follows(host)
    lost, written, stop = 0, 0, asyncio.Event()

    async def write() -> None:
        nonlocal lost, written
        while not stop.is_set():
            try:
                async with await connect(host) as db:
                    while not stop.is_set():
                        await db.execute("INSERT INTO item (word) VALUES ('x')")
                        written += 1
            except psycopg.Error:
                lost += 1
                await asyncio.sleep(0.02)

    writer = asyncio.create_task(write())
    while written < 50:
        await asyncio.sleep(0.01)
    result = await promote(host)
    after = written
    while written < after + 50:
        await asyncio.sleep(0.01)
    stop.set()
    await writer

    assert written <= await count(host) <= written + lost  # type: ignore[operator]
    assert result["kept"] == "db@replica-1"
    assert await replica.backup_slots(await primary(host)) == ("golive_wal",)
    assert await follows(host)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        async with await connect(host, await standby(host)) as db:
            await db.execute("INSERT INTO item (word) VALUES ('no')")
    await Replicas(host).tick(SHOP)
    assert reads.serving_replicas(host, SHOP, "db") == ("db@replica-1",)


async def test_a_primary_that_was_killed_is_kept_and_a_replica_made_anew(host: Host) -> None:
    async with await connect(host) as db:
        await db.execute("INSERT INTO item (word) SELECT 'kept' FROM generate_series(1, 100)")
    assert await follows(host)
    unit = resources.unit_name(SHOP, "db")
    state = host.supervisor.state(unit)
    assert state
    assert state.process
    os.kill(state.process.pid, signal.SIGKILL)
    await host.supervisor.stop(unit)

    result = await promote(host)

    assert await count(host) == 100
    assert str(result["kept"]).startswith("db@before-")
    assert host.state.copy(SHOP, str(result["kept"])).state == "kept"  # type: ignore[union-attr]
    await Replicas(host).tick(SHOP)
    assert await follows(host)
    assert await count(host, await standby(host)) == 100


async def test_a_promotion_that_was_cut_off_is_undone_or_finished(host: Host) -> None:
    """As a kill of the daemon after each step leaves it; nothing that comes after may run."""
    for number, cut in enumerate(("fence", "promote", "exchange"), 1):
        await Replicas(host).tick(SHOP)
        assert await follows(host), cut
        copy, old, new = copies.find(host, SHOP, "replica-1"), await primary(host), await standby(host)
        host.state.set_copy(copy, "changing")
        await resources.stop(host, SHOP, "db")
        await replica.fence(old)
        if cut != "fence":
            await host.offload.call(replica.catch_up, new, await replica.ended_at(old))
            await host.offload.call(replica.promote, new)
        if cut == "exchange":
            await promotion._exchange(host, copy, old, new)

        await promotion.settle_interrupted(host)

        await resources.ensure(host, SHOP, await resources.standing(host, SHOP, REPLICATED))
        await copies.settle_interrupted(host)
        async with await connect(host) as db:
            await db.execute("INSERT INTO item (word) VALUES (%s)", (cut,))
        assert await count(host) == number
        assert copies.find(host, SHOP, "replica-1").state == "ready"
        assert not replica.is_fenced(old.data)
        assert replica.is_fenced(new.data)


async def test_one_that_does_not_follow_is_not_promoted_and_one_too_many_goes(host: Host) -> None:
    assert await follows(host)
    await copies.stop(host, copies.find(host, SHOP, "replica-1"))
    with contextlib.suppress(Conflict):
        for _ in range(100):  # the primary notices the end in a moment
            await promotion._require_following(host, SHOP, await primary(host), copies.find(host, SHOP, "replica-1"))
            await asyncio.sleep(0.05)
    with pytest.raises(Conflict, match="does not follow db"):
        await promote(host)
    assert await count(host) == 0

    none = REPLICATED.model_copy(
        update={"resources": {"db": REPLICATED.resources["db"].model_copy(update={"replicas": 0})}}
    )
    found = (await resources.declare(host, SHOP, none))["db"]
    assert isinstance(found, Postgres)
    async with host.copying(SHOP):
        await Replicas(host)._line_up(SHOP, found)
    assert host.state.copies(SHOP) == []
    assert await host.offload.call(replica.lags, found) == {}
    with pytest.raises(NotFound, match="no replica"):
        await promote(host)


async def test_a_pool_that_cannot_run_any_more_is_led_past(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """PgBouncer was taken away, or the app was recovered on a machine without it: its URL leads to the database."""
    pooled = REPLICATED.model_copy(
        update={"resources": {"db": REPLICATED.resources["db"].model_copy(update={"pool": Pool()})}}
    )
    port = ports.choose(avoid=host.state.ports())
    host.state.add_resource(ResourceRow(SHOP, "db@pool", "pgbouncer", "1.21.0", port, b""), Secret("x"))
    find = host.engines.find

    async def without(name: str, *args: object, **kwargs: object) -> object:
        if name == "pgbouncer":
            raise EngineUnavailable("PgBouncer is not here")
        return await find(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(host.engines, "find", without)
    assert "db@pool" not in await resources.declare(host, SHOP, pooled)
    [past] = [each for each in reads.streams(host, SHOP) if each.port == port]
    assert past.fallback.port == (await primary(host)).place.port
    monkeypatch.setattr(host.engines, "find", find)
    with contextlib.suppress(EngineUnavailable):
        await host.engines.find("pgbouncer")
        assert "db@pool" in await resources.declare(host, SHOP, pooled)
        assert [each for each in reads.streams(host, SHOP) if each.port == port] == []
