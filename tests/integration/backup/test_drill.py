"""A drill proves a backup, or says what is wrong with it; nothing of it is left."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from backup_shop import SOURCE, Shop

from golive.backup import catalog, keyring, stream, wal, work
from golive.backup.credentials import Credentials
from golive.backup.drill import Terms, drill
from golive.backup.repository import Repository
from golive.errors import BackupFailed, BackupUntried

ROLE = "shop"


@dataclass
class Ground:
    shop: Shop
    repository: Repository
    received: Path
    folder: Path

    async def backup(self) -> None:
        terms = work.Terms(7, timedelta(days=7))
        await work.create(self.shop.server, self.repository, self.received, terms)

    async def drill(self, *checks: str) -> dict[str, Any]:
        return await drill(self.shop.scratch, self.repository, self.received, self.folder, Terms(ROLE, checks))

    async def status(self) -> str:
        assert list(self.folder.iterdir()) == []
        found = (await work.listing(self.repository))[0]
        return f"{found['status']}: {found['why']}"


@pytest.fixture
def ground(shop: Shop) -> Ground:
    root = shop.location.root.parent
    received, folder = root / "a/received/db", root / "a/drills/db"
    repository = Repository(str(shop.location.root), Credentials(), root / "backup-keys", SOURCE)
    keyring.add(repository.keys, shop.key)
    stream.prepare(folder, shop.server.user)
    wal.reserve(shop.server, lambda: stream.renew(received, shop.server.user))
    return Ground(shop, repository, received, folder)


async def test_a_backup_is_proven_with_the_apps_own_checks(ground: Ground) -> None:
    ground.shop.sql("CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept SELECT generate_series(1, 5000)")
    await ground.backup()
    assert await ground.status() == "unproven: "

    done = await ground.drill("SELECT count(*) = 5000 FROM kept")

    assert await ground.status() == "proven: "
    found = done["drill"]
    assert (found["tables"], found["rows"]) == (1, 5000)
    assert found["seconds"] > 0
    assert "SELECT count(*) = 5000 FROM kept: holds" in found["checks"]
    assert any(check.startswith("checksums: every page") for check in found["checks"])

    with pytest.raises(BackupFailed, match="does not hold") as caught:
        await ground.drill("SELECT id > 1 FROM kept")
    assert "it answers (False,)" in str(caught.value.why)
    assert "does not hold" in await ground.status()
    with pytest.raises(BackupFailed, match="PostgreSQL refused"):
        await ground.drill("DELETE FROM kept RETURNING true")
    assert "read-only" in await ground.status()


async def test_what_cannot_be_restored_has_failed_and_what_cannot_be_tried_has_not(ground: Ground) -> None:
    ground.shop.sql("CREATE TABLE kept (id int PRIMARY KEY)")
    await ground.backup()
    manifest = catalog.find(ground.shop.location, SOURCE)
    path = ground.shop.location.root / manifest.archive
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(BackupFailed, match="damaged"):
        await ground.drill()
    assert "cut off" in await ground.status()
    path.write_bytes(whole)
    await ground.drill()
    assert await ground.status() == "proven: "
    key = ground.repository.keys / manifest.key
    hidden = key.rename(key.with_name("away"))
    with pytest.raises(BackupFailed, match="is not here"):
        await ground.drill()
    hidden.rename(key)
    assert await ground.status() == "proven: "

    drilling = asyncio.ensure_future(ground.drill("SELECT pg_sleep(600) IS NOT NULL"))
    async with asyncio.timeout(120):
        while not (checking := _that_sleeps(ground.folder)):
            await asyncio.sleep(0.05)
    checking.kill()  # as the kernel does where memory has run out
    with pytest.raises(BackupUntried, match="could not be recovered"):
        await drilling
    assert await ground.status() == "proven: "


def _that_sleeps(folder: Path) -> psutil.Process | None:
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if "SELECT" in " ".join(process.info["cmdline"] or ()) and str(folder) in (process.info["cwd"] or ""):
            return process
    return None
