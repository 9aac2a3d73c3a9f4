"""Another key for the state: everything sealed anew, killed at every step, by a passphrase."""

from __future__ import annotations

import base64
import json
import re
from importlib import resources
from pathlib import Path

import pytest
from state_rows import SHOP, add_release, open_state

from golive.errors import Locked, StateError
from golive.secret import Secret
from golive.state import keyfile
from golive.state.records import Maintenance, ResourceRow
from golive.state.rotation import SEALED, next_key
from golive.state.store import State
from golive.state.vault import Vault

VALUE = Secret("canary-7f3a91-value")
WORDS = Secret("correct horse battery staple")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyfile, "ARGON2", {"kdf": "argon2id", "iterations": 1, "lanes": 1, "memory_kib": 64})


def filled(folder: Path) -> State:
    """One of everything that is sealed."""
    state = open_state(folder)
    state._run("PRAGMA synchronous = OFF")
    state.remember_app(SHOP, "/src")
    state.set_variable(SHOP, "TOKEN", VALUE, "me")
    add_release(state, 1, environment={"TOKEN": VALUE.reveal()})
    state.add_resource(ResourceRow(SHOP, "db", "postgres", "16", 20001, b""), VALUE)
    state.set_maintenance(Maintenance(SHOP, 1.0, None, "me", VALUE, (), None, None, ()))
    return state


def whole(state: State) -> None:
    """Every value can be read."""
    assert state.variables(SHOP) == {"TOKEN": VALUE}
    assert state.release_environments(SHOP, 1) == {"web": {"TOKEN": VALUE}}
    assert state.resource_password(state.resources(SHOP)[0]) == VALUE
    found = state.maintenance(SHOP)
    assert found is not None
    assert found.token == VALUE


def rotate(state: State, folder: Path, passphrase: Secret | None = None) -> int:
    return state.rotate_key(next_key(folder / "key", passphrase), "me", "vault.rotate")


def sealed(state: State) -> list[bytes]:
    return [row[0] for table, column, _ in SEALED for row in state._all(f"SELECT {column} FROM {table}")]


def test_all_that_is_sealed_is_sealed_anew() -> None:
    schema = resources.files("golive.state").joinpath("schema.sql").read_text()
    tables = re.findall(r"CREATE TABLE (\w+) \((.*?)\) STRICT", schema, re.S)
    found = {(table, column) for table, body in tables for column in re.findall(r"(\w+) BLOB .*-- sealed", body)}
    assert found == {(table, column) for table, column, _ in SEALED}


def test_the_key_before_opens_nothing_and_nothing_it_sealed_is_left(tmp_path: Path) -> None:
    state = filled(tmp_path)
    old, before, host = (tmp_path / "key").read_bytes(), sealed(state), keyfile.host_id((tmp_path / "key").read_bytes())
    assert rotate(state, tmp_path) == 4
    whole(state)
    state.close()
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not [value for value in before if value in raw]
    assert old not in raw
    assert base64.b64encode(old) not in raw
    assert not (tmp_path / "key.next").exists()
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert keyfile.host_id((tmp_path / "key").read_bytes()) == host, "its backups stay its own"
    new = (tmp_path / "key").read_bytes()
    (tmp_path / "key").write_bytes(old)
    with pytest.raises(StateError, match="not the one that the state is sealed with"):
        open_state(tmp_path)
    (tmp_path / "key").write_bytes(new)
    again = open_state(tmp_path)
    whole(again)
    rotate(again, tmp_path)
    whole(again)
    again.close()


def test_what_was_read_before_is_opened_afterwards_until_the_next_change(tmp_path: Path) -> None:
    """As by who awaits something between the two."""
    state = filled(tmp_path)
    (row,) = state.resources(SHOP)
    rotate(state, tmp_path)
    assert state.resource_password(row) == VALUE
    rotate(state, tmp_path)
    with pytest.raises(StateError, match="cannot decrypt"):
        state.resource_password(row)
    state.close()


