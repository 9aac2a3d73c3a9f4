from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from golive.backup import catalog, keyring, proof, work
from golive.backup.archive import Key, Writer
from golive.backup.catalog import Manifest
from golive.backup.credentials import Credentials
from golive.backup.proof import Proof
from golive.backup.recovery import Latest
from golive.backup.repository import Repository
from golive.errors import BackupFailed

NOW = datetime(2026, 11, 21, 2, 45, tzinfo=UTC)
MANIFEST = Manifest(
    source="shop/production/db", id="20261121T024500Z", version="15.18", system="7", timeline=1, start_lsn="0/2000028",
    stop_lsn="0/2000100", segment=16 << 20, begun=NOW, ended=NOW, plain=10, size=9, sha256="0" * 64, key="abc",
)  # fmt: skip


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert catalog.decode(catalog.encode(MANIFEST)) == MANIFEST
    assert b"parent" not in catalog.encode(MANIFEST)  # an earlier golive reads it
    assert catalog.decode(catalog.encode(replace(MANIFEST, parent="1"))).parent == "1"
    assert MANIFEST.major == 15
    assert MANIFEST.archive == "shop/production/db/base/20261121T024500Z/data.golive"


def test_every_flipped_bit_of_a_manifest_is_found() -> None:
    raw = catalog.encode(MANIFEST)
    for position in range(len(raw) - 1):
        changed = bytearray(raw)
        changed[position] ^= 1
        try:
            assert catalog.decode(bytes(changed)) == MANIFEST  # a blank between two fields
        except ValueError as error:
            assert "damaged" in str(error)
    with pytest.raises(ValueError, match="damaged"):
        catalog.decode(raw[: len(raw) // 2])


def test_ids_are_times_in_utc_and_no_two_are_alike() -> None:
    taken: set[str] = set()
    for _ in range(3):
        taken.add(catalog.new_id(NOW.astimezone(timezone(timedelta(hours=2))), taken))
    assert taken == {"20261121T024500Z", "20261121T024500Z-0002", "20261121T024500Z-0003"}


def test_names_stay_in_order_when_the_clock_is_set_back() -> None:
    made = [catalog.new_id(NOW + timedelta(days=365), set())]
    for hour in range(12):
        made.append(catalog.new_id(NOW + timedelta(hours=hour), set(made)))
    made.append(catalog.new_id(NOW + timedelta(days=366), set(made)))
    assert made == sorted(made)
    assert len(set(made)) == 14
    assert made[-1] == "20271122T024500Z"
    assert catalog.new_id(NOW, {"9f3a-part", "owner"}) == "20261121T024500Z"


def test_a_preview_has_backups_of_its_own() -> None:
    assert catalog.source("shop", "preview/fix", "db") == "shop/preview~fix/db"


def test_another_key_is_named_before_anything_is_read() -> None:
    with pytest.raises(BackupFailed, match="another key") as caught:
        catalog.require_key(MANIFEST, Key.new())
    assert "it wants key abc" in str(caught.value.why)


async def test_what_reading_finds_wrong_stands_until_it_is_whole_again(tmp_path: Path) -> None:
    repository = Repository(str(tmp_path / "to"), Credentials(), tmp_path / "keys", MANIFEST.source)
    location, key = repository.location(), keyring.current(repository.keys)
    for id in ("20261121T024500Z", "20261122T024500Z"):
        made = replace(MANIFEST, id=id, key=key.id, engine="redis")
        with location.put(made.archive) as file:
            writer = Writer(file, key, made.name)
            writer.write(b"0123456789")
            made = replace(made, **asdict(writer.close()))
        catalog.write(location, made)
    proof.write(location, made, Proof(NOW, 1.0))
    path = tmp_path / "to" / made.archive
    whole = path.read_bytes()

    async def listed() -> list[tuple[str, str]]:
        return [(each["status"], each["why"][-7:]) for each in await work.listing(repository)]

    def chosen() -> tuple[str, list[str]]:
        found, passed_over = proof.choose(location, catalog.backups(location, made.source), Latest())
        return found.id, passed_over

    assert await listed() == [("proven", ""), ("unproven", "")]
    path.write_bytes(whole[:-1])
    with pytest.raises(BackupFailed, match="damaged"):
        await work.verify(repository, None)
    assert await listed() == [("failed", "cut off"), ("unproven", "")]
    assert chosen() == ("20261121T024500Z", [made.id])

    hidden = (repository.keys / key.id).rename(tmp_path / "key")
    with pytest.raises(BackupFailed, match="is not here"):
        await work.verify(repository, "20261121T024500Z")
    hidden.rename(repository.keys / key.id)
    path.unlink()
    with pytest.raises(BackupFailed):
        await work.verify(repository, None)
    assert [status for status, _ in await listed()] == ["failed", "unproven"]
    path.write_bytes(whole)
    assert (await work.verify(repository, None))["status"] == "proven"
    assert await listed() == [("proven", ""), ("unproven", "")]
    assert chosen() == (made.id, [])
    proof.write_damage(location, made, proof.Damage(NOW, "a bit"))
    proof.write(location, made, Proof(NOW, 1.0))  # a drill that succeeded has read all of it
    assert chosen() == (made.id, [])
