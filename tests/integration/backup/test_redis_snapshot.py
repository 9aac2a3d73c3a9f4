"""Snapshots of a real Redis: taken under writes, restored elsewhere, loaded in a drill."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from golive.backup import catalog, redis, redis_compare
from golive.backup.archive import Key
from golive.backup.location import Folder
from golive.blueprint.models import Resource
from golive.data import Placement
from golive.data.redis import Redis
from golive.data.redis_plan import ADMIN
from golive.engines import Engines
from golive.errors import BackupFailed, BackupUntried
from golive.home import Home
from golive.secret import Secret
from golive.system import machine, ports, users
from golive.system.processes import Process, start
from golive.system.users import User

SOURCE = "shop/production/cache"


@dataclass
class Cache:
    """A Redis with 2,000 keys, where its backups go, and what restores them."""

    store: Redis
    process: Process
    server: redis.RedisServer
    location: Folder
    key: Key
    user: User | None

    async def call(self, *words: str | int) -> object:
        async with self.store.as_admin() as admin:
            return await admin.call(*words)

    @property
    def scratch(self) -> Path:
        return self.store.folder

    async def backup(self) -> catalog.Manifest:
        return await redis.create(self.server, self.location, SOURCE, self.key)

    async def drill(self, manifest: catalog.Manifest) -> redis.Loaded:
        engine = self.store.engine
        return await redis.drill(self.location, manifest, self.key, engine, self.scratch, self.user)


@pytest.fixture
async def cache(request: pytest.FixtureRequest, golive_home: Home) -> AsyncIterator[Cache]:
    """The machine's Redis 7, or the wheel's 6.2."""
    user = users.ensure("golive-test") if os.geteuid() == 0 else None
    place = Placement("shop", "production", golive_home, ports.choose(), user, machine.inspect(), 2)
    engine = await Engines(golive_home).find("redis", getattr(request, "param", None))
    store = Redis(Resource(engine="redis"), "cache", place, engine, Secret(secrets.token_urlsafe(24)))
    await store.prepare()
    process = await start(store.spec())
    await store.provision()
    server = redis.RedisServer("shop/production/cache", store.socket, ADMIN, store.admin_password())
    made = Cache(store, process, server, Folder(golive_home.root / "backups"), Key.new(), user)
    fill = "for n = 1, 2000 do redis.call('SET', 'key:' .. n, string.rep(n, 20)) end"
    await made.call("EVAL", fill, 0)
    yield made
    await made.process.stop(timedelta(seconds=10))
    await store.before_start()


@pytest.mark.parametrize("cache", [None, 6], indirect=True)
async def test_a_drill_finds_what_was_there(cache: Cache) -> None:
    await cache.call("SADD", "set", "é", "b")
    await cache.call("SET", "gone", "soon", "PX", 1)
    await cache.call("SELECT", 0)
    manifest = await cache.backup()
    assert (manifest.engine, manifest.version) == ("redis", cache.store.engine.version)
    assert catalog.backups(cache.location, SOURCE) == [manifest]
    assert catalog.verify(cache.location, manifest, cache.key) == manifest.plain
    first, second = await cache.drill(manifest), await cache.drill(manifest)
    assert (first.keys, first.digest) == (second.keys, second.digest) and first.keys == 2001
    await cache.call("SET", "key:7", "changed")
    assert (await cache.drill(await cache.backup())).digest != first.digest
    assert list(cache.scratch.glob("drill-*")) == []

    await cache.call("XADD", "log:1", "1700000000000-1", "a", "b")
    await cache.call("EVAL", "redis.call('SELECT', 1) redis.call('SET', 'x', 'y')", 0)
    lines = {each["kind"]: each for each in await redis_compare.side_by_side(cache.server, cache.server)}
    assert {name: each["live"]["keys"] for name, each in lines.items()} == {
        "all keys": 2003, "key:*": 2000, "*": 1, "log:*": 1, "1/*": 1,
    }  # fmt: skip
    assert 2000 * 40 < lines["key:*"]["copy"]["bytes"] < 2000 * 400
    assert (lines["log:*"]["live"]["newest"], lines["key:*"]["live"]["newest"]) == ("2023-11-14 22:13:20", "")


@pytest.mark.parametrize("cache", [None, 6], indirect=True)
async def test_it_is_taken_at_one_moment_while_others_write(cache: Cache) -> None:
    """Two counters that grow together, in one transaction of Redis's, are equal in the snapshot."""
    writing = "for n = 1, 200 do redis.call('INCR', 'a') redis.call('INCR', 'b') end"
    stop = asyncio.Event()

    async def write() -> int:
        count = 0
        while not stop.is_set():
            await cache.call("EVAL", writing, 0)
            count += 200
        return count

    writer = asyncio.create_task(write())
    await asyncio.sleep(0.1)
    manifest = await cache.backup()
    stop.set()
    written = await writer
    await restored(cache, manifest)
    a, b = await cache.call("GET", "a"), await cache.call("GET", "b")
    assert a == b and 0 < int(str(a)) <= written


