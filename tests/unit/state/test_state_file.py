"""The file of the state and its key: modes, versions, damage, and what stands in it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from state_rows import SHOP, add_release, open_state

from golive.errors import StateError
from golive.secret import Secret
from golive.state.database import VERSION, _hint
from golive.state.records import ResourceRow
from golive.state.store import State
from golive.state.vault import Vault

CANARY = "canary-7f3a91-value"


def sealed(folder: Path) -> None:
    """A state that holds one of everything that is sealed."""
    state = open_state(folder)
    state.remember_app(SHOP, "/src")
    state.set_variable(SHOP, "TOKEN", Secret(CANARY), "me")
    add_release(state, 1, environment={"TOKEN": CANARY})
    add_release(state, 2, environment={"TOKEN": CANARY + "2"})
    state.add_resource(ResourceRow(SHOP, "db", "postgres", "16", 20001, b""), Secret(CANARY))
    state.close()


def test_files_belong_to_their_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        state = open_state(tmp_path)
        state.remember_app(SHOP, "/src")
        found = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        state.close()
    finally:
        os.umask(before)
    assert found == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600, "key": 0o600}


def test_a_state_that_was_put_back_is_closed_to_others_again(tmp_path: Path) -> None:
    sealed(tmp_path)
    (tmp_path / "state.db").chmod(0o644)
    open_state(tmp_path).close()
    assert (tmp_path / "state.db").stat().st_mode & 0o777 == 0o600


def test_no_secret_stands_in_the_file(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    state.set_variable(SHOP, "TOKEN", Secret(CANARY), "me")
    add_release(state, 1, environment={"TOKEN": CANARY})
    state.add_resource(ResourceRow(SHOP, "db", "postgres", "16", 20001, b""), Secret(CANARY))
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"TOKEN" in raw
    assert CANARY.encode() not in raw
    assert state.variables(SHOP) == {"TOKEN": Secret(CANARY)}
    assert state.release_environments(SHOP, 1) == {"web": {"TOKEN": Secret(CANARY)}}
    assert state.resource_password(state.resources(SHOP)[0]) == Secret(CANARY)
    state.close()


def test_what_was_written_is_there_after_opening_again(tmp_path: Path) -> None:
    sealed(tmp_path)
    state = open_state(tmp_path)
    assert state.variables(SHOP) == {"TOKEN": Secret(CANARY)}
    state.close()


def test_two_handles_see_each_other(tmp_path: Path) -> None:
    one, two = open_state(tmp_path), open_state(tmp_path)
    one.remember_app(SHOP, "/src")
    assert two.app(SHOP) == one.app(SHOP)
    one.set_variable(SHOP, "A", Secret("value"), "me")
    assert two.variables(SHOP) == {"A": Secret("value")}
    one.close()
    two.close()


def test_a_state_of_another_key_says_so(tmp_path: Path) -> None:
    sealed(tmp_path)
    (tmp_path / "key").write_bytes(bytes(32))
    with pytest.raises(StateError, match="not the one that the state is sealed with") as caught:
        open_state(tmp_path)
    assert CANARY not in str(caught.value.to_json())
    change(tmp_path, "DELETE FROM vault")  # as an older golive left it
    state = open_state(tmp_path)
    with pytest.raises(StateError, match="cannot decrypt shop/production variable TOKEN") as caught:
        state.variables(SHOP)
    assert "not the one that sealed it" in (caught.value.why or "")
    assert CANARY not in str(caught.value.to_json())
    state.close()


def test_a_missing_key_is_made_only_while_nothing_is_sealed(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    state.remember_app(SHOP, "/src")
    state.close()
    (tmp_path / "key").unlink()
    open_state(tmp_path).close()
    assert len((tmp_path / "key").read_bytes()) == 32

    sealed(tmp_path)
    (tmp_path / "key").unlink()
    with pytest.raises(StateError, match=r"key .* is missing"):
        open_state(tmp_path)
    assert not (tmp_path / "key").exists()


def test_a_damaged_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(StateError, match="damaged"):
        open_state(tmp_path)


def test_a_key_that_cannot_be_read_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    with pytest.raises(StateError, match="cannot be used"):
        open_state(tmp_path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE variable SET name = 'OTHER'",
        "UPDATE variable SET environment = 'staging'",
        "UPDATE variable SET value = substr(value, 1, length(value) - 1)",
        "UPDATE variable SET value = x'00'",
        "UPDATE variable SET value = x''",
        "UPDATE variable SET value = zeroblob(64)",
    ],
)
def test_a_changed_or_moved_variable_is_noticed(tmp_path: Path, statement: str) -> None:
    sealed(tmp_path)
    change(tmp_path, statement)
    state = open_state(tmp_path)
    with pytest.raises(StateError, match="cannot decrypt"):
        [state.variables(app) for app in (SHOP, SHOP._replace(environment="staging"))]
    state.close()


def test_snapshots_of_two_releases_cannot_be_swapped(tmp_path: Path) -> None:
    sealed(tmp_path)
    change(tmp_path, "UPDATE release SET environments = (SELECT environments FROM release r WHERE r.number = 1)")
    state = open_state(tmp_path)
    assert state.release_environments(SHOP, 1)
    with pytest.raises(StateError, match="cannot decrypt shop/production release 2"):
        state.release_environments(SHOP, 2)
    state.close()


def test_a_password_cannot_pass_for_a_variable(tmp_path: Path) -> None:
    sealed(tmp_path)
    change(tmp_path, "UPDATE variable SET value = (SELECT password FROM resource)")
    state = open_state(tmp_path)
    with pytest.raises(StateError, match="cannot decrypt"):
        state.variables(SHOP)
    state.close()


def test_the_same_value_is_never_sealed_to_the_same_bytes() -> None:
    vault = Vault(bytes(32))
    assert vault.seal(Secret("x"), "c") != vault.seal(Secret("x"), "c")
    assert vault.unseal(vault.seal(Secret(""), "c"), "c") == Secret("")
    assert vault.unseal(vault.seal(Secret("ünï\0"), "c"), "c") == Secret("ünï\0")


def test_a_newer_state_is_refused_and_not_touched(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "state.db")
    db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    before = (tmp_path / "state.db").read_bytes()
    with pytest.raises(StateError, match="newer golive") as caught:
        open_state(tmp_path)
    assert "upgrade golive" in (caught.value.hint or "")
    assert (tmp_path / "state.db").read_bytes() == before
    assert not (tmp_path / "key").exists()


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StateError, match="cannot use") as caught:
        open_state(tmp_path)
    assert "start afresh" in (caught.value.hint or "")
    assert (tmp_path / "state.db").read_bytes() == b"not a database at all" * 100


def test_pages_that_are_damaged_are_an_error_of_ours(tmp_path: Path) -> None:
    sealed(tmp_path)
    path = tmp_path / "state.db"
    raw = bytearray(path.read_bytes())
    raw[4096:] = os.urandom(len(raw) - 4096)
    path.write_bytes(raw)
    with pytest.raises(StateError):
        state = open_state(tmp_path)
        try:
            state.apps()
            state.variables(SHOP)
        finally:
            state.close()


def test_a_full_disk_takes_a_transaction_back_and_loses_nothing(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    state.remember_app(SHOP, "/src")
    pages = state._db.execute("PRAGMA page_count").fetchone()[0]
    state._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StateError) as caught, state.transaction():
        state.set_scale(SHOP, "web", 2)
        for number in range(1000):
            state.set_variable(SHOP, f"V{number}", Secret("x" * 4000), "me")
    assert "free some disk space" in (caught.value.hint or "")
    assert state.variables(SHOP) == {}
    assert state.scale(SHOP, "web") is None
    state._db.execute(f"PRAGMA max_page_count = {pages * 100}")
    with state.transaction():
        state.set_variable(SHOP, "A", Secret("value"), "me")
    assert state.variables(SHOP) == {"A": Secret("value")}
    state.close()


def test_another_writer_that_holds_it_is_said(tmp_path: Path) -> None:
    state, other = open_state(tmp_path), sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    state._db.execute("PRAGMA busy_timeout = 1")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StateError, match="cannot be used") as caught:
        state.remember_app(SHOP, "/src")
    assert "locked" in (caught.value.why or "")
    with pytest.raises(StateError, match="cannot be used"), state.transaction():
        pass
    other.execute("ROLLBACK")
    with state.transaction():
        state.remember_app(SHOP, "/src")
    other.close()
    state.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StateError, match="cannot use") as caught:
            open_state(tmp_path)
    finally:
        tmp_path.chmod(0o700)
    assert "writable" in (caught.value.hint or "")


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot use"):
        State(tmp_path / "away" / "state.db", tmp_path / "key")


@pytest.mark.parametrize(
    ("why", "hint"),
    [
        ("attempt to write a readonly database", "writable"),
        ("[Errno 30] Read-only file system: 'x'", "writable"),
        ("[Errno 13] Permission denied: 'x'", "writable"),
        ("database or disk is full", "disk space"),
        ("[Errno 28] No space left on device", "disk space"),
        ("database disk image is malformed", "start afresh"),
        ("database is locked", "try again"),
    ],
)
def test_each_fault_has_a_next_step(why: str, hint: str) -> None:
    assert hint in _hint(why)


def change(folder: Path, statement: str) -> None:
    db = sqlite3.connect(folder / "state.db")
    with db:
        db.execute(statement)
    db.close()


def test_a_value_for_all_previews_holds_in_each_until_one_has_its_own(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    all_, one, other = (SHOP._replace(environment=name) for name in ("preview", "preview/a", "preview/b"))
    state.set_variable(all_, "A", Secret("all"), "me")
    state.set_variable(all_, "B", Secret("all"), "me")
    state.set_variable(one, "A", Secret("one"), "me")
    assert state.variables(one) == {"A": Secret("one"), "B": Secret("all")}
    assert state.variables(other) == state.variables(all_) == {"A": Secret("all"), "B": Secret("all")}
    assert state.own_variables(one) == {"A": Secret("one")}
    assert state.own_variables(other) == state.variables(SHOP) == {}
    state.close()
