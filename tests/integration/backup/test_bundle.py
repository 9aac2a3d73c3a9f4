"""The bundle of a host: all that makes it again, each part once, nothing of it readable without the key."""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from golive.backup import bundle, owner
from golive.backup.archive import Key
from golive.backup.bundle import Bundle
from golive.backup.location import Folder
from golive.errors import BackupFailed, Conflict, Fenced, NotFound, UsageError
from golive.state.keyfile import host_id

KEY = Key.new()
NOW = datetime(2026, 11, 21, 2, 45, tzinfo=UTC)
PARTS = ("artifacts/0123", "layers/4567")
ABOUT = Bundle(
    "one", "", NOW, "0.1.0", "linux-x86_64", "web-1", "/srv/golive", ("shop/production",), PARTS
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / "artifacts/0123/app").mkdir(parents=True)
    (home / "artifacts/0123/app/main.py").write_text("print('shop of Ada')")
    (home / "layers/4567/bin").mkdir(parents=True)
    (home / "layers/4567/bin/python").symlink_to("/usr/bin/python3")
    (home / "layers/4567/large").write_bytes(os.urandom(3 << 20))
    return home


async def make(
    location: Folder, home: Path, about: Bundle = ABOUT, *, thorough: bool = False
) -> tuple[Bundle, list[str]]:
    """And what was written for it."""
    staged = home.parent / "staged"
    (staged / "ca").mkdir(parents=True, exist_ok=True)
    (staged / "ca/root.key").write_text("private")
    with sqlite3.connect(staged / "state.db") as db:
        db.execute("CREATE TABLE IF NOT EXISTS app (name)")
    db.close()
    steps: list[str] = []
    made = await bundle.make(
        location, KEY, about, home, staged, lambda step: steps.append(step.what), thorough=thorough
    )
    return made, list(dict.fromkeys(steps))


async def test_what_is_made_comes_back_and_each_part_is_written_once(tmp_path: Path, home: Path) -> None:
    location = Folder(tmp_path / "backups")
    first, wrote = await make(location, home)
    assert wrote == [*PARTS, "the state"]
    second, wrote = await make(location, home)
    assert wrote == ["the state"]
    assert second.id == f"{first.id}-0002"

    assert bundle.newest(location, KEY) == second
    target = tmp_path / "new"
    await bundle.fetch(location, KEY, second, target / "own")
    assert (target / "own/ca/root.key").read_text() == "private"
    layer = await bundle.fetch_part(location, KEY, second, "layers/4567", target / "part")
    assert (layer / "large").read_bytes() == (home / "layers/4567/large").read_bytes()
    assert (layer / "bin/python").readlink() == Path("/usr/bin/python3")
    for file in (tmp_path / "backups").rglob("*"):
        assert not file.is_file() or not any(
            word in file.read_bytes() for word in (b"shop of Ada", b"production", b"private")
        )
    with pytest.raises(BackupFailed, match="sealed with another key"):
        bundle.newest(location, Key.new())


async def test_a_damaged_part_is_found_and_written_again(tmp_path: Path, home: Path) -> None:
    location = Folder(tmp_path / "backups")
    made, _ = await make(location, home)
    path = tmp_path / "backups/host/one/parts/layers/4567"
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(BackupFailed, match="is damaged"):
        await bundle.fetch_part(location, KEY, made, "layers/4567", tmp_path / "part")

    assert (await make(location, home))[1] == ["the state"]
    again, wrote = await make(location, home, thorough=True)
    assert wrote == ["layers/4567", "the state"]
    await bundle.fetch_part(location, KEY, again, "layers/4567", tmp_path / "part")


async def test_parts_that_no_bundle_needs_go(tmp_path: Path, home: Path) -> None:
    location = Folder(tmp_path / "backups")
    await make(location, home, replace(ABOUT, made=datetime(2026, 1, 1, tzinfo=UTC)))
    for _ in range(bundle.NEWEST):
        await make(location, home, replace(ABOUT, parts=("layers/4567",)))
    bundle.tidy(location, KEY, "one", NOW)
    assert len(location.list("host/one/made")) == bundle.NEWEST
    assert [entry.name for entry in location.list("host/one/parts")] == ["host/one/parts/layers/4567"]


