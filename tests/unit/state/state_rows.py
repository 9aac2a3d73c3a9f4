"""Rows to fill a state with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from golive.secret import Secret
from golive.state.records import Generation, GenerationState, Place, Release
from golive.state.store import State

SHOP = Place("shop", "production")


def open_state(folder: Path) -> State:
    return State(folder / "state.db", folder / "key")


def release(number: int = 1, place: Place = SHOP, *, state: str = "making", blueprint: str = "{}") -> Release:
    return Release(place, number, state, blueprint, {"web": f"artifact{number}"}, None, 1000.0 + number, "me@host")


def add_release(
    state: State, number: int = 1, place: Place = SHOP, environment: Mapping[str, str] | None = None
) -> None:
    values = {name: Secret(value) for name, value in (environment or {}).items()}
    state.add_release(release(number, place), {"web": values})


def generation(
    state: State,
    place: Place = SHOP,
    service: str = "web",
    *,
    to: GenerationState = GenerationState.LIVE,
    deployment: int = 1,
) -> Generation:
    made = state.add_generation(place, service, 1, deployment, "print")
    state.set_generation(made.id, to)
    return state.generation(made.id)
