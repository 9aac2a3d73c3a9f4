"""A host whose database is looked after as the daemon does it, one look at a time."""

from __future__ import annotations

import asyncio
import contextlib

from copies_host import SHOP
from writes import PATIENCE, Writes, until

from golive.blueprint.models import Blueprint
from golive.daemon.backups import Backups
from golive.data.postgres import Postgres
from golive.errors import BackupFailed
from golive.release import backups, resources
from golive.release.host import Host
from golive.secret import Secret
from golive.supervise.unit import Status, UnitState

SERVER, RECEIVER = resources.unit_name(SHOP, "db"), backups.unit_name(SHOP, "db")


def state(host: Host, unit: str) -> UnitState:
    found = host.supervisor.state(unit)
    assert found is not None
    return found


async def look_until_received(looking: Backups, host: Host) -> None:
    await until("the database", lambda: state(host, SERVER).status is Status.READY)
    await looking._look()
    await until("a receiver", lambda: host.supervisor.state(RECEIVER) and state(host, RECEIVER).status is Status.READY)


async def is_received(host: Host) -> None:
    """All that was written a moment ago is; the receiver says so once a second."""
    server = (await backups.backed(host, SHOP, "db")).server
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(BackupFailed), server.session() as session:
                row = session.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
                for _ in range(60):
                    if session.execute("SELECT FROM pg_stat_replication WHERE write_lsn >= %s", row).fetchall():
                        return
                    await asyncio.sleep(0.03)
            await asyncio.sleep(0.03)


async def writes(host: Host, blueprint: Blueprint) -> Writes:
    store = (await resources.declare(host, SHOP, blueprint))["db"]
    assert isinstance(store, Postgres)
    url = store.variables()["url"]
    assert isinstance(url, Secret)
    return Writes(url.reveal())
