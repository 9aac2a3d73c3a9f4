from __future__ import annotations

import asyncio
import os
import signal
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta

import psycopg
import pytest
from data_stores import Running, make

from golive.blueprint.models import Pool, Resource
from golive.data import Placement
from golive.data.pool import PgBouncer, pool_use
from golive.data.postgres import Postgres
from golive.engines import Engines
from golive.errors import EngineUnavailable, ResourceFailed
from golive.secret import Secret
from golive.system import ports
from golive.system.processes import Process

READY = timedelta(seconds=10)


@dataclass
class Pooled:
    server: Postgres
    pool: PgBouncer
    processes: tuple[Process, Process]

    async def connect(self) -> psycopg.AsyncConnection[tuple[object, ...]]:
        url = self.pool.variables()["url"]
        assert isinstance(url, Secret)
        return await psycopg.AsyncConnection.connect(url.reveal(), autocommit=True, prepare_threshold=None)

    async def one(self, query: str) -> object:
        async with await self.connect() as connection:
            row = await (await connection.execute(query)).fetchone()  # type: ignore[arg-type]
            assert row
            return row[0]

    async def use(self) -> dict[str, int]:
        return await pool_use(self.pool.place.port, self.pool.password)


@pytest.fixture
async def pooled(engines: Engines, place: Placement, running: Running) -> AsyncIterator[Pooled]:
    try:
        bouncer = await engines.find("pgbouncer")
    except EngineUnavailable:
        pytest.skip("PgBouncer is not on this machine (apt-get install pgbouncer)")
    server = make(place, await engines.find("postgres", 15), Resource(engine="postgres"))
    assert isinstance(server, Postgres)
    await server.prepare()
    first = await running(server)
    await server.provision()
    pool = PgBouncer(
        Pool(size=3), server, replace(place, port=ports.choose(avoid={place.port})), bouncer, Secret("console's own")
    )
    await pool.prepare()
    second = await running(pool)
    await pool.ready(READY)
    yield Pooled(server, pool, (first, second))


async def test_many_clients_share_few_connections(pooled: Pooled) -> None:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(await pooled.connect()) for _ in range(20)]
        backends = await asyncio.gather(*(c.execute("SELECT pg_backend_pid(), pg_sleep(0.01)") for c in clients))
        pids = {(await each.fetchone())[0] for each in backends}  # type: ignore[index]

        assert 1 <= len(pids) <= 3
        use = await pooled.use()
        assert use["clients"] == 20
        assert use["used"] + use["idle"] <= 3


async def test_a_wrong_password_is_refused_and_none_is_on_disk(pooled: Pooled) -> None:
    assert await pooled.one("SELECT current_user") == "my_app"
    wrong = replace(pooled.pool, server=replace(pooled.server, password=Secret("wrong")))

    with pytest.raises(ResourceFailed, match="refused"):
        await wrong.check()

    for path in pooled.pool.folder.rglob("*"):
        if path.is_file():
            assert pooled.server.password.reveal() not in path.read_text()
            assert "console's own" not in path.read_text()
            assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0


async def test_new_settings_hold_without_a_lost_connection(pooled: Pooled) -> None:
    async with await pooled.connect() as kept:
        await kept.execute("SELECT 1")
        other = replace(pooled.pool, settings=Pool(size=1, mode="session"))

        await other.prepare()
        await other.provision()
        await pooled.server.provision()

        assert await (await kept.execute("SELECT 2")).fetchone() == (2,)
    assert pooled.processes[1].alive()
    async with await pooled.connect() as session:  # its own for as long as it lives
        await session.execute("SET application_name = 'mine'")
        assert await (await session.execute("SHOW application_name")).fetchone() == ("mine",)


async def test_it_serves_again_when_either_side_was_killed(pooled: Pooled, running: Running) -> None:
    assert await pooled.one("SELECT 1") == 1
    server, bouncer = pooled.processes

    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    await running(pooled.server)
    await pooled.server.ready()
    assert await _in_time(pooled) == 1

    os.kill(bouncer.pid, signal.SIGKILL)
    await bouncer.wait()
    await running(pooled.pool)
    assert await _in_time(pooled) == 1


async def test_one_that_nobody_looks_after_gives_way(pooled: Pooled, running: Running) -> None:
    left = pooled.processes[1]

    fresh = await running(pooled.pool)

    await pooled.pool.ready(READY)
    assert not left.alive()
    assert fresh.alive()
    assert await pooled.one("SELECT 1") == 1


async def test_a_port_that_is_taken_is_said(pooled: Pooled) -> None:
    other = replace(pooled.pool, password=Secret("another"))

    with pytest.raises(ResourceFailed) as caught:
        await other.ready(timedelta(0))

    assert "another" not in str(caught.value)
    assert str(other.log) in str(caught.value.where)


async def _in_time(pooled: Pooled) -> object:
    """A client that tries again, as those of an app do; PgBouncer says no while it waits for a login."""
    for _ in range(100):
        try:
            return await pooled.one("SELECT 1")
        except psycopg.OperationalError:
            await asyncio.sleep(0.1)
    raise AssertionError("it did not serve again within 10 s")
