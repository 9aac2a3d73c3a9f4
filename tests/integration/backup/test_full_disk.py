"""A disk that is really full, in the place of the backups and in the middle of a restore; then there is room again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from backup_shop import SOURCE, Shop, rows

from golive.backup import base, catalog, keyring, ship, stream, wal
from golive.backup.credentials import Credentials
from golive.backup.recovery import Latest
from golive.backup.repository import Repository
from golive.backup.restore import Restored, restore
from golive.errors import BackupUntried
from small_disk import empty, fill, small_disk

SEGMENT = 16 << 20


def test_what_was_received_waits_until_there_is_room(tmp_path: Path) -> None:
    place, folder = tmp_path / "to", tmp_path / "app/received/db"
    repository = Repository(str(place), Credentials(), tmp_path / "keys", SOURCE)
    keyring.current(repository.keys)
    stream.renew(folder, None)
    names = [wal.segment_name(number, 1, SEGMENT) for number in (2, 3)]
    for name in names:
        (folder / "current" / name).write_bytes(os.urandom(SEGMENT))
    with small_disk(place, 48):
        fill(place, 20 << 20)
        with pytest.raises(BackupUntried) as caught:
            ship.ship(repository, folder, None)
        assert names[1] in caught.value.what
        assert "No space left" in str(caught.value.why)
        assert "free some disk space" in str(caught.value.hint)
        assert [path.name for path in (folder / "current").iterdir()] == names[1:]
        assert [path.name for path in place.glob(f"{SOURCE}/wal/*/*")] == names[:1]

        empty(place)
        assert ship.ship(repository, folder, None).files == 1
        assert sorted(path.name for path in place.glob(f"{SOURCE}/wal/*/*")) == names


async def test_neither_a_backup_nor_a_restore_leaves_anything_and_the_next_one_works(shop: Shop) -> None:
    shop.sql("CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1)")
    with small_disk(shop.location.root, 64):
        fill(shop.location.root, 2 << 20)
        with pytest.raises(BackupUntried) as caught:
            await base.create(shop.server, shop.location, SOURCE, shop.key)
        assert "No space left" in str(caught.value.why)
        assert "those made before stand" in str(caught.value.hint)
        assert catalog.backups(shop.location, SOURCE) == []
        assert not [path for path in shop.location.root.rglob("*") if path.is_file() and path.name != "filler"]
        empty(shop.location.root)
        manifest = await base.create(shop.server, shop.location, SOURCE, shop.key)
        await _restored_after_two_that_failed(shop, manifest)


async def _restored_after_two_that_failed(shop: Shop, manifest: catalog.Manifest) -> None:
    beside = shop.beside / "restores"

    async def attempt(report: Callable[[str, int, int], object]) -> Restored:
        goal, folder = Latest(), beside / "restored"
        return await restore(shop.scratch, shop.location, manifest, shop.key, goal, folder, None, report=report)

    with small_disk(beside, (manifest.plain >> 20) + 80):
        for stage in ("unpack", "replay"):
            with pytest.raises(BackupUntried) as caught:
                await attempt(lambda what, *_, stage=stage: fill(beside) if what == stage else None)
            assert caught.value.why == "the disk is full"
            assert "free some disk space, then try again" in str(caught.value.hint)
            assert [path.name for path in beside.iterdir()] == ["filler"]
            empty(beside)
        with pytest.raises(BackupUntried, match="has no room"):
            fill(beside, manifest.plain)
            await attempt(lambda *_: None)
        empty(beside)
        assert await rows(shop, (await attempt(lambda *_: None)).folder) == [1]
    assert shop.sql("SELECT id FROM kept") == [(1,)]
