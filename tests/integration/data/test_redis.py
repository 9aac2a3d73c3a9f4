from __future__ import annotations

import os
import signal
from dataclasses import replace

import psutil
import pytest
from data_stores import Running, again, make

from golive.blueprint.models import Resource
from golive.data import Placement, Store
from golive.data.redis import Redis
from golive.engines import Engine, Engines
from golive.errors import ResourceFailed
from golive.secret import Secret
from golive.system.processes import Process
from golive.system.resp import Address, Connection, RedisError, connect

AOF = Resource(engine="redis")
RDB = Resource(engine="redis", persistence="rdb")
NONE = Resource(engine="redis", persistence="none")


@pytest.fixture(params=["machine", "wheel"])
async def engine(request: pytest.FixtureRequest, engines: Engines) -> Engine:
    """The machine's Redis 7 and the wheel's 6.2."""
    return await engines.find("redis", None if request.param == "machine" else 6)


async def up(store: Store, running: Running) -> Process:
    await store.prepare()
    process = await running(store)
    await store.provision()
    return process


def app(store: Store) -> object:
    password = store.variables()["password"]
    assert isinstance(password, Secret)
    return connect(Address(port=int(str(store.variables()["port"]))), "default", password)


async def call(store: Store, *words: str) -> object:
    async with app(store) as connection:  # type: ignore[attr-defined]
        assert isinstance(connection, Connection)
        return await connection.call(*words)


async def test_it_is_made_started_and_provisioned_again_and_again(
    engine: Engine, place: Placement, running: Running
) -> None:
    store = make(place, engine, Resource(engine="redis", memory=64 << 20, eviction="allkeys-lru"), "cache")
    process = await up(store, running)
    await call(store, "SET", "word", "é")
    await store.prepare()
    await store.provision()

    report = await store.check()

    assert report.version == engine.version
    assert report.details["eviction"] == "allkeys-lru"
    assert report.details["memory"].endswith("of 67.1 MB")
    assert report.details["persistence"] == "aof"
    assert await call(store, "GET", "word") == "é"
    assert process.alive()


async def test_the_app_may_do_what_clients_do_and_not_what_is_golives(
    engine: Engine, place: Placement, running: Running
) -> None:
    store = make(place, engine, AOF, "cache")
    await up(store, running)

    for words in (
        ("EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", "1", "a", "b"),
        ("CLIENT", "SETNAME", "app"),
        ("CLIENT", "ID"),
        ("INFO", "server"),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("PUBLISH", "channel", "word"),
        ("XADD", "stream", "*", "k", "v"),
        ("FLUSHDB",),
    ):
        await call(store, *words)
    for words in (
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("SHUTDOWN", "NOSAVE"),
        ("DEBUG", "SLEEP", "0"),
        ("ACL", "LIST"),
        ("SAVE",),
        ("REPLICAOF", "NO", "ONE"),
        ("MODULE", "LIST"),
        ("CLIENT", "KILL", "TYPE", "normal"),
    ):
        with pytest.raises(RedisError, match=r"NOPERM|not allowed"):
            await call(store, *words)


async def test_nobody_gets_in_without_the_password(engine: Engine, place: Placement, running: Running) -> None:
    store = make(place, engine, AOF, "cache")
    await up(store, running)
    address = Address(port=place.port)

    async with connect(address) as stranger:
        with pytest.raises(RedisError, match="NOAUTH"):
            await stranger.call("GET", "word")
    with pytest.raises(RedisError, match="WRONGPASS"):
        async with connect(address, "default", Secret("wrong")):
            pass
    async with connect(address, None, store.password) as old_client:  # type: ignore[attr-defined]
        assert await old_client.call("PING") == "PONG"


async def test_a_new_password_takes_effect_while_it_runs(engine: Engine, place: Placement, running: Running) -> None:
    store = make(place, engine, AOF, "cache")
    await up(store, running)
    changed = again(store, password=Secret("a new one, with spaces"))

    await changed.prepare()
    await changed.provision()

    assert (await changed.check()).version
    with pytest.raises(ResourceFailed) as caught:
        await store.check()
    assert "WRONGPASS" in str(caught.value.why)


async def test_kill_9_loses_nothing_that_was_answered_even_with_a_torn_tail(
    engine: Engine, place: Placement, running: Running
) -> None:
    store = make(place, engine, AOF, "cache")
    assert isinstance(store, Redis)
    process = await up(store, running)
    async with app(store) as connection:  # type: ignore[attr-defined]
        for n in range(2000):
            await connection.call("SET", f"key{n}", n)

    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    increments = sorted(
        path for path in store.data.rglob("appendonly*") if path.suffix != ".manifest" and path.is_file()
    )
    with max(increments, key=lambda path: path.stat().st_mtime_ns).open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nha")
    await running(store)
    await store.provision()

    assert await call(store, "DBSIZE") == 2000


