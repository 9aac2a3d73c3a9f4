"""Replicas of the databases that golive runs: as many as the blueprint wants, made and looked after beside all else."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from golive.data import replica
from golive.data.postgres import Postgres
from golive.data.replica_plan import Lag, changes, following
from golive.errors import GoliveError
from golive.release import copies, reads, resources
from golive.release.host import Host
from golive.release.traffic import edge_config
from golive.state.records import Copy, Place

log = logging.getLogger("golive.replicas")
LOOKS = 150
"""Looks in a row at which a replica did not follow, after which it is made anew: five minutes."""
EVERY = 15.0
"""Seconds between two looks at replicas that are all well; others are looked at each time."""


def of(host: Host, place: Place, resource: str) -> list[Copy]:
    return [c for c in host.state.copies(place) if c.resource == resource and c.kind == "standby"]


async def primaries(host: Host, place: Place) -> dict[str, Postgres]:
    """The databases of the live release that golive runs."""
    app = host.state.app(place)
    if app is None or app.live is None:
        return {}
    found = await resources.declare(host, place, host.release_blueprint(place, app.live))
    return {name: store for name, store in found.items() if isinstance(store, Postgres)}


FIRST = timedelta(seconds=5)
"""Until a new one streams; later, it is found to when it is looked at."""


@dataclass
class Replicas:
    """Remembers how often each replica was missed, and when each environment is to be looked at again."""

    host: Host
    pause: float = EVERY
    """Seconds until something may be due."""
    _next: dict[Place, float] = field(default_factory=dict)
    _missed: dict[tuple[Place, str], int] = field(default_factory=lambda: defaultdict(int))

    def places(self) -> set[Place]:
        """Environments that have replicas or want some."""
        found = {copy.place for copy in self.host.state.copies() if copy.kind == "standby"}
        for app in self.host.state.apps():
            if app.live is not None:
                wanted = self.host.release_blueprint(app.place, app.live).resources.values()
                if any(resource.replicas for resource in wanted):
                    found.add(app.place)
        return found

    def due(self) -> list[Place]:
        """Those to look at now: not all is well there, or it was for a while."""
        now, found = time.monotonic(), self.places()
        waiting = {place: self._next[place] for place in found if place in self._next and self._is_well(place)}
        due = [place for place in found if waiting.get(place, 0.0) <= now]
        self._next |= dict.fromkeys(due, now + EVERY)
        self.pause = 2.0 if any(not self._is_well(place) for place in found) else EVERY
        return due

    def _is_well(self, place: Place) -> bool:
        """As many replicas serve as are wanted."""
        app = self.host.state.app(place)
        if app is None or app.live is None:
            return True
        found = self.host.release_blueprint(place, app.live).resources
        return all(
            len(reads.serving_replicas(self.host, place, name)) == len(of(self.host, place, name)) == each.replicas
            for name, each in found.items()
            if each.replicas
        )

    async def tick(self, place: Place) -> None:
        """Make what is missing, take away what is too much, look how far the others are. Errors are logged."""
        if self.host.copying(place).locked() or self.host.changing(place).locked():
            return
        before = self._serving(place)
        for name, primary in (await primaries(self.host, place)).items():
            try:
                await self._look(primary)
                async with self.host.copying(place):
                    await self._line_up(place, primary)
            except (GoliveError, OSError) as error:
                log.warning("replicas of %s of %s: %s", name, place, error)
        if self.host.opened is not None and self._serving(place) != before:
            await self.host.gateway.apply(edge_config(self.host))

    def _serving(self, place: Place) -> set[str]:
        return {endpoint for stream in reads.streams(self.host, place) for endpoint in map(str, stream.endpoints)}

    async def _look(self, primary: Postgres) -> None:
        place = Place(primary.place.app, primary.place.environment)
        known = [c for c in of(self.host, place, primary.name) if c.state == "ready"]
        if not known:
            return
        found = await self.host.offload.call(replica.lags, primary)
        for copy in known:
            lag = self.host.lags[place, copy.name] = found.get(copy.label, Lag("away"))
            missed = self._missed[place, copy.name] = (
                0 if lag.state in ("streaming", "catchup") else (self._missed[place, copy.name] + 1)
            )
            if missed == 1:
                await self.host.offload.call(replica.make_slot, primary, copy.label)
            if lag.state == "lost" or missed >= LOOKS:
                log.warning("%s of %s does not follow any more (%s); it is made anew", copy.name, place, lag.state)
                async with self.host.copying(place):
                    await copies.drop(self.host, copy)
                self._missed.pop((place, copy.name))

    async def _line_up(self, place: Place, primary: Postgres) -> None:
        there = {copy.label: copy for copy in of(self.host, place, primary.name)}
        missing, surplus = changes(primary.resource.replicas or 0, there)
        for name in surplus:
            await copies.drop(self.host, there[name])
            await self.host.offload.call(replica.drop_slot, primary, name)
            log.info("%s of %s taken away", there[name].name, place)
        for name in missing:
            await make(self.host, place, primary, name)


async def make(host: Host, place: Place, primary: Postgres, name: str) -> Copy:
    """A replica of that label, following. Half made, it is gone when this raises. Held: `host.copying(place)`."""
    row = next(r for r in host.state.resources(place) if r.name == primary.name)
    settings = following(primary.place.sockets("postgres", primary.name), primary.place.port, name)
    password = host.state.resource_password(row)
    copy = copies.declare(
        host, place, primary.name, name, "standby", actor="golive", origin=f"follows {primary.name}",
        settings=settings, password=password,
    )  # fmt: skip
    try:
        made = await copies.store(host, copy)
        if isinstance(made, Postgres):
            await host.offload.call(replica.drop_slot, primary, name)  # it may have lost what it should keep
            await host.offload.call(replica.make_slot, primary, name)
            await replica.clone(primary, made, name, lambda line: log.debug("%s", line))
        copy = await copies.settle(host, copy, "ready")
        await copies.start(host, copy)
    except BaseException:
        await asyncio.shield(copies.drop(host, copy))
        raise
    if await host.offload.call(replica.follows, primary, name, FIRST):
        host.lags[place, copy.name] = Lag("streaming")
    log.info("%s of %s follows %s", copy.name, place, primary.name)
    return copy


def view(host: Host, copy: Copy) -> dict[str, Any]:
    """How far it was behind at the last look, for `golive status`."""
    lag = host.lags.get((copy.place, copy.name))
    if lag is None:
        return {}
    return {"lag": {"state": lag.state, "bytes": lag.bytes, "seconds": round(lag.seconds, 3), "serves": lag.serves}}