async def restored(cache: Cache, manifest: catalog.Manifest) -> None:
    """The store runs on what the snapshot held, with the AOF that it is to have."""
    await cache.process.stop(timedelta(seconds=20))
    aside = cache.store.data.with_name("data.new")
    await redis.restore(cache.location, manifest, cache.key, aside, cache.user)
    cache.store.data.rename(cache.store.data.with_name("data.old"))
    aside.rename(cache.store.data)
    (cache.store.folder / "persistence").write_text("rdb\n")
    await cache.store.prepare()
    cache.process = await start(cache.store.spec())
    await cache.store.provision()


async def test_a_restored_store_keeps_its_data_when_it_is_killed(cache: Cache) -> None:
    manifest = await cache.backup()
    await cache.call("FLUSHALL")
    await restored(cache, manifest)
    assert await cache.call("DBSIZE") == 2000
    await cache.process.stop(timedelta(0), 9)
    cache.process = await start(cache.store.spec())
    await cache.store.ready()
    assert await cache.call("DBSIZE") == 2000
    assert await cache.call("CONFIG", "GET", "appendonly") == ["appendonly", "yes"]


async def test_a_damaged_snapshot_is_found_in_the_archive_and_by_redis(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = await cache.backup()
    with monkeypatch.context() as patch:
        patch.setattr(redis, "LOADING", 0.0)
        with pytest.raises(BackupUntried, match="could not be loaded"):  # that says nothing of the snapshot
            await cache.drill(manifest)
    path = cache.location.root / manifest.archive
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(BackupFailed, match="is damaged"):
        await cache.drill(manifest)
    assert not list(cache.scratch.glob("*drill-*"))


async def test_redis_that_is_killed_in_the_middle_leaves_no_backup(cache: Cache) -> None:
    big = "for n = 1, 300 do redis.call('SET', 'big:' .. n, string.rep('x' .. n, 100000)) end"
    await cache.call("EVAL", big, 0)
    copied = asyncio.Event()
    loop = asyncio.get_running_loop()

    def report(done: int, _: int) -> None:
        loop.call_soon_threadsafe(copied.set)

    backup = asyncio.create_task(redis.create(cache.server, cache.location, SOURCE, cache.key, report))
    await copied.wait()
    os.kill(cache.process.pid, 9)
    with pytest.raises(BackupFailed, match="could not be backed up"):
        await backup
    assert cache.location.list(SOURCE) == []
    cache.process = await start(cache.store.spec())
    await cache.store.ready()


async def test_a_wrong_password_is_said_without_it(cache: Cache) -> None:
    server = redis.RedisServer(cache.server.label, cache.server.socket, ADMIN, Secret("canary-5512"))
    with pytest.raises(BackupFailed) as caught:
        await redis.create(server, cache.location, SOURCE, cache.key)
    assert "WRONGPASS" in str(caught.value.why) and "canary" not in str(caught.value.to_json())
