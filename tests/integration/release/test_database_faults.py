"""A database under writes whose processes are killed and whose disk fills: what was acknowledged is there then."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator
from datetime import timedelta

import psutil
import pytest
from backed_host import RECEIVER, SERVER, is_received, look_until_received, state, writes
from copies_host import SHOP, SHOP_BLUEPRINT, end_all, live_app, make_host
from writes import until

from golive.backup import budget, stream, wal
from golive.daemon.backups import Backups
from golive.errors import BackupFailed, ResourceFailed
from golive.home import Home
from golive.release import backups, resources
from golive.release.host import Host
from small_disk import empty, fill, small_disk

SEED = 4
MB = 1 << 20


@pytest.fixture
async def host(golive_home: Home, request: pytest.FixtureRequest) -> AsyncIterator[Host]:
    """With so many MB for its apps, where the test says how many."""
    with contextlib.ExitStack() as disk:
        if size := getattr(request, "param", None):
            disk.enter_context(small_disk(golive_home.root / "apps", size))
        host = make_host(golive_home)
        await live_app(host, SHOP_BLUEPRINT)
        yield host
        await resources.stop(host, SHOP, "db/wal")
        await end_all(host)


@pytest.fixture
async def looking(host: Host, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Backups]:
    """What looks after the backups, one look at a time; the disk counts as nearly full 24 MB before it is."""
    monkeypatch.setattr(budget, "FLOOR", 24 * MB)
    made = Backups(host)
    await look_until_received(made, host)
    yield made
    await made.stop()


def kill(host: Host, kind: str, chance: random.Random) -> None:
    process = state(host, RECEIVER if kind == "the receiver" else SERVER).process
    assert process is not None
    children = [each.pid for each in psutil.Process(process.pid).children()]
    victims = [process.pid]
    if kind == "everything":
        victims += children
    elif kind == "a child" and children:
        victims = [chance.choice(children)]
    for victim in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)


async def test_kill_9_of_whatever_loses_nothing_and_all_is_received_again(host: Host, looking: Backups) -> None:
    chance = random.Random(SEED)
    kinds = ["the server", "everything", "a child", "the receiver"]
    chance.shuffle(kinds)
    mine = await writes(host, SHOP_BLUEPRINT)
    with mine.going_on():
        for kind in kinds:
            await mine.go_on(chance.randrange(20, 200))
            connections = len(mine.refused)
            kill(host, kind, chance)
            if kind != "the receiver":
                await until("the connection's end", lambda before=connections: len(mine.refused) > before)
            await mine.go_on()
            await is_received(host)
    assert mine.lost() == set()
    found = await backups.backed(host, SHOP, "db")
    assert stream.folders(found.received)[0][2] is False, "it is one stream still"
    names = [path.name for path in (found.received / stream.CURRENT).iterdir()]
    assert wal.missing(names, "0/2000000", 16 * MB) == []
    # It waited for the database and was not tried again and again.
    assert state(host, RECEIVER).restarts <= 2 * len(kinds)


@pytest.mark.parametrize("host", [220], indirect=True)
async def test_a_full_disk_stops_receiving_first_and_loses_nothing(host: Host, looking: Backups) -> None:
    apps, mine = host.home.root / "apps", await writes(host, SHOP_BLUEPRINT)
    received = host.home.received(*SHOP, "db")
    before = stream.current(received)
    with mine.going_on():
        await mine.go_on()
        fill(apps, 20 * MB)
        await looking._look()
        trouble = host.backup_trouble[SHOP, "db"]
        assert "writes are not received any more" in trouble
        assert "PostgreSQL goes on without" in trouble
        await mine.go_on()
        server = (await backups.backed(host, SHOP, "db")).server
        with server.session() as session:
            assert session.execute("SELECT slot_name FROM pg_replication_slots").fetchall() == []

        fill(apps)
        await until("writes to be refused", lambda: any("No space left" in text for text in mine.refused))
        with pytest.raises(BackupFailed), server.session() as session:
            while session.execute("SELECT pg_logical_emit_message(true, 'x', 'x'), pg_switch_wal()"):
                pass  # until there is no room in pg_wal
        await until("a word of the full disk", lambda: "the disk is full" in state(host, SERVER).reason)
        store = (await resources.declare(host, SHOP, SHOP_BLUEPRINT))["db"]
        with pytest.raises(ResourceFailed) as caught:
            await store.ready(timedelta(seconds=0))
        assert "it comes back by itself, with all that was committed" in str(caught.value.hint)
        empty(apps)
        await mine.go_on()
        await looking._look()
        assert (SHOP, "db") not in host.backup_trouble
        await look_until_received(looking, host)
        await is_received(host)
        assert backups.needs_base(host, await backups.backed(host, SHOP, "db"))
    assert mine.lost() == set()
    assert stream.current(received) != before
