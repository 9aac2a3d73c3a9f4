"""Base backups, received WAL and restores, with Debian's PostgreSQL 15 (or the one that is fetched)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from backup_shop import SOURCE, Shop, caught_up, rows

from golive.backup import base, catalog, segment, wal
from golive.backup.recovery import AsBackedUp, Goal, Latest, Until
from golive.backup.restore import Restored, restore
from golive.errors import BackupFailed, Conflict, GoliveError
from golive.system.processes import Process


async def restored(shop: Shop, goal: Goal, name: str = "restored") -> Restored:
    manifest = catalog.find(shop.location, SOURCE)
    received = shop.received if any(shop.received.iterdir()) else None
    return await restore(shop.scratch, shop.location, manifest, shop.key, goal, shop.beside / name, received)


def nothing_left(shop: Shop) -> None:
    assert not [path.name for path in shop.beside.iterdir() if path.name.startswith("restored")]
    assert shop.sql("SELECT count(*) FROM kept")


async def test_a_backup_is_restored_alone_to_latest_and_to_a_time(shop: Shop, receiver: Process) -> None:
    shop.sql("CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1)")
    manifest = await base.create(shop.server, shop.location, SOURCE, shop.key)
    assert catalog.verify(shop.location, manifest, shop.key) == manifest.plain
    assert manifest.version.startswith("15.")
    assert manifest.size < manifest.plain / 4
    shop.sql("INSERT INTO kept VALUES (2)")
    between = datetime.now(UTC)
    shop.sql("INSERT INTO kept VALUES (3)")
    with shop.server.session() as session:
        session.execute("SELECT pg_switch_wal()")
    shop.sql("INSERT INTO kept VALUES (4)")
    await caught_up(shop)

    latest = await restored(shop, Latest(), "restored-latest")
    assert latest.last_commit
    assert await rows(shop, latest.folder) == [1, 2, 3, 4]
    assert await rows(shop, (await restored(shop, Until(between), "restored-time")).folder) == [1, 2]
    assert await rows(shop, (await restored(shop, AsBackedUp(), "restored-alone")).folder) == [1]

    with pytest.raises(BackupFailed, match="ends before") as caught:
        await restored(shop, Until(datetime.now(UTC) + timedelta(hours=1)))
    assert "choose an earlier time" in str(caught.value.hint)
    with pytest.raises(BackupFailed, match="is there already"):
        await restored(shop, Latest(), "restored-latest")
    assert not (shop.beside / "restored.restoring").exists()
    assert shop.sql("SELECT count(*) FROM kept") == [(4,)]
    with shop.server.session() as session:
        kept = session.execute("SELECT slot_name FROM pg_replication_slots").fetchall()
    assert kept == [(wal.SLOT,)]


async def test_what_is_wrong_with_a_backup_is_said_and_nothing_is_left(shop: Shop) -> None:
    shop.sql("CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1)")
    manifest = await base.create(shop.server, shop.location, SOURCE, shop.key)
    path = shop.location.root / manifest.archive
    whole = path.read_bytes()

    async def message(changed: Shop) -> str:
        with pytest.raises(GoliveError) as caught:
            await restored(changed, Latest())
        assert caught.value.hint
        nothing_left(shop)
        return f"{caught.value.what}: {caught.value.why}"

    assert "sealed with another key" in await message(replace(shop, key=type(shop.key).new()))
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 4
    path.write_bytes(flipped)
    assert "not the ones that were written" in await message(shop)
    path.write_bytes(whole[: len(whole) // 2])
    assert "cut off" in await message(shop)
    path.unlink()
    assert "has no" in await message(shop)
    newer = replace(shop.scratch, engine=replace(shop.scratch.engine, version="16.1"))
    path.write_bytes(whole)
    assert "is of PostgreSQL 15" in await message(replace(shop, scratch=newer))
    catalog.write(shop.location, replace(manifest, plain=1 << 60))
    assert "no room" in await message(shop)
    catalog.write(shop.location, manifest)
    assert await rows(shop, (await restored(shop, Latest())).folder) == [1]


async def test_missing_and_damaged_wal_is_found(shop: Shop, receiver: Process) -> None:
    shop.sql("CREATE TABLE kept (id int PRIMARY KEY)")
    await base.create(shop.server, shop.location, SOURCE, shop.key)
    moments = []
    for number in range(4):
        shop.sql(f"INSERT INTO kept VALUES ({number})")
        moments.append(datetime.now(UTC))
        with shop.server.session() as session:
            session.execute("SELECT pg_switch_wal()")
    shop.sql("INSERT INTO kept VALUES (4)")
    await caught_up(shop)
    names = sorted(path.name for path in shop.received.iterdir() if "." not in path.name)
    victim = shop.received / names[-2]
    whole = victim.read_bytes()
    last = segment.last_commit(whole)
    assert last
    assert moments[1] < last < moments[3]

    victim.unlink()
    with pytest.raises(BackupFailed, match="1 WAL segments are missing") as caught:
        await restored(shop, Latest())
    assert victim.name in caught.value.what
    flipped = bytearray(whole)
    flipped[60] ^= 1  # the checksum of its first record
    victim.write_bytes(flipped)
    shutil.chown(victim, shop.received.owner())
    with pytest.raises(BackupFailed, match="is damaged at") as caught:
        await restored(shop, Latest())
    assert f"restore to a time before {moments[1]:%Y-%m-%d %H:%M}" in str(caught.value.hint)
    nothing_left(shop)
    victim.write_bytes(whole)
    assert await rows(shop, (await restored(shop, Latest())).folder) == [0, 1, 2, 3, 4]


async def test_two_restores_at_once_and_a_killed_one(shop: Shop) -> None:
    shop.sql("CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1)")
    await base.create(shop.server, shop.location, SOURCE, shop.key)
    left = shop.beside / "restored.restoring"
    (left / "data").mkdir(parents=True)
    (left / "data/PG_VERSION").write_text("15")

    both = await asyncio.gather(
        restored(shop, Latest()), restored(shop, Latest(), "restored-too"), return_exceptions=True
    )

    assert sorted(type(one) for one in both if isinstance(one, Exception)) == [Conflict]
    assert await rows(shop, shop.beside / "restored") == [1]
    cut = asyncio.create_task(restored(shop, Latest(), "restored-cut"))
    while not (shop.beside / "restored-cut.restoring/data/PG_VERSION").exists():
        await asyncio.sleep(0.001)
    cut.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cut
    assert not list(shop.beside.glob("restored-cut*"))


@contextmanager
def writing(shop: Shop) -> Iterator[list[tuple[int, float]]]:
    """Rows committed one by one from another thread: the number, and when it was acknowledged."""
    done: list[tuple[int, float]] = []
    stop = threading.Event()

    def write() -> None:
        with contextlib.suppress(psycopg.Error), psycopg.connect(shop.url, autocommit=True) as connection:
            while not stop.is_set():
                connection.execute("INSERT INTO kept VALUES (%s)", (len(done),))
                done.append((len(done), time.monotonic()))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()


async def test_kill_9_and_the_data_directory_gone_loses_less_than_a_second(shop: Shop, receiver: Process) -> None:
    chance = random.Random(15)
    shop.sql("CREATE TABLE kept (id int PRIMARY KEY)")
    await base.create(shop.server, shop.location, SOURCE, shop.key)
    with writing(shop) as done:
        wanted = chance.randrange(300, 900)
        while len(done) < wanted:
            await asyncio.sleep(0.005)
        os.killpg(shop.process.pid, signal.SIGKILL)
        died = time.monotonic()
    await shop.process.wait()
    shutil.rmtree(shop.store.data)
    await receiver.wait()

    found = await rows(shop, (await restored(shop, Latest())).folder)

    lost = [moment for number, moment in done if number >= len(found)]
    assert found == list(range(len(found)))
    assert all(died - moment < 1 for moment in lost), f"{len(lost)} of {len(done)} lost"
