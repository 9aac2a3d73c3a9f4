from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psutil
import psycopg
import pytest
from data_stores import Running, again, make

from golive.blueprint.models import Resource
from golive.data import Placement, Store, kept_major
from golive.data.postgres import Postgres
from golive.engines import Engines
from golive.errors import ResourceFailed
from golive.home import Home
from golive.secret import Secret
from golive.system import machine, ports
from golive.system.processes import Process

RESOURCE = Resource(engine="postgres", extensions=("citext", "pgcrypto"))


def url(store: Store) -> str:
    value = store.variables()["url"]
    assert isinstance(value, Secret)
    return value.reveal()


@contextmanager
def session(store: Store) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(url(store), autocommit=True) as connection:
        yield connection


def one(store: Store, query: str) -> object:
    with session(store) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
        assert row
        return row[0]


async def up(store: Store, running: Running) -> Process:
    await store.prepare()
    process = await running(store)
    await store.provision()
    return process


@pytest.mark.parametrize("version", [15, 18])
async def test_it_is_made_started_and_provisioned_again_and_again(
    version: int, engines: Engines, place: Placement, running: Running
) -> None:
    store = make(place, await engines.find("postgres", version), RESOURCE)
    process = await up(store, running)
    with session(store) as connection:
        connection.execute("CREATE TABLE kept (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), word text)")
        connection.execute("INSERT INTO kept (word) VALUES ('é')")
    await store.prepare()
    await store.provision()

    report = await store.check()

    assert report.version.startswith(f"{version}.")
    assert 0 < report.latency_ms < 1000
    assert report.details["connections"] == "1 of 100"
    assert one(store, "SELECT upper(word) FROM kept") == "É"
    assert one(store, "SELECT encode(digest('a', 'sha256'), 'hex')") is not None
    assert one(store, "SELECT count(*) FROM pg_stat_statements") is not None
    assert one(store, "SHOW data_checksums") == "on"
    assert one(store, "SHOW jit") == "off"
    assert process.alive()


