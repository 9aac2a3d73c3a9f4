"""A store that golive runs: what the release and the supervisor need of one, whatever the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from golive.blueprint.models import Resource
from golive.data.place import Placement
from golive.engines import Engine
from golive.errors import ResourceFailed
from golive.secret import Secret
from golive.system.processes import Spec

Variables = Mapping[str, str | Secret]
"""Parts of a connection: url, host, port, name, user, password, direct_url (past a pool), replica_url (reads)."""


@dataclass(frozen=True)
class Report:
    """A store that answered: its version, a round trip in milliseconds, and limits and use in words.

    `pooled`: through a pooler, where session state (advisory locks, LISTEN, prepared statements) does not hold.
    """

    version: str
    latency_ms: float
    details: Mapping[str, str] = field(default_factory=dict)
    pooled: bool = False


class Store(Protocol):
    """In this order: prepare, before_start, start `spec()`, ready, provision; then check as often as you like.

    Every step may be repeated and raises ResourceFailed with what, why and a hint, never with a secret.
    """

    @property
    def name(self) -> str:
        """The resource's."""

    @property
    def engine(self) -> Engine:
        """The programs it runs by."""

    @property
    def stop_signal(self) -> int:
        """The signal of an orderly stop."""

    @property
    def stop_grace(self) -> timedelta:
        """How long an orderly stop may take before SIGKILL (which loses nothing committed, but means recovery)."""

    async def prepare(self) -> None:
        """Folders, the data directory, configuration. Does not need the engine to run, nor to be stopped."""

    async def before_start(self) -> None:
        """Call before every start, restarts too: ends what an earlier, killed server left behind. At most 40 s."""

    def spec(self) -> Spec:
        """How to start it."""

    async def ready(self, timeout: timedelta = timedelta(seconds=60)) -> None:
        """Returns when it takes connections; a recovery after a kill counts in."""

    async def provision(self) -> None:
        """Accounts, database, extensions, limits: as the blueprint has them now."""

    def variables(self) -> Variables:
        """What the app needs to connect."""

    async def check(self) -> Report:
        """A real query with the app's own credentials."""


def store_for(resource: Resource, name: str, *, place: Placement, engine: Engine, password: Secret) -> Store:
    """The store of a resource golive runs. ResourceFailed when the placement cannot work."""
    from golive.data.postgres import Postgres
    from golive.data.redis import Redis

    if resource.engine != engine.name:
        raise ResourceFailed(f"{name} is {resource.engine}, but the engine is {engine.name}", where=name)
    if resource.engine == "postgres":
        return Postgres(resource, name, place, engine, password)
    return Redis(resource, name, place, engine, password)
