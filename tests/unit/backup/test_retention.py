"""Which backups go, and when a disk will be full."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from golive.backup import budget, catalog, retention, wal
from golive.backup.budget import Usage
from golive.backup.catalog import Broken, Manifest

SIZE = 16 << 20
NOW = datetime(2026, 11, 21, 2, 45, tzinfo=UTC)
DAY = timedelta(days=1)
ONE = Manifest(
    source="shop/production/db", id="1", version="15.18", system="7", timeline=1, start_lsn="0/2000028",
    stop_lsn="0/2000100", segment=SIZE, begun=NOW, ended=NOW, plain=10, size=9, sha256="0" * 64, key="abc", stream="a",
)  # fmt: skip


def taken(days_ago: int, **changes: object) -> Manifest:
    at = NOW - days_ago * DAY
    return replace(ONE, id=catalog.new_id(at, set()), begun=at, ended=at, **changes)  # type: ignore[arg-type]


def test_a_backup_goes_when_it_is_old_and_not_among_the_newest() -> None:
    known = [taken(days) for days in (20, 9, 8, 6, 1)]
    assert retention.expired(known, NOW, 2, 7 * DAY) == known[:3]
    assert retention.expired(known, NOW, 4, 7 * DAY) == known[:1]
    assert retention.expired(known, NOW, 9, 7 * DAY) == []
    assert retention.expired(known[:1], NOW, 1, 7 * DAY) == []


def test_a_base_backup_stays_as_long_as_an_increment_of_it_does() -> None:
    old, new = taken(20), taken(2)
    since = [taken(19, parent=old.id), taken(18, parent=taken(19).id)]
    assert retention.chains([new, *since, old]) == [[old, *since], [new]]
    assert retention.expired([old, *since, new], NOW, 1, 7 * DAY) == [old, *since]
    young = taken(6, parent=since[-1].id)
    assert retention.expired([old, *since, young, new], NOW, 1, 7 * DAY) == []
    assert retention.expired([old, *since, taken(9), new], NOW, 2, 7 * DAY) == [old, *since]
    assert retention.chains(since) == [since]  # what they build on is gone


def test_one_that_cannot_be_believed_counts_for_nothing() -> None:
    known = [taken(20), taken(9), Broken("x", "its manifest is damaged"), taken(8)]
    assert retention.expired(known, NOW, 2, 7 * DAY) == [known[0]]


def test_the_newest_is_the_one_that_was_made_last_whatever_the_clock_said() -> None:
    """Two made while the clock was a year ahead, one after it was set back."""
    ahead = [taken(-365), taken(-366)]
    after = taken(8)
    after = replace(after, id=catalog.new_id(after.begun, {each.id for each in ahead}))
    known = [taken(9), *ahead, after]
    assert retention.expired(known, NOW, 1, 7 * DAY) == known[:1]
    assert retention.expired(known, NOW + 500 * DAY, 1, 7 * DAY) == known[:3]


def test_wal_goes_when_no_kept_backup_needs_it() -> None:
    names = [wal.segment_name(number, 1, SIZE) for number in (1, 2, 3)]
    streams = {"a": names, "b": names, "0": names}
    kept = [replace(ONE, start_lsn="0/3000028"), replace(ONE, start_lsn="0/2000028")]
    assert retention.superfluous(kept, "b", streams) == [f"a/{names[0]}", *(f"0/{name}" for name in names)]
    assert retention.superfluous([], "b", {"b": names}) == []
    assert retention.superfluous([], None, streams) == []


def test_a_disk_that_fills_is_told_days_ahead() -> None:
    giga = 1 << 30
    then = [Usage(NOW - 2 * DAY, 10 * giga)]
    seen = budget.outlook(then, Usage(NOW, 14 * giga), 100 * giga, 20 * giga)
    assert seen.full == NOW + 3 * DAY
    assert seen.is_near(NOW)
    assert not budget.outlook(then, Usage(NOW, 11 * giga), 100 * giga, 20 * giga).is_near(NOW)
    assert budget.outlook(then, Usage(NOW, 9 * giga), 100 * giga, 20 * giga).full is None
    assert budget.outlook([], Usage(NOW, 20 * giga), 100 * giga, 20 * giga).is_near(NOW)
    assert budget.outlook([], Usage(NOW, giga), budget.FLOOR, 20 * giga).is_near(NOW)
