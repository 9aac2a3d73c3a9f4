"""A copy of the state for a bundle, and the key that opens just that copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from golive.errors import StateError
from golive.home import Home
from golive.release import host_bundle
from golive.release.host_bundle import _staged
from golive.secret import Secret
from golive.state.records import Place
from golive.state.rotation import next_key
from golive.state.store import State

SHOP = Place("shop", "production")


def opened(folder: Path) -> str:
    state = State(folder / "state.db", folder / "key")
    found = state.variables(SHOP)["TOKEN"].reveal()
    state.close()
    return found


def test_it_is_the_one_that_the_copy_is_sealed_with_also_in_the_middle_of_a_change(tmp_path: Path) -> None:
    home = Home(tmp_path)
    state = State(home.state, home.key)
    state.set_variable(SHOP, "TOKEN", Secret("kept"), "me")
    with _staged(home) as before:
        assert opened(before) == "kept"
    old = home.key.read_bytes()
    state.rotate_key(next_key(home.key, None), "me", "vault.rotate")
    new = home.key.read_bytes()
    (tmp_path / "key.next").write_bytes(new)  # as it is between the commit and the last rename
    home.key.write_bytes(old)
    with _staged(home) as between:
        assert opened(between) == "kept"
        assert not (between / "key.next").exists()
    (tmp_path / "key.next").unlink()
    with pytest.raises(StateError, match="cannot be copied"), _staged(home):
        pass
    state.close()


def test_it_is_changed_for_the_first_time_right_after_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a home of before keys had names, whose state names none."""
    home = Home(tmp_path)
    state = State(home.state, home.key)
    state.set_variable(SHOP, "TOKEN", Secret("kept"), "me")
    state._run("DELETE FROM vault")
    real = host_bundle._snapshot

    def snapshot(source: Path, target: Path) -> None:
        real(source, target)
        state.rotate_key(next_key(home.key, None), "me", "vault.rotate")

    monkeypatch.setattr(host_bundle, "_snapshot", snapshot)
    with _staged(home) as copy:
        assert opened(copy) == "kept"
    state.close()
