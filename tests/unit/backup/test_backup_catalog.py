from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from golive.backup import catalog
from golive.backup.archive import Key
from golive.backup.catalog import Manifest
from golive.errors import BackupFailed

NOW = datetime(2026, 11, 21, 2, 45, tzinfo=UTC)
MANIFEST = Manifest(
    source="shop/production/db", id="20261121T024500Z", version="15.18", system="7", timeline=1, start_lsn="0/2000028",
    stop_lsn="0/2000100", segment=16 << 20, begun=NOW, ended=NOW, plain=10, size=9, sha256="0" * 64, key="abc",
)  # fmt: skip


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert catalog.decode(catalog.encode(MANIFEST)) == MANIFEST
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
