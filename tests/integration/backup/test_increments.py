"""Increments of a real PostgreSQL: taken on one another, restored as one, proven, verified, kept together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from backup_shop import SOURCE, Shop, caught_up, rows

from golive.backup import catalog, following, increments, keyring, proof, ship, stream, wal, work
from golive.backup.credentials import Credentials
from golive.backup.drill import Terms, drill
from golive.backup.following import Followed
from golive.backup.recovery import Latest
from golive.backup.repository import Repository
from golive.backup.restoring import Wish, run
from golive.errors import BackupFailed, Conflict
from golive.system.processes import start

TERMS = work.Terms(7, timedelta(days=7), increments=True)


@dataclass
class Ground:
    """A database with a table `kept`, whose writes are received."""

    shop: Shop
    repository: Repository
    received: Path

    async def taken(self, number: int, *, increment: bool = True) -> dict[str, Any]:
        self.shop.sql(f"INSERT INTO kept VALUES ({number})")
        return await work.create(self.shop.server, self.repository, self.received, TERMS, increment)

    async def ids(self, wish: Wish, name: str) -> list[int]:
        beside: Path = self.shop.beside / name
        await run(self.shop.scratch, self.repository, self.received, wish, beside)
        return await rows(self.shop, beside)

    async def put_away(self) -> None:
        await caught_up(self.shop)
        await asyncio.to_thread(ship.ship, self.repository, self.received, None)


@pytest.fixture
async def ground(shop: Shop) -> AsyncIterator[Ground]:
    root = shop.location.root.parent
    received = root / "a/received/db"
    repository = Repository(str(shop.location.root), Credentials(), root / "backup-keys", SOURCE)
    keyring.add(repository.keys, shop.key)
    await work.reserve(shop.server, received, shop.server.user)
    receiver = await start(wal.receiver(shop.server, received / stream.CURRENT, root / "wal.log"))
    shop.sql("CREATE TABLE kept (id int PRIMARY KEY)")
    yield Ground(shop, repository, received)
    await receiver.stop(timedelta(seconds=5))


@pytest.mark.parametrize("shop", [18], indirect=True)
async def test_an_increment_is_small_and_restored_with_what_it_builds_on(ground: Ground) -> None:
    whole = await ground.taken(1)  # there is nothing to build on
    first = await ground.taken(2)
    assert [each["parent"] for each in (whole, first)] == [None, whole["id"]]
    assert first["size"] * 4 < whole["size"]
    ground.shop.sql("INSERT INTO kept VALUES (3)")
    await ground.put_away()
    assert await ground.ids(Wish(), "latest") == [1, 2, 3]
    assert (await work.verify(ground.repository, None))["status"] == "unproven"
    with pytest.raises(Conflict, match=f"{first['id']} is an increment of {whole['id']}"):
        await work.delete(ground.repository, ground.received, whole["id"])


@pytest.mark.nightly
@pytest.mark.parametrize("shop", [17, 18], indirect=True)
async def test_a_chain_is_proven_followed_and_judged_by_all_of_its_parts(ground: Ground) -> None:
    shop, repository, received = ground.shop, ground.repository, ground.received
    whole, first, second = [await ground.taken(number) for number in (1, 2, 3)]
    assert [each["parent"] for each in (whole, first, second)] == [None, whole["id"], first["id"]]
    await ground.put_away()
    assert await ground.ids(Wish(id=first["id"]), "first") == [1, 2]
    folder = shop.location.root.parent / "a/drills/db"
    stream.prepare(folder, shop.server.user)
    found = await drill(shop.scratch, repository, received, folder, Terms("shop"))
    assert (found["id"], found["status"]) == (second["id"], "proven")
    assert list(folder.iterdir()) == []
    followed = Followed(shop.scratch, repository, shop.beside / "followed")
    base = await following.begin(followed)
    assert base is not None and (base.id, base.parent) == (second["id"], first["id"])
    assert (followed.work / "data/standby.signal").exists()

    # What it builds on is damaged: found, and nothing more is built on it.
    archive = shop.location.root / SOURCE / f"base/{first['id']}/data.golive"
    sealed = archive.read_bytes()
    archive.write_bytes(sealed[:-9])
    with pytest.raises(BackupFailed, match=f"{first['id']} is damaged"):
        await drill(shop.scratch, repository, received, folder, Terms("shop"))
    listed = {each["id"]: each["status"] for each in await work.listing(repository)}
    assert listed == {whole["id"]: "unproven", first["id"]: "failed", second["id"]: "failed"}
    chosen, passed_over = proof.choose(shop.location, catalog.backups(shop.location, SOURCE), Latest())
    assert (chosen.id, passed_over) == (whole["id"], [second["id"], first["id"]])
    assert (await ground.taken(4))["parent"] is None
    archive.write_bytes(sealed)
    assert (await work.verify(repository, first["id"]))["status"] == "unproven"

    off = work.Terms(7, timedelta(days=7))
    assert (await work.create(shop.server, repository, received, off, True))["parent"] is None
    assert shop.admin("SHOW summarize_wal")[0][0] == "off"
    assert not increments.parent_of(shop.location, SOURCE, str(stream.current(received)), shop.key)
