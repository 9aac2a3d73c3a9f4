"""Maintenance, suspension and shares of visitors in the state, and a file of the version before they were there."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

from state_rows import SHOP, open_state

from golive.secret import Secret
from golive.state.database import VERSION
from golive.state.records import Maintenance, Place, Shift
from golive.state.upgrades import UPGRADES

OTHER = Place("shop", "preview/x")
TOKEN = "canary-of-a-pass"
CLOSED = Maintenance(SHOP, 1000.0, 2000.0, "me@host", Secret(TOKEN), ("api",), "Back soon", "<p>", ("10.0.0.0/8",))


def test_maintenance_is_kept_replaced_and_ended(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    assert state.maintenance(SHOP) is None
    state.set_maintenance(CLOSED)
    state.set_maintenance(replace(CLOSED, place=OTHER, until=None))
    assert state.maintenance(SHOP) == CLOSED
    assert state.next_maintenance_end() == 2000.0
    state.set_maintenance(replace(CLOSED, services=()))
    assert [m.services for m in state.maintenances() if m.place == SHOP] == [()]
    assert state.end_maintenance(SHOP)
    assert not state.end_maintenance(SHOP)
    assert [m.place for m in state.maintenances()] == [OTHER]
    assert state.next_maintenance_end() is None


def test_the_pass_is_sealed(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    state.set_maintenance(CLOSED)
    assert TOKEN.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert TOKEN not in repr(state.maintenance(SHOP))


def test_a_service_is_suspended_until_it_is_resumed(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    state.suspend(SHOP, "worker", "me")
    since = state.suspended(SHOP)["worker"]
    state.suspend(SHOP, "worker", "somebody")
    assert state.suspended(SHOP) == {"worker": since}
    assert state.suspended(OTHER) == {}
    state.resume(SHOP, "worker")
    assert state.suspended(SHOP) == {}


def test_both_are_forgotten_with_their_app(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    for place in (SHOP, OTHER):
        state.set_maintenance(replace(CLOSED, place=place))
        state.suspend(place, "worker", "me")
    state.forget_app(SHOP)
    assert state.maintenance(SHOP) is None
    assert state.suspended(SHOP) == {}
    assert state.maintenance(OTHER)
    assert state.suspended(OTHER)


def test_a_file_of_the_first_version_is_brought_up_to_this_one(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    old = sqlite3.connect(tmp_path / "old" / "state.db")
    old.executescript(Path(__file__).with_name("schema_1.sql").read_text() + "PRAGMA user_version = 1;")
    old.execute("INSERT INTO app VALUES ('shop', 'production', '/src', NULL, 1.0)")
    old.commit()
    for version in (1, 2, 3):
        old.executescript(UPGRADES[version] + f"PRAGMA user_version = {version + 1};")
    old.execute("INSERT INTO backup_run VALUES (7, 'shop', 'production', 'db', 'drill', 1.0, 2.0, NULL, '{}')")
    old.commit()
    old.close()
    state = open_state(tmp_path / "old")
    assert [app.checkout for app in state.apps()] == ["/src"]
    state.suspend(SHOP, "worker", "me")
    assert [run.id for run in state.backup_runs(SHOP, "db", "drill")] == [7]
    assert state.begin_backup_run(SHOP, "db", "verify") == 8
    state.close()
    open_state(tmp_path / "new").close()
    assert _tables(tmp_path / "old") == _tables(tmp_path / "new")


def _tables(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Table → its columns, as SQLite knows them; and the version."""
    db = sqlite3.connect(folder / "state.db")
    names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    found: dict[str, list[tuple[object, ...]]] = {n: list(db.execute(f"PRAGMA table_info({n})")) for n in names}
    version = db.execute("PRAGMA user_version").fetchone()
    db.close()
    assert version == (VERSION,)
    return found


def test_shifts_are_kept_by_service_and_go_with_the_app(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    state.remember_app(SHOP, "/src")
    first, second = Shift(SHOP, "next", "web", 0, 20, 100.0), Shift(SHOP, "next", "web", 20, 100, 200.0, 300.0)
    state.set_shift(first)
    assert (state.shifts(SHOP), state.shifts()) == ([first], [first])
    state.set_shift(second)
    assert state.shifts(SHOP) == [second]
    assert state.shifts(SHOP._replace(environment="staging")) == []
    state.forget_app(SHOP)
    assert state.shifts() == []
    state.close()