def test_what_follows_from_the_key_changes_with_it(tmp_path: Path) -> None:
    state = filled(tmp_path)
    before = state.derived("pass shop")
    assert before == state.derived("pass shop")
    rotate(state, tmp_path)
    assert state.derived("pass shop") != before
    state.close()


def test_the_audit_log_and_the_facts_name_the_key_and_no_more(tmp_path: Path) -> None:
    state = filled(tmp_path)
    before = state.vault_facts()
    rotate(state, tmp_path, WORDS)
    after = state.vault_facts()
    entry = state.audit_log()[0]
    assert (entry.actor, entry.action) == ("me", "vault.rotate")
    assert entry.detail == {"key": after.key, "before": before.key, "values": 4}
    assert (after.values, after.passphrase) == (4, {**keyfile.ARGON2})
    assert before.passphrase is None
    assert (after.since or 0) >= (before.since or 0) > 0
    state.close()


def test_a_value_that_cannot_be_opened_leaves_the_old_key_in_force(tmp_path: Path) -> None:
    state = filled(tmp_path)
    state._run("UPDATE resource SET password = x'00'")
    with pytest.raises(StateError, match="cannot decrypt shop/production resource db"):
        rotate(state, tmp_path)
    assert state.variables(SHOP) == {"TOKEN": VALUE}
    assert not (tmp_path / "key.next").exists()
    state.close()
    again = open_state(tmp_path)
    assert again.variables(SHOP) == {"TOKEN": VALUE}
    again.close()


# A passphrase


def test_a_passphrase_opens_the_key_and_nothing_else_does(tmp_path: Path) -> None:
    state = filled(tmp_path)
    key = state._vault._key
    rotate(state, tmp_path, WORDS)
    state.close()
    raw = (tmp_path / "key").read_bytes()
    assert WORDS.reveal().encode() not in raw
    assert "key" not in json.loads(raw)
    assert key not in base64.b64decode(json.loads(raw)["sealed"])
    files = tmp_path / "state.db", tmp_path / "key"
    with pytest.raises(Locked, match="a passphrase opens them"):
        State(*files)
    with pytest.raises(StateError, match="the passphrase does not open"):
        State(*files, lambda: Secret("another one altogether"))
    again = State(*files, lambda: WORDS)
    whole(again)
    assert again.passphrase() == WORDS
    rotate(again, tmp_path)
    again.close()
    plain = open_state(tmp_path)
    whole(plain)
    plain.close()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"id": "000000000000"}, "not the one"),
        ({"host": "another"}, "does not open"),
        ({"sealed": "AAAA"}, "does not open"),
        ({"sealed": "!"}, "damaged"),
        ({"passphrase": {"kdf": "rot13"}}, "cannot open the key with a passphrase"),
        ({"passphrase": {"memory_kib": 2**40}}, "cannot open the key with a passphrase"),
    ],
)
def test_a_changed_key_file_is_noticed(tmp_path: Path, change: dict[str, object], match: str) -> None:
    made = keyfile.make(bytes(32), "host", WORDS)
    kept, more = json.loads(made.encoded()), change.get("passphrase")
    kept |= {"passphrase": kept["passphrase"] | more} if isinstance(more, dict) else change
    (tmp_path / "key").write_text(json.dumps(kept))
    with pytest.raises(StateError, match=match) as caught:
        Vault.open_or_create(tmp_path / "key", may_create=False, sealed_by=made.id, ask=lambda: WORDS)
    assert caught.value.hint


@pytest.mark.parametrize("raw", [b"{", b"[1]" * 11, b'{"id": 1}', b'{"id": "a", "host": "b", "key": "AAAA"}'])
def test_what_is_no_key_file_is_said_to_be_damaged(raw: bytes) -> None:
    with pytest.raises(StateError, match="damaged"):
        keyfile.parse(raw, Path("key"))
