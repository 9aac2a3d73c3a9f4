"""The key ring, and the folders of WAL on its way."""

from __future__ import annotations

import shutil
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from golive.backup import catalog, keyring, proof, segment, ship, stream, wal, work
from golive.backup.archive import Key
from golive.backup.catalog import Manifest
from golive.backup.credentials import Credentials
from golive.backup.location import Entry, Folder
from golive.backup.proof import Damage, Proof
from golive.backup.repository import Repository
from golive.errors import BackupFailed, UsageError
from golive.system.users import User

SIZE, MIB = 16 << 20, 1 << 20
BEGUN, MINUTE = datetime(2026, 11, 21, 2, 45, tzinfo=UTC), timedelta(minutes=1)
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


@pytest.fixture
def archived(tmp_path: Path) -> tuple[Repository, Manifest]:
    """Four segments with a commit in each, one a minute, sealed into a location."""
    folder = tmp_path / "app/received/db"
    stream.renew(folder, None)
    repository = Repository(str(tmp_path / "to"), Credentials(), tmp_path / "keys", "shop/production/db")
    for number in range(2, 6):
        name = wal.segment_name(number, 1, SIZE)
        (folder / "current" / name).write_bytes(segment_with_commit(BEGUN + number * MINUTE))
    ship.ship(repository, folder, None)
    id = stream.current(folder)
    manifest = Manifest(
        source=repository.source, id="20261121T024500Z", version="15.18", system="7", timeline=1, start_lsn="0/2000028",
        stop_lsn="0/2000100", segment=SIZE, begun=BEGUN, ended=BEGUN + MINUTE, plain=10, size=9, sha256="0" * 64,
        key=repository.key().id, stream=str(id),
    )  # fmt: skip
    return repository, manifest


def segment_with_commit(at: datetime) -> bytes:
    """A page of it: a record of no interest that began before, one more, and the commit."""
    micros = (at - segment.EPOCH) // timedelta(microseconds=1)
    data = b"\xfd\x00\x00" + bytes([255, 8]) + struct.pack("<q", micros)
    commit = struct.pack("<IIQBBxxI", 24 + len(data), 7, 0, 0, 1, 0) + data
    other = struct.pack("<IIQBBxxI", 27, 7, 0, 0x10, 0, 0) + b"abc"
    header = struct.pack("<HHIQI", 0xD110, 1, 1, 0, 5).ljust(segment.LONG, b"\0")
    return (header + b"tail\0\0\0\0" + other.ljust(32, b"\0") + commit).ljust(segment.PAGE, b"\0")


@pytest.mark.parametrize("damage", ["flipped", "cut off"])
def test_a_damaged_segment_is_found_and_how_far_one_can_go(
    tmp_path: Path, archived: tuple[Repository, Manifest], damage: str
) -> None:
    repository, manifest = archived
    key, into = repository.key(), tmp_path / "into"
    assert len(ship.verify(repository, manifest, key)) == 4
    name = f"shop/production/db/wal/{manifest.stream}/{wal.segment_name(4, 1, SIZE)}"
    sealed = tmp_path / "to" / name
    whole = bytearray(sealed.read_bytes())
    whole[100] ^= 16
    sealed.write_bytes(whole if damage == "flipped" else whole[:100])

    def refused(action: Callable[[], object]) -> None:
        with pytest.raises(BackupFailed) as caught:
            action()
        assert caught.value.what == f"{name} is damaged"
        assert "golive restore --to-time 2026-11-21T02:48:00.000000+00:00" in str(caught.value.hint)
        assert "golive backup create" in str(caught.value.hint)

    refused(lambda: ship.verify(repository, manifest, key))
    into.mkdir()
    refused(lambda: ship.fetch(repository, manifest, key, tmp_path / "nowhere", into, None))
    shutil.rmtree(into)
    into.mkdir()
    ship.fetch(repository, manifest, key, tmp_path / "nowhere", into, None, to_the_end=False)
    assert sorted(path.name for path in into.iterdir()) == [wal.segment_name(n, 1, SIZE) for n in (2, 3)]


@dataclass(frozen=True)
class Busy(Repository):
    """Whoever has listed what is there comes too late for its newest part: it is shipped as a whole segment then."""

    received: Path

    def location(self) -> Folder:
        given, received = self, self.received

        class Growing(Folder):
            def list(self, prefix: str, after: str = "") -> list[Entry]:
                found = super().list(prefix, after)
                for part in (received / stream.CURRENT).glob("*.partial"):
                    part.rename(part.with_suffix(""))
                ship.ship(Repository(given.to, given.credentials, given.keys, given.source), received, None)
                return found

        return Growing(Path(self.to))