@pytest.mark.parametrize(
    ("before", "after"),
    [(RDB, AOF), (AOF, RDB), (NONE, AOF), (AOF, NONE)],
    ids=["rdb-aof", "aof-rdb", "none-aof", "aof-none"],
)
async def test_a_change_of_persistence_keeps_the_data(
    before: Resource, after: Resource, engines: Engines, place: Placement, running: Running
) -> None:
    store = make(place, await engines.find("redis"), before, "cache")
    process = await up(store, running)
    await call(store, "SET", "word", "kept")
    if before is not NONE:
        await process.stop(store.stop_grace, store.stop_signal)
    changed = again(store, resource=after)
    await changed.prepare()
    if before is not NONE:
        process = await running(changed)
    await changed.provision()

    assert await call(changed, "GET", "word") == "kept"
    await process.stop(store.stop_grace, store.stop_signal)
    await changed.prepare()
    await running(changed)
    await changed.provision()
    assert await call(changed, "GET", "word") == (None if after is NONE else "kept")


async def test_a_restored_rdb_file_is_read_although_an_aof_is_wanted(
    engine: Engine, place: Placement, running: Running
) -> None:
    source = make(place, engine, RDB, "source")
    assert isinstance(source, Redis)
    process = await up(source, running)
    await call(source, "SET", "word", "restored")
    await process.stop(source.stop_grace, source.stop_signal)
    store = make(place, engine, AOF, "cache")
    assert isinstance(store, Redis)
    await store.prepare()
    (store.data / "dump.rdb").write_bytes((source.data / "dump.rdb").read_bytes())
    if place.user:
        os.chown(store.data / "dump.rdb", place.user.uid, place.user.gid)

    process = await up(store, running)
    assert await call(store, "GET", "word") == "restored"
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    await running(store)
    await store.provision()

    assert await call(store, "GET", "word") == "restored"


async def test_an_older_redis_is_refused(engines: Engines, place: Placement) -> None:
    store = make(place, await engines.find("redis", 7), AOF, "cache")
    await store.prepare()
    older = again(store, engine=await engines.find("redis", 6))

    with pytest.raises(ResourceFailed, match="holds data of Redis 7"):
        await older.prepare()


async def test_the_password_is_in_no_argv_file_or_log(engine: Engine, place: Placement, running: Running) -> None:
    store = make(place, engine, AOF, "cache")
    process = await up(store, running)
    secret = store.password.reveal()  # type: ignore[attr-defined]
    await store.check()

    texts = [path for path in place.home.root.rglob("*") if path.is_file()]

    assert secret not in " ".join(psutil.Process(process.pid).cmdline())
    assert secret not in repr(store) + repr(store.spec()) + repr(store.variables())
    assert {path.name for path in texts} >= {"redis.conf", "redis.log", "admin"}
    for path in texts:
        assert secret.encode() not in path.read_bytes(), path
        assert path.stat().st_mode & 0o007 == 0, path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as somebody else")
async def test_as_root_it_runs_as_an_unprivileged_user(engine: Engine, place: Placement, running: Running) -> None:
    assert place.user
    store = make(place, engine, AOF, "cache")
    process = await up(store, running)

    assert psutil.Process(process.pid).uids().effective == place.user.uid
    assert (place.folder("cache") / "admin").stat().st_uid == 0
    assert (place.folder("cache") / "admin").stat().st_mode & 0o077 == 0


async def test_a_server_nobody_knows_of_is_stopped_before_another_starts(
    engines: Engines, place: Placement, running: Running
) -> None:
    store = make(place, await engines.find("redis"), AOF, "cache")
    first = await up(store, running)
    await call(store, "SET", "word", "kept")

    second = await running(store)
    await store.ready()

    assert not first.alive()
    assert second.alive()
    assert await call(store, "GET", "word") == "kept"


async def test_a_port_that_somebody_else_has_is_not_taken_for_ours(
    engines: Engines, place: Placement, running: Running
) -> None:
    engine = await engines.find("redis")
    await up(make(place, engine, AOF, "cache"), running)
    other = make(replace(place, app="other"), engine, AOF, "cache")

    with pytest.raises(ResourceFailed, match="refused") as caught:
        await other.check()

    assert "WRONGPASS" in str(caught.value.why)