async def test_the_app_owns_its_database_and_nothing_else(engines: Engines, place: Placement, running: Running) -> None:
    store = make(place, await engines.find("postgres", 15), RESOURCE)
    await up(store, running)

    assert one(store, "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = 'my_app'") is False
    assert one(store, "SELECT rolpassword IS NULL FROM pg_roles WHERE rolname = current_user") is False
    base = url(store)
    for other in ("postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(base.removesuffix("my_app") + other)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(base.replace(":" + base.split(":")[2].split("@")[0], ":wrong"))
    with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects"):
        psycopg.connect(f"postgresql://_golive@127.0.0.1:{place.port}/postgres")


async def test_a_new_password_and_new_extensions_take_effect_while_it_runs(
    engines: Engines, place: Placement, running: Running
) -> None:
    store = make(place, await engines.find("postgres", 15), Resource(engine="postgres"))
    await up(store, running)
    changed = again(store, password=Secret("another-one/with:signs@#?"), resource=RESOURCE)

    await changed.prepare()
    await changed.provision()

    assert (await changed.check()).version.startswith("15.")
    assert one(changed, "SELECT count(*) FROM pg_extension WHERE extname IN ('citext', 'pgcrypto')") == 2
    with pytest.raises(ResourceFailed) as caught:
        await store.check()
    assert "password authentication failed" in str(caught.value.why)


async def test_an_unknown_extension_is_named_with_the_nearest_one(
    engines: Engines, place: Placement, running: Running
) -> None:
    store = make(place, await engines.find("postgres", 15), Resource(engine="postgres", extensions=("pgcripto",)))
    await store.prepare()
    await running(store)

    with pytest.raises(ResourceFailed) as caught:
        await store.provision()

    assert "pgcripto" in caught.value.what
    assert caught.value.hint == "did you mean pgcrypto?"


async def test_uuid_ossp_works_or_says_what_it_lacks(engines: Engines, place: Placement, running: Running) -> None:
    """The fetched build takes OSSP's library from the machine; Debian's own PostgreSQL brings one."""
    uuids = Resource(engine="postgres", extensions=("uuid-ossp",))
    debian = make(place, await engines.find("postgres", 15), uuids)
    await up(debian, running)
    assert one(debian, "SELECT uuid_generate_v4() IS NOT NULL") is True
    fetched = make(replace(place, port=ports.choose([place.port])), await engines.find("postgres", 18), uuids, "other")
    await fetched.prepare()
    await running(fetched)

    try:
        await fetched.provision()
    except ResourceFailed as error:
        assert "lacks libossp-uuid" in str(error.why)
        assert "gen_random_uuid()" in str(error.hint)
    else:
        assert one(fetched, "SELECT uuid_generate_v4() IS NOT NULL") is True


async def test_kill_9_during_writes_loses_no_committed_row(
    engines: Engines, place: Placement, running: Running
) -> None:
    store = make(place, await engines.find("postgres", 18), RESOURCE)
    process = await up(store, running)
    with session(store) as connection:
        connection.execute("CREATE TABLE counted (n bigint PRIMARY KEY)")
    acknowledged: list[int] = []
    writer = asyncio.create_task(asyncio.to_thread(_write_until_it_dies, store, acknowledged))
    busy = asyncio.create_task(asyncio.to_thread(_long_query, store))
    while len(acknowledged) < 300:
        await asyncio.sleep(0.01)

    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    await running(store)
    await store.ready(timedelta(seconds=20))
    await asyncio.gather(writer, busy)

    stored = one(store, "SELECT array_agg(n) FROM counted")
    assert isinstance(stored, list)
    assert set(acknowledged) <= set(stored)
    assert len(stored) <= len(acknowledged) + 1
    await store.provision()
    assert (await store.check()).details["connections"] == "1 of 100"


def _write_until_it_dies(store: Store, acknowledged: list[int]) -> None:
    try:
        with session(store) as connection:
            for n in range(10**6):
                connection.execute("INSERT INTO counted VALUES (%s)", (n,))
                acknowledged.append(n)
    except psycopg.OperationalError:
        return


def _long_query(store: Store) -> None:
    """A backend that is busy in a query does not notice that its postmaster is gone: it must be ended."""
    try:
        with session(store) as connection:
            connection.execute("SELECT count(*) FROM generate_series(1, 10000000000)")
    except psycopg.OperationalError:
        return


async def test_a_server_nobody_knows_of_is_shut_down_before_another_starts(
    engines: Engines, place: Placement, running: Running
) -> None:
    store = make(place, await engines.find("postgres", 15), RESOURCE)
    first = await up(store, running)

    second = await running(store)
    await store.ready()

    assert not first.alive()
    assert second.alive()
    assert "database system is shut down" in store.log.read_text()  # type: ignore[attr-defined]


async def test_a_stale_pid_file_with_a_living_number_does_not_stop_it(
    engines: Engines, place: Placement, running: Running
) -> None:
    store = make(place, await engines.find("postgres", 15), RESOURCE)
    assert isinstance(store, Postgres)
    await store.prepare()
    # The number of a living process that is no server, as after a reboot.
    (store.data / "postmaster.pid").write_text(f"{os.getpid()}\n{store.data}\n0\n{place.port}\n")
    if place.user:
        os.chown(store.data / "postmaster.pid", place.user.uid, place.user.gid)

    await running(store)
    await store.ready()

    assert psutil.pid_exists(os.getpid())


async def test_an_unfinished_first_start_is_redone(engines: Engines, place: Placement) -> None:
    store = make(place, await engines.find("postgres", 15), RESOURCE)
    assert isinstance(store, Postgres)
    half = store.folder / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("15\n")
    (half / "base").mkdir()

    await store.prepare()

    assert (store.data / "global/pg_control").exists()
    assert not half.exists()
    assert store.data.stat().st_mode & 0o777 == 0o700


async def test_files_that_are_no_database_are_left_alone(engines: Engines, place: Placement) -> None:
    store = make(place, await engines.find("postgres", 15), RESOURCE)
    assert isinstance(store, Postgres)
    store.data.mkdir(parents=True)
    (store.data / "letter.txt").write_text("dear")

    with pytest.raises(ResourceFailed, match="no PostgreSQL data directory"):
        await store.prepare()

    assert (store.data / "letter.txt").read_text() == "dear"


async def test_an_empty_database_never_takes_the_place_of_one_that_was_lost(
    engines: Engines, place: Placement, running: Running
) -> None:
    store = make(place, await engines.find("postgres", 15), RESOURCE)
    assert isinstance(store, Postgres)
    process = await up(store, running)
    os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    shutil.rmtree(store.data)

    for starting in (store.prepare, store.before_start):
        with pytest.raises(ResourceFailed, match="its data directory is gone") as caught:
            await starting()
        assert "golive restore" in str(caught.value.hint)
        assert not store.data.exists()
    (store.folder / "postgresql.conf").unlink()
    await up(store, running)


async def test_data_of_another_major_version_is_refused_with_the_way_out(engines: Engines, place: Placement) -> None:
    store = make(place, await engines.find("postgres", 15), RESOURCE)
    assert isinstance(store, Postgres)
    await store.prepare()
    newer = again(store, engine=await engines.find("postgres", 18))

    with pytest.raises(ResourceFailed) as caught:
        await newer.prepare()

    assert kept_major(RESOURCE, store.folder) == 15
    assert "holds data of PostgreSQL 15" in caught.value.what
    assert "version = 15" in str(caught.value.hint)


def command_lines(pid: int) -> str:
    """Of a server and its processes; one that ends meanwhile has none."""
    lines = []
    for process in (psutil.Process(pid), *psutil.Process(pid).children()):
        with suppress(psutil.Error):
            lines += process.cmdline()
    return " ".join(lines)


async def test_the_password_is_in_no_argv_file_or_log(engines: Engines, place: Placement, running: Running) -> None:
    store = make(place, await engines.find("postgres", 18), RESOURCE)
    process = await up(store, running)
    secret = store.password.reveal()  # type: ignore[attr-defined]
    with session(store) as connection, pytest.raises(psycopg.Error):
        connection.execute("SELECT pg_sleep(0.6), %s::text, 1/0", (secret,))
    with session(store) as connection:
        connection.execute("SELECT pg_sleep(0.6), %s::text", (secret,))
    await store.check()

    spoken = command_lines(process.pid)
    texts = [path for path in place.home.root.rglob("*") if path.is_file() and "data" not in path.parts]

    assert "postgres" in spoken
    assert secret not in spoken
    assert secret not in repr(store.spec()) + repr(store) + repr(store.variables())
    assert {path.name for path in texts} >= {"postgresql.conf", "pg_hba.conf", "pg_ident.conf", "postgres.log"}
    assert "duration: 6" in (place.folder("db") / "postgres.log").read_text()
    for path in texts:
        assert secret.encode() not in path.read_bytes(), path
        assert path.stat().st_mode & 0o007 == 0, path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as somebody else")
async def test_as_root_it_runs_as_an_unprivileged_user(engines: Engines, place: Placement, running: Running) -> None:
    assert place.user
    store = make(place, await engines.find("postgres", 18), RESOURCE)
    process = await up(store, running)

    assert psutil.Process(process.pid).uids().effective == place.user.uid
    assert (place.folder("db") / "data").stat().st_uid == place.user.uid
    # What root writes to is root's, so that the engine's user cannot lead it elsewhere by a symlink.
    assert place.folder("db").stat().st_uid == 0
    assert (place.folder("db") / "postgresql.conf").stat().st_uid == 0

    nobody = make(replace(place, user=None), await engines.find("postgres", 18), RESOURCE)
    with pytest.raises(ResourceFailed, match="does not run as root"):
        await nobody.prepare()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can close a folder to another user")
async def test_a_home_that_the_user_cannot_reach_is_said(engines: Engines, place: Placement, home: Home) -> None:
    closed = home.root / "closed"
    closed.mkdir(mode=0o700)
    store = make(replace(place, home=Home(closed / "home")), await engines.find("postgres", 15), RESOURCE)

    with pytest.raises(ResourceFailed) as caught:
        await store.prepare()

    assert "cannot reach" in caught.value.what
    assert "/var/lib/golive" in str(caught.value.hint)


async def test_a_stop_is_orderly(engines: Engines, place: Placement, running: Running) -> None:
    store = make(place, await engines.find("postgres", 15), RESOURCE)
    process = await up(store, running)
    with session(store) as idle:
        idle.execute("SELECT 1")
        exit = await process.stop(store.stop_grace, store.stop_signal)

    assert exit.code == 0
    assert "database system is shut down" in Path(store.log).read_text()  # type: ignore[attr-defined]


@pytest.mark.nightly  # which build is chosen: tests/unit/engines
async def test_on_an_old_c_library_the_self_contained_build_serves(
    home: Home, place: Placement, running: Running, engines: Engines
) -> None:
    old = Engines(engines.home, replace(machine.inspect(), libc="glibc", libc_version=(2, 31)))
    engine = await old.find("postgres", 18)
    store = make(place, engine, Resource(engine="postgres", extensions=("pg_trgm",)))
    await up(store, running)

    assert engine.version == "18.6.3"
    assert (await store.check()).version == "18.6"
    lacking = again(store, resource=RESOURCE)
    with pytest.raises(ResourceFailed) as caught:
        await lacking.provision()
    assert "has no extension pgcrypto" in caught.value.what
