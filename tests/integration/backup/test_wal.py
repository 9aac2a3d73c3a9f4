"""WAL is received without a gap as long as it is bounded, and a receiver that is away never stops PostgreSQL."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

from backup_shop import Shop

from golive.backup import wal
from golive.system.processes import start

SIZE = 16 << 20


async def receive(shop: Shop) -> bool:
    """Until everything up to now is there; then the receiver is away again. Whether it began anew."""
    if anew := wal.reserve(shop.server):
        await asyncio.to_thread(start_over, shop)
    process = await start(wal.receiver(shop.server, shop.received, shop.beside / "wal.log"))
    with shop.server.session() as session:
        row = session.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone()
        assert row
        while not session.execute("SELECT FROM pg_stat_replication WHERE write_lsn >= %s", (row[0],)).fetchall():
            assert process.alive(), (shop.beside / "wal.log").read_text()
            await asyncio.sleep(0.02)
    await process.stop(timedelta(seconds=5))
    return anew


def start_over(shop: Shop) -> None:
    """An empty folder in the place of what was received."""
    info = shop.received.stat()
    shop.received.rename(shop.received.with_name(f"before-{len(list(shop.received.parent.iterdir()))}"))
    shop.received.mkdir(mode=0o700)
    os.chown(shop.received, info.st_uid, info.st_gid)


def fill(shop: Shop, count: int) -> None:
    """So many segments, and a checkpoint, at which PostgreSQL lets go of what it need not keep."""
    with shop.server.session() as session:
        for _ in range(count):
            session.execute("SELECT pg_logical_emit_message(true, 'x', 'x')")
            session.execute("SELECT pg_switch_wal()")
        session.execute("CHECKPOINT")


def gaps(shop: Shop) -> list[int]:
    return wal.missing([path.name for path in shop.received.iterdir()], "0/2000000", SIZE)


async def test_a_receiver_that_was_away_goes_on_where_it_was(shop: Shop) -> None:
    assert await receive(shop)
    fill(shop, 3)
    assert not await receive(shop)
    fill(shop, 1)
    assert not await receive(shop)

    assert gaps(shop) == []
    assert len(list(shop.received.iterdir())) >= 5


async def test_what_an_archive_that_is_away_leaves_behind_is_bounded(shop: Shop) -> None:
    await receive(shop)
    with shop.server.session() as session:
        assert session.execute("SHOW max_slot_wal_keep_size").fetchall() == [("4GB",)]
        session.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'")
        session.execute("SELECT pg_reload_conf()")
        while session.execute("SHOW max_slot_wal_keep_size").fetchall() != [("16MB",)]:
            await asyncio.sleep(0.01)
        fill(shop, 8)
        status = session.execute("SELECT wal_status FROM pg_replication_slots").fetchall()

    assert status == [("lost",)]
    shop.sql("CREATE TABLE kept (id int)")
    assert await receive(shop)
    assert gaps(shop), "a backup from before cannot be brought up to date with it"
    assert not await receive(shop)