async def test_which_host_is_meant_has_to_be_clear(tmp_path: Path, home: Path) -> None:
    location = Folder(tmp_path / "backups")
    with pytest.raises(NotFound, match="there is no host"):
        bundle.newest(location, KEY)
    await make(location, home)
    await make(location, home, replace(ABOUT, host="other", hostname="web-2", apps=()))
    with pytest.raises(UsageError) as caught:
        bundle.newest(location, KEY)
    assert "one: web-1, shop/production, 2026-11-21 02:45 UTC; other: web-2, no app, " in str(caught.value.why)
    assert bundle.newest(location, KEY, "other").hostname == "web-2"
    with pytest.raises(NotFound) as caught_too:
        bundle.newest(location, KEY, "othr")
    assert caught_too.value.hint == "did you mean other?"


async def test_a_part_that_is_gone_leaves_no_bundle(tmp_path: Path, home: Path) -> None:
    location = Folder(tmp_path / "backups")
    with pytest.raises(BackupFailed, match="could not be packed"):
        await make(location, home, replace(ABOUT, parts=("artifacts/none",)))
    assert location.list("host") == []


def test_one_machine_at_a_time_writes_for_a_host(tmp_path: Path) -> None:
    location = Folder(tmp_path)
    owner.require(location, "one", "first", NOW)
    owner.require(location, "one", "first", NOW)
    owner.require(location, "other", "second", NOW)
    with pytest.raises(Conflict) as caught:
        owner.require(location, "one", "second", NOW)
    assert "2026-11-21 at 02:45 UTC" in caught.value.what
    assert "golive recover --take-over" in str(caught.value.hint)
    owner.claim(location, "one", "second", NOW)
    owner.require(location, "one", "second", NOW)
    with pytest.raises(Conflict):
        owner.require(location, "one", "first", NOW)


def test_a_fence_stays_and_counts_the_machines_that_took_over(tmp_path: Path) -> None:
    location = Folder(tmp_path / "backups")
    owner.require(location, "one", "first", NOW)
    assert owner.claim(location, "one", "second", NOW, fence=True).epoch == 2
    again = owner.claim(location, "one", "second", NOW + timedelta(hours=1))
    assert (again.epoch, again.fence, again.since) == (2, True, NOW)
    with pytest.raises(Fenced) as caught:
        owner.require(location, "one", "first", NOW)
    assert "golive standby --from" in str(caught.value.hint)
    with pytest.raises(Conflict) as rehearsal:
        owner.require(location, "one", "third", NOW)
    assert not isinstance(rehearsal.value, Fenced)
    assert owner.claim(location, "one", "first", NOW).fence
    with pytest.raises(Fenced):
        owner.require(location, "one", "second", NOW)

    (tmp_path / "key").write_bytes(b"key")
    guard = owner.Guard(tmp_path / "key", tmp_path / "machine")
    guard.require(location)  # it has no number yet, so nobody can have taken its place
    (tmp_path / "machine").write_text("first\n")
    guard.require(location)
    owner.claim(location, host_id(b"key"), "second", NOW)
    with pytest.raises(Conflict):
        guard.require(location)


def test_a_standby_is_known_for_a_day_and_its_host_is_heard_of(tmp_path: Path) -> None:
    location = Folder(tmp_path)
    assert owner.followers(location, "one", NOW) == []
    assert owner.heard(location, "one") is None
    second = owner.Follower("second", NOW.timestamp(), NOW.timestamp() - 60, ({"name": "a/b/db", "behind_bytes": 7},))
    owner.follow(location, "one", second)
    with location.put("host/one/standby/third") as file:  # of an earlier golive
        file.write(json.dumps({"at": NOW.isoformat()}).encode())
    third = owner.Follower("third", NOW.timestamp())
    assert owner.followers(location, "one", NOW + timedelta(hours=23)) == [third, second]
    assert owner.followers(location, "one", NOW + timedelta(hours=25)) == []
    owner.beat(location, "one", "first", NOW)
    assert owner.heard(location, "one") == NOW
    owner.follow_no_more(location, "one", "second")
    assert owner.followers(location, "one", NOW) == [third]
