"""The same backups, received WAL, restores and drills with the other PostgreSQL versions that golive runs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from backup_shop import SOURCE, Shop, caught_up, rows

from golive.backup import catalog, keyring, segment, ship, stream, wal, work
from golive.backup.credentials import Credentials
from golive.backup.drill import Terms, drill
from golive.backup.repository import Repository
from golive.backup.restoring import Wish, run
from golive.errors import BackupFailed
from golive.system.processes import start


@pytest.mark.nightly  # test_increments.py does so on 18
@pytest.mark.parametrize(
    "shop",
    [16, 17, 18],
    indirect=True,
)
async def test_a_database_is_backed_up_received_proven_and_restored(shop: Shop) -> None:
    root = shop.location.root.parent
    received, folder = root / "a/received/db", root / "a/drills/db"
    repository = Repository(str(shop.location.root), Credentials(), root / "backup-keys", SOURCE)
    keyring.add(repository.keys, shop.key)
    stream.prepare(folder, shop.server.user)
    await work.reserve(shop.server, received, shop.server.user)
    receiver = await start(wal.receiver(shop.server, received / stream.CURRENT, root / "wal.log"))
    try:
        shop.sql("CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1)")
        await work.create(shop.server, repository, received, work.Terms(7, timedelta(days=7)))
        assert catalog.find(shop.location, SOURCE).major == shop.server.engine.major
        ended: list[str] = []
        for number in (2, 3):
            shop.sql(f"INSERT INTO kept VALUES ({number})")
            between = datetime.now(UTC)
            ended.append(str(shop.admin("SELECT pg_walfile_name(pg_current_wal_insert_lsn()), pg_switch_wal()")[0][0]))
        shop.sql("INSERT INTO kept VALUES (4)")
        await caught_up(shop)
        last = segment.last_commit((received / stream.CURRENT / ended[0]).read_bytes())
        assert last
        assert last < between
        await asyncio.to_thread(ship.ship, repository, received, None)

        found = await drill(
            shop.scratch, repository, received, folder, Terms("shop", ("SELECT count(*) = 4 FROM kept",))
        )
        assert found["status"] == "proven"
        assert "checksums: every page is right" in found["drill"]["checks"]

        async def ids(wish: Wish, name: str) -> list[int]:
            beside: Path = shop.beside / name
            await run(shop.scratch, repository, received, wish, beside)
            return await rows(shop, beside)

        assert await ids(Wish(), "latest") == [1, 2, 3, 4]
        [sealed] = (shop.location.root / SOURCE / "wal").glob(f"*/{ended[1]}")
        sealed.write_bytes(sealed.read_bytes()[:-20])
        with pytest.raises(BackupFailed, match=f"{ended[1]} is damaged") as caught:
            await ids(Wish(), "again")
        assert f"golive restore --to-time {last:%Y-%m-%dT%H:%M:%S.%f}+00:00" in str(caught.value.hint)
        assert await ids(Wish(at=last), "then") == [1, 2]
    finally:
        await receiver.stop(timedelta(seconds=5))
