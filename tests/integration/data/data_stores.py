"""Stores for tests."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace

from golive.blueprint.models import Resource
from golive.data import Placement, Store, store_for
from golive.engines import Engine
from golive.secret import Secret
from golive.system.processes import Process

Running = Callable[[Store], Awaitable[Process]]


def make(place: Placement, engine: Engine, resource: Resource, name: str = "db") -> Store:
    return store_for(resource, name, place=place, engine=engine, password=Secret(secrets.token_urlsafe(24)))


def again(store: Store, **changes: object) -> Store:
    """The same store after a change of golive.toml: same place, same password."""
    return replace(store, **changes)  # type: ignore[type-var]
