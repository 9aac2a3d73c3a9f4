"""A Redis and a PostgreSQL as golive sets them up, and a move between them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg

from golive.blueprint.models import Resource
from golive.data import Placement, Store, store_for
from golive.data.redis import Redis
from golive.engines import Engines
from golive.home import Home
from golive.move.mapping import Mapped
from golive.move.values import Move
from golive.move.worker import work
from golive.secret import Secret
from golive.system import machine, ports, resp, users
from golive.system.offload import Offload
from golive.system.processes import Process, start

QUOTA = Mapped("threadr:quota:{client}:{period}", "quota", "string", value="used", expires="expires_at")
USER = Mapped("threadr:user:{id}", "people", "hash", fields={"email": "email", "plan": "plan"})
THREAD = Mapped("threadr:thread:{id}", "stored", "json", fields={"title": "title", "likes": "likes"})
TABLES = """
CREATE TABLE quota (client text, period text, used int NOT NULL, expires_at timestamptz, PRIMARY KEY (client, period));
CREATE TABLE people (id text PRIMARY KEY, email text, plan text);
CREATE TABLE stored (id text PRIMARY KEY, title text, likes int)"""


@dataclass
class Sides:
    """Both stores, and a worker in a process of its own that may be killed."""

    redis: Redis
    postgres: Store
    processes: dict[str, Process]
    move: Move
    offload: Offload = field(default_factory=Offload)
    said: list[dict[str, Any]] = field(default_factory=list)
    _working: asyncio.Task[None] | None = None

    def begin(self) -> asyncio.Task[None]:
        self._working = asyncio.create_task(self.offload.reporting(self.said.append, work, self.move))
        return self._working

    async def kill(self) -> None:
        """The worker's process, by -9."""
        await self.until(lambda: self.offload._process, "a process to kill")
        assert self.offload._process
        self.offload._process.kill()

    async def end(self) -> None:
        if self._working:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
        await self.offload.close()

    async def call(self, *words: str | int) -> Any:
        """As the app would."""
        password = self.redis.password
        async with resp.connect(resp.Address(port=self.redis.place.port), "default", password) as connection:
            return await connection.call(*words)

    async def move_notify(self) -> Any:
        async with self.redis.as_admin() as admin:
            return await admin.call("CONFIG", "GET", "notify-keyspace-events")

    def query(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.move.url.reveal(), autocommit=True) as connection:
            cursor = connection.execute(text.encode(), values)
            return cursor.fetchall() if cursor.description else []

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        async with asyncio.timeout(120):
            while not await asyncio.to_thread(condition):
                assert not self._working or not self._working.done() or not self._working.exception(), what
                await asyncio.sleep(0.02)

    async def swept(self, count: int = 1) -> None:
        await self.until(lambda: self.said and self.said[-1]["sweeps"] >= count, f"sweep {count}")

    async def restart(self, side: str) -> None:
        """After a kill -9."""
        store: Store = self.redis if side == "redis" else self.postgres
        os.kill(self.processes[side].pid, 9)
        await self.processes[side].wait()
        await store.before_start()
        self.processes[side] = await start(store.spec())
        await store.ready()


@dataclass
class Stores:
    redis: Redis
    postgres: Store
    processes: dict[str, Process]


async def started(home: Home) -> Stores:
    user = users.ensure("golive-test") if os.geteuid() == 0 else None
    made: dict[str, Store] = {}
    processes = {}
    for name in ("redis", "postgres"):
        place = Placement("shop", "production", home, ports.choose(), user, machine.inspect(), 2)
        engine = await Engines(home).find(name)
        resource = Resource.model_validate({"engine": name})
        store = made[name] = store_for(resource, name, place=place, engine=engine, password=Secret(secrets.token_hex()))
        await store.prepare()
        processes[name] = await start(store.spec())
        await store.provision()
    redis = made["redis"]
    assert isinstance(redis, Redis)
    return Stores(redis, made["postgres"], processes)


async def stopped(stores: Stores) -> None:
    for name, store in (("redis", stores.redis), ("postgres", stores.postgres)):
        with contextlib.suppress(ProcessLookupError):
            await stores.processes[name].stop(timedelta(seconds=10), store.stop_signal)
        await store.before_start()
