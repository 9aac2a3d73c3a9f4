"""Which backup the schedules ask for, and how long a look's trouble is told."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from golive.blueprint.backup_policy import BackupPolicy
from golive.daemon.backups import Backups, due
from golive.errors import StateError
from golive.state.records import BackupRun, Place

HOURLY = BackupPolicy(increments="@hourly")


def at(hour: int, minute: int = 0, day: int = 21) -> float:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC).timestamp()


def run(moment: float, parent: str | None = None) -> BackupRun:
    detail: dict[str, Any] = {"parent": parent} if parent else {}
    return BackupRun(1, "base", moment, moment + 1, None, detail)


def test_a_base_backup_each_night_and_increments_between() -> None:
    night = run(at(2))
    first = run(at(3), "x")
    assert due(HOURLY, [night], able=True, now=at(2, 59)) is None
    assert due(HOURLY, [night], able=True, now=at(3)) == "increment"
    assert due(HOURLY, [first, night], able=True, now=at(3, 30)) is None
    assert due(HOURLY, [first, night], able=True, now=at(9)) == "increment"
    assert due(HOURLY, [run(at(23), "x"), night], able=True, now=at(2, day=22)) == "base"
    assert due(HOURLY, [], able=True, now=at(9)) is None


def test_one_is_made_at_once_after_the_clock_was_set_back() -> None:
    ahead = run(at(2, day=25))
    assert due(HOURLY, [ahead], able=True, now=at(4)) == "base"
    assert due(HOURLY, [run(at(4)), ahead], able=True, now=at(4, 30)) is None
    assert due(HOURLY, [run(at(23, day=25), "x"), run(at(2))], able=True, now=at(4)) == "increment"


def test_none_where_they_are_not_wanted_or_cannot_be_made() -> None:
    assert due(HOURLY, [run(at(2))], able=False, now=at(9)) is None
    assert due(BackupPolicy(), [run(at(2))], able=True, now=at(9)) is None
    assert due(BackupPolicy(), [run(at(2))], able=True, now=at(2, day=22)) == "base"


async def test_the_trouble_of_a_look_is_over_with_the_next_that_goes_well() -> None:
    host = SimpleNamespace(backup_trouble={})
    backups, key = Backups(host), (Place("shop", "production"), "cache")  # type: ignore[arg-type]

    async def stumbles() -> None:
        raise StateError("cannot decrypt it")

    async def goes_well() -> None:
        pass

    await backups._attempt(key, stumbles())
    assert "cannot decrypt it" in host.backup_trouble[key]
    await backups._attempt(key, goes_well())
    assert host.backup_trouble == {}
    host.backup_trouble[key] = "the disk is full"  # of a backup: it stands until one is made
    await backups._attempt(key, goes_well())
    assert host.backup_trouble == {key: "the disk is full"}
