"""Which backup the schedules ask for, and how long a look's trouble is told."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from golive.blueprint.backup_policy import BackupPolicy
from golive.daemon.backups import Backups, _Watch, due
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


async def test_what_is_forgotten_or_deployed_again_is_looked_up_anew() -> None:
    host = SimpleNamespace(backup_trouble={})
    backups = Backups(host)  # type: ignore[arg-type]
    shop, blog = (Place("shop", "production"), "db"), (Place("blog", "production"), "db")
    task = asyncio.create_task(asyncio.sleep(60))
    backups._watched = {key: _Watch(found=(0.0, None)) for key in (shop, blog)}  # type: ignore[arg-type]
    backups._watched[shop].tasks["base"] = task
    host.backup_trouble = dict.fromkeys((shop, blog), "the disk is full")
    backups.wake(blog[0])
    assert [watch.found for watch in backups._watched.values()] == [(0.0, None), None]
    backups.forget(shop[0])
    assert [*backups._watched] == [*host.backup_trouble] == [blog]
    with pytest.raises(asyncio.CancelledError):
        await task
