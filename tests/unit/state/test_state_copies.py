"""Copies of resources in the state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from state_rows import SHOP, open_state

from golive.secret import Secret
from golive.state.records import Copy, Place, ResourceRow

BRANCH = Copy(SHOP, "db@try", "db", "branch", "making", "live", {"fsync": "on"}, 5.0, "me", 9.0)


def test_a_copy_is_kept_changed_and_forgotten_with_its_resource(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    state.add_resource(ResourceRow(SHOP, "db@try", "postgres", "16", 20001, b""), Secret("x"))
    state.add_copy(BRANCH)
    state.add_copy(replace(BRANCH, place=Place("shop", "preview/x"), expires_at=None))
    assert state.copy(SHOP, "db@try") == BRANCH
    assert len(state.copies()) == 2
    state.set_copy(BRANCH, "ready", origin="a backup")
    assert state.copies(SHOP) == [replace(BRANCH, state="ready", origin="a backup")]
    state.set_copy(BRANCH, "kept")
    assert state.copies(SHOP) == [replace(BRANCH, state="kept", origin="a backup")]
    state.forget_copy(BRANCH)
    assert state.copies(SHOP) == []
    assert state.resources(SHOP) == []
    assert len(state.copies()) == 1
