"""The key ring, and the folders of WAL on its way."""

from __future__ import annotations

from pathlib import Path

import pytest

from golive.backup import keyring, ship, stream
from golive.backup.archive import Key
from golive.backup.credentials import Credentials
from golive.backup.repository import Repository
from golive.errors import BackupFailed, UsageError

WHOLE, NEXT = "000000010000000000000002", "000000010000000000000003"


def test_a_key_is_made_once_and_older_ones_stay(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    first = keyring.current(folder)
    assert keyring.current(folder) == first
    assert (folder / first.id).stat().st_mode & 0o777 == 0o600
    assert not keyring.is_kept(folder)
    keyring.keep(folder)
    assert keyring.is_kept(folder)
    other = Key.new()
    keyring.add(folder, other)
    assert keyring.current(folder) == other
    assert not keyring.is_kept(folder)
    assert keyring.find(folder, first.id) == first
    with pytest.raises(BackupFailed) as caught:
        keyring.find(folder, "0" * 12)
    assert "--import" in str(caught.value.hint)
    (folder / other.id).unlink()
    with pytest.raises(BackupFailed):
        keyring.current(folder)


def received(folder: Path, *names: str) -> None:
    for name in names:
        (folder / stream.CURRENT / name).write_bytes(name.encode())


def test_a_new_stream_leaves_the_old_one_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "app/received/db"
    stream.renew(folder, None)
    first = stream.current(folder)
    assert first
    assert not stream.is_over(folder)
    stream.renew(folder, None)  # nothing was received: as if it had not been
    assert stream.folders(folder) == [(stream.current(folder), folder / "current", False)]
    received(folder, WHOLE)
    kept = stream.current(folder)
    stream.end(folder)
    assert stream.is_over(folder)
    assert stream.current(folder) == kept
    stream.renew(folder, None)
    assert [(id, over) for id, _, over in stream.folders(folder)] == [(kept, True), (stream.current(folder), False)]
    assert (folder / str(kept) / WHOLE).read_bytes() == WHOLE.encode()


def test_what_is_whole_goes_into_the_location_and_a_part_stays(tmp_path: Path) -> None:
    folder = tmp_path / "app/received/db"
    stream.renew(folder, None)
    repository = Repository(str(tmp_path / "to"), Credentials(), tmp_path / "keys", "shop/production/db")
    received(folder, WHOLE, f"{NEXT}.partial")
    (folder / "current" / "x").symlink_to("/etc/passwd")
    assert ship.waiting(folder)[0] == 1
    assert ship.ship(repository, folder, None).files == 1
    id = stream.current(folder)
    there = tmp_path / "to/shop/production/db/wal" / str(id)
    assert [path.name for path in there.iterdir()] == [WHOLE]

    sent = ship.ship(repository, folder, 0)
    assert sent.tail
    assert ship.ship(repository, folder, sent.tail).tail == 0
    assert sorted(path.name for path in there.iterdir()) == [WHOLE, f"{NEXT}.partial"]
    (folder / "current" / f"{NEXT}.partial").rename(folder / "current" / NEXT)
    assert ship.ship(repository, folder, sent.tail).files == 1
    assert sorted(path.name for path in there.iterdir()) == [WHOLE, NEXT]

    received(folder, f"{NEXT}.partial")
    stream.renew(folder, None)
    ship.ship(repository, folder, None)  # of a stream that is over the last part as well, and its folder goes
    assert sorted(path.name for path in there.iterdir()) == [WHOLE, NEXT, f"{NEXT}.partial"]
    assert [over for _, _, over in stream.folders(folder)] == [False]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "app/received/db"
    stream.renew(folder, None)
    repository = Repository(str(tmp_path / "to"), Credentials(), tmp_path / "keys", "shop/production/db")
    (folder / "current" / WHOLE).symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic"):
        ship.ship(repository, folder, None)
    with pytest.raises(UsageError):
        Repository("backups", Credentials(), tmp_path, "x").location()
