"""A server that follows the backups of another one, and takes its place; with Debian's PostgreSQL 15."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from backup_shop import SOURCE, Shop, rows

from golive.backup import base, following, keyring, restore, ship, stream, wal
from golive.backup.credentials import Credentials
from golive.backup.following import Followed, Seen
from golive.backup.location import Entry
from golive.backup.repository import Repository
from golive.errors import BackupFailed
from golive.system.processes import Process, start
from seaweed import OWNER, running

NOBODY = Credentials()
ENTRY = Entry("", 0)


@pytest.fixture
def received(shop: Shop) -> Path:
    folder = shop.received.with_name("stream")
    stream.renew(folder, shop.server.user)
    return folder


@pytest.fixture
async def receiver(shop: Shop, received: Path) -> AsyncIterator[Process]:
    wal.reserve(shop.server)
    process = await start(wal.receiver(shop.server, received / stream.CURRENT, shop.beside / "wal.log"))
    yield process
    await process.stop(timedelta(seconds=5))


@asynccontextmanager
async def replaying(followed: Followed) -> AsyncIterator[None]:
    await following.end(followed)
    process = await start(await following.spec(followed))
    try:
        yield
    finally:
        await process.stop(timedelta(seconds=20), signal.SIGINT)


async def until(followed: Followed, wanted: Callable[[Seen], bool]) -> Seen:
    while not wanted(seen := following.look(followed)):
        await asyncio.sleep(0.05)
    return seen


def read(followed: Followed) -> list[int]:
    with followed.server.session("shop") as session:
        return [row[0] for row in session.execute("SELECT id FROM kept ORDER BY id")]


async def shipped(shop: Shop, repository: Repository, received: Path) -> int:
    """Everything that was committed is in the location; where the primary stands."""
    with shop.server.session() as session:
        row = session.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone()
        assert row
        query = "SELECT write_lsn >= %s::pg_lsn FROM pg_stat_replication"
        while not any(each[0] for each in session.execute(query, (row[0],)).fetchall()):
            await asyncio.sleep(0.02)
    ship.ship(repository, received, 0)
    return wal.position(row[0])


async def test_a_standby_follows_and_takes_over_with_all_that_arrived(
    shop: Shop, received: Path, receiver: Process
) -> None:
    await followed_and_promoted(shop, received, repository_of(shop, str(shop.location.root)))


@pytest.mark.nightly
async def test_the_same_by_a_bucket(shop: Shop, received: Path, receiver: Process, tmp_path: Path) -> None:
    with running(tmp_path / "weed") as server:
        server.bucket("backups")
        to = f"s3://backups/web-1?endpoint=http://127.0.0.1:{server.port}"
        await followed_and_promoted(shop, received, repository_of(shop, to, OWNER))


def repository_of(shop: Shop, to: str, credentials: Credentials = NOBODY) -> Repository:
    keyring.add(shop.beside / "keys", shop.key)
    return Repository(to, credentials, shop.beside / "keys", SOURCE)


async def followed_and_promoted(shop: Shop, received: Path, repository: Repository) -> None:
    followed = Followed(shop.scratch, repository, shop.beside / "promoted")
    assert await following.begin(followed) is None

    id = stream.current(received) or ""
    shop.sql("CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1)")
    await base.create(shop.server, repository.location(), SOURCE, shop.key, id)
    begun = await following.begin(followed)
    assert begun
    assert await following.begin(followed) == begun
    assert not following.is_over(followed)
    shop.sql("INSERT INTO kept VALUES (2)")
    at = await shipped(shop, repository, received)
    following.look(followed)
    async with replaying(followed):
        seen = await until(followed, lambda each: each.replayed >= at)
        assert read(followed) == [1, 2]
        assert (seen.base, seen.files, bool(seen.last)) == (begun.id, 0, True)
        assert not following.look(followed).news

        # More of the segment it has, then whole ones and the beginning of another.
        shop.sql("INSERT INTO kept VALUES (3)")
        at = await shipped(shop, repository, received)
        await until(followed, lambda each: each.replayed >= at)
        assert read(followed) == [1, 2, 3]
        with shop.server.session() as session:
            session.execute("SELECT pg_switch_wal()")
        shop.sql("INSERT INTO kept VALUES (4)")
        at = await shipped(shop, repository, received)
        await until(followed, lambda each: each.replayed >= at)
        with pytest.raises(BackupFailed) as caught, followed.server.session("shop") as session:
            session.execute("INSERT INTO kept VALUES (99)")
        assert "read-only transaction" in str(caught.value.why)

    # It has replayed all of those, and a restart needs none of them: they go, and are not fetched again.
    whole = sorted(path for path in followed.wal.iterdir() if path.suffix != following.PARTIAL)
    assert whole
    following._drop(followed, f"{'0' * 7}1{'0' * 7}1{'0' * 8}", begun.segment)
    assert not any(path.exists() for path in whole)
    assert following._missing(followed, begun, {path.name: ENTRY for path in whole}, {}) == []
    for path in (followed.work / "first", followed.work / "partial.json"):
        path.unlink()

    # While it is away: only the location has these. It is killed in the middle of its promotion as well.
    shop.sql("INSERT INTO kept VALUES (5)")
    await shipped(shop, repository, received)
    following.fetch(followed, begun)
    os.truncate(min(path for path in followed.wal.iterdir() if path.suffix != following.PARTIAL), 4096)
    await end_killed(followed)
    done = await following.finish(followed)
    assert done.last_commit
    assert not followed.work.exists()
    assert await rows(shop, done.folder) == [1, 2, 3, 4, 5]


async def end_killed(followed: Followed) -> None:
    """A promotion that ended with a power cut, when the server had just become a primary."""
    base_ = followed.base
    assert base_
    following.fetch(followed, base_, anew=True)
    data = followed.work / "data"
    (data / following.RECOVER).touch()
    if followed.server.user:
        os.chown(data / following.RECOVER, followed.server.user.uid, followed.server.user.gid)
    (data / following.SIGNAL).unlink()
    async with restore.serving(followed.server, base_, restore.recovery.Latest(), followed.work, followed.wal):
        for process in following.leftovers.working_in(data, ("postgres",)):
            process.kill()


async def test_a_new_stream_is_followed_from_its_own_base(shop: Shop, received: Path, receiver: Process) -> None:
    followed = Followed(shop.scratch, repository_of(shop, str(shop.location.root)), shop.beside / "promoted")
    shop.sql("CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1)")
    await base.create(shop.server, shop.location, SOURCE, shop.key, stream.current(received) or "")
    first = await following.begin(followed)
    await base.create(shop.server, shop.location, SOURCE, shop.key, stream.current(received) or "")
    assert not following.is_over(followed)
    second = await base.create(shop.server, shop.location, SOURCE, shop.key, "another")
    assert following.is_over(followed)
    begun = await following.begin(followed)
    assert first and begun
    assert (begun.id, begun.stream) == (second.id, "another")
    assert begun == followed.base

    # It was away until the segment that it needs next was kept no longer.
    later = wal.position(second.start_lsn) // second.segment + 1
    with shop.location.put(f"{SOURCE}/wal/another/{wal.segment_name(later, 1, second.segment)}") as file:
        file.write(b"sealed")
    third = await base.create(shop.server, shop.location, SOURCE, shop.key, "another")
    assert not following.is_over(followed), "nothing is known to be missing"
    (followed.work / "seen.json").write_text(json.dumps({"end": (later + 1) * second.segment}))
    assert following.is_over(followed)
    begun = await following.begin(followed)
    assert begun is not None and begun.id == third.id
    assert not following.is_over(followed)


@pytest.mark.nightly
async def test_a_primary_that_may_have_more_connections_is_followed_by_a_restart(
    shop: Shop, received: Path, receiver: Process
) -> None:
    repository = repository_of(shop, str(shop.location.root))
    followed = Followed(shop.scratch, repository, shop.beside / "promoted")
    shop.sql("CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1)")
    await base.create(shop.server, shop.location, SOURCE, shop.key, stream.current(received) or "")
    await following.begin(followed)
    async with replaying(followed):
        await until(followed, lambda each: each.replayed > 0 and bool(each.end))
        await shop.process.stop(timedelta(seconds=20), shop.store.stop_signal)
        larger = replace(shop.store, settings={"max_connections": "333"})
        await larger.prepare()
        shop.process = await start(larger.spec())
        await larger.ready()
        again = await start(wal.receiver(shop.server, received / stream.CURRENT, shop.beside / "wal.log"))
        shop.sql("INSERT INTO kept VALUES (2)")
        at = await shipped(shop, repository, received)
        seen = await until(followed, lambda each: each.paused)
        assert seen.replayed < at
    async with replaying(followed):
        await until(followed, lambda each: each.replayed >= at)
        assert read(followed) == [1, 2]
    await again.stop(timedelta(seconds=5))