def test_the_part_that_has_become_whole_since_it_was_seen_is_fetched_as_that(
    tmp_path: Path, archived: tuple[Repository, Manifest]
) -> None:
    repository, manifest = archived
    folder, into = tmp_path / "app/received/db", tmp_path / "into"
    newest = wal.segment_name(6, 1, SIZE)
    (folder / "current" / f"{newest}.partial").write_bytes(segment_with_commit(BEGUN + 6 * MINUTE))
    ship.ship(repository, folder, 0)
    into.mkdir()
    busy = Busy(repository.to, repository.credentials, repository.keys, repository.source, folder)
    ship.fetch(busy, manifest, repository.key(), tmp_path / "nowhere", into, None)
    assert sorted(path.name for path in into.iterdir()) == [wal.segment_name(number, 1, SIZE) for number in range(2, 7)]


def test_over_the_budget_the_oldest_go_and_never_the_newest_two(
    tmp_path: Path, archived: tuple[Repository, Manifest]
) -> None:
    repository, manifest = archived
    location, made = repository.location(), []
    for number in range(2, 6):
        at = datetime.now(UTC) - (6 - number) * MINUTE
        each = replace(
            manifest, id=catalog.new_id(at, set()), begun=at, ended=at, size=MIB, start_lsn=f"0/{number}000028"
        )
        with location.put(each.archive) as file:
            file.write(bytes(MIB))
        catalog.write(location, each)
        made.append(each.id)
    for entry in location.list(f"{repository.source}/wal"):
        with location.put(entry.name) as file:
            file.write(bytes(2 * MIB))
    terms = work.Terms(7, timedelta(days=7), 10 * MIB)  # all are 12, and with the oldest 2 of WAL go
    stream.end(tmp_path / "app/received/db")

    def left() -> list[str]:
        return [each.id for each in catalog.backups(location, repository.source)]

    assert work.tidy(repository, tmp_path / "app/received/db", terms) == made[:1]
    assert left() == made[1:]
    names = [entry.name.rsplit("/", 1)[1] for entry in location.list(f"{repository.source}/wal")]
    assert names == [wal.segment_name(number, 1, SIZE) for number in (3, 4, 5)], "the rest still need these"
    assert work.tidy(repository, tmp_path / "app/received/db", replace(terms, budget=1)) == made[1:2]
    assert left() == made[2:]


def test_the_last_good_backup_stays_while_those_after_it_fail(
    tmp_path: Path, archived: tuple[Repository, Manifest]
) -> None:
    repository, manifest = archived
    location, made, received = repository.location(), list[Manifest](), tmp_path / "app/received/db"
    for days in (20, 15, 12, 10, 9):
        at = datetime.now(UTC) - timedelta(days=days)
        made.append(replace(manifest, id=catalog.new_id(at, set()), begun=at, ended=at, size=MIB))
        catalog.write(location, made[-1])

    def drilled(number: int, why: str = "") -> None:
        proof.write(location, made[number], Proof(datetime.now(UTC), 1.0, why=why))

    drilled(1)
    drilled(3, "pages have wrong checksums")
    terms = work.Terms(2, timedelta(days=7), 1)
    assert work.tidy(repository, received, terms) == [made[0].id, made[2].id]
    drilled(1, "gone too")
    assert work.tidy(repository, received, terms) == [made[1].id]
    proof.write_damage(location, made[4], Damage(datetime.now(UTC), "cut off", archive=True))
    drilled(3)
    last = replace(made[4], id=catalog.new_id(datetime.now(UTC), set()))
    catalog.write(location, last)
    assert work.tidy(repository, received, replace(terms, keep=1)) == [made[4].id]
    proof.write(location, last, Proof(datetime.now(UTC), 1.0))
    assert work.tidy(repository, received, replace(terms, keep=1)) == [made[3].id], "all is well again"


def test_what_was_cut_off_before_its_manifest_goes(tmp_path: Path, archived: tuple[Repository, Manifest]) -> None:
    repository, manifest = archived
    location, terms = repository.location(), work.Terms(7, timedelta(days=7))
    catalog.write(location, manifest)
    for id in ("20261120T000000Z", "20261122T000000Z"):  # the later one may be under way
        for name in (catalog.ARCHIVE, catalog.FILES):
            with location.put(f"{repository.source}/base/{id}/{name}") as file:
                file.write(b"sealed")
    assert work.tidy(repository, tmp_path / "app/received/db", terms) == []
    there = {entry.name.split("/")[-2] for entry in location.list(f"{repository.source}/base")}
    assert there == {manifest.id, "20261122T000000Z"}


def test_folders_above_are_opened_for_the_engines_user_and_never_closed(tmp_path: Path) -> None:
    shared, own, folder = tmp_path / "shared", tmp_path / "shared/own", tmp_path / "shared/own/db"
    shared.mkdir()
    shared.chmod(0o1777)
    stream.prepare(folder, User("stranger", 54321, 54321, Path("/")))
    assert [stat.S_IMODE(path.stat().st_mode) for path in (shared, own, folder)] == [0o1777, 0o711, 0o711]
