"""A replica becomes the primary: docs/decisions/0018. Which data folder has a `standby.signal` says how far it came."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from golive.data import replica
from golive.data.pool_plan import pool_name
from golive.data.postgres import Postgres
from golive.data.replica_plan import Lag
from golive.errors import Conflict, GoliveError, NotFound, ResourceFailed
from golive.release import copies, databases, pools, replicas, resources
from golive.release.host import Host
from golive.release.traffic import edge_config
from golive.state.records import Copy, Place
from golive.supervise.unit import Status
from golive.system.files import exchange

log = logging.getLogger("golive.promotion")
Say = Callable[[str], None]
REJOIN = timedelta(seconds=30)
PAUSE = 10.0
"""Seconds that a pool may take to come to rest; then the primary is stopped all the same."""


@dataclass
class Promotion:
    """One promotion. `force`: the old primary is kept whatever its end says, and not made to follow."""

    host: Host
    place: Place
    primary: Postgres
    copy: Copy
    standby: Postgres
    say: Say
    force: bool = False

    async def run(self) -> dict[str, Any]:
        began = time.monotonic()
        async with self._held_by_the_pool():
            self.host.state.set_copy(self.copy, "changing")
            self.host.lags.pop((self.place, self.copy.name), None)
            stopped = time.monotonic()
            try:
                planned = await self._hand_over()
            except BaseException:
                await asyncio.shield(self._take_back())
                raise
            # From here on the standby is the database, and there is no way back but another promotion.
            await asyncio.shield(_exchange(self.host, self.copy, self.primary, self.standby))
            await resources.keep_running(self.host, self.place, self.primary.name, self.primary)
            await databases.bring_up(self.host.offload, self.primary, resources.READY)
            away = time.monotonic() - stopped
        self.say(f"{self.primary.name} takes writes again, after {away:.1f} s")
        kept = await self._rejoin() if planned else await self._keep_old()
        return {
            "resource": self.primary.name,
            "promoted": self.copy.name,
            "seconds_away": round(away, 3),
            "seconds": round(time.monotonic() - began, 3),
            "kept": kept,
        }

    @asynccontextmanager
    async def _held_by_the_pool(self) -> AsyncIterator[None]:
        """Clients of a pool wait meanwhile, and notice nothing but that."""
        order = pools.orders(self.host, self.place, self.primary)
        if order is None:
            yield
            return
        try:
            async with asyncio.timeout(PAUSE):
                await order("PAUSE")
            self.say(f"{pool_name(self.primary.name)} holds its clients")
        except (TimeoutError, GoliveError):
            self.say("the pool did not come to rest: transactions that are open now are cut off")
        try:
            yield
        finally:
            try:
                await order("RESUME")
            except GoliveError as error:  # not paused
                log.info("%s: %s", self.copy.name, error)

    async def _hand_over(self) -> bool:
        """Whether the old primary ended in order, so that the other has all it had."""
        slots = await self.host.offload.call(replica.backup_slots, self.primary)
        self.say(f"{self.primary.name} is stopped")
        await resources.stop(self.host, self.place, self.primary.name)
        end = await replica.ended_at(self.primary) if self.primary.data.exists() else None
        if self.primary.data.exists():
            await replica.fence(self.primary)
        at = await self.host.offload.call(replica.catch_up, self.standby, end)
        self.say(f"{self.copy.name} has replayed all it received, to {at >> 32:X}/{at & 0xFFFFFFFF:X}")
        await self.host.offload.call(replica.take_over_slots, self.standby, slots)
        await self.host.offload.call(replica.promote, self.standby)
        return end is not None and not self.force

    async def _take_back(self) -> None:
        """Before the promotion: the primary runs again, as if nothing had been."""
        if replica.is_fenced(self.standby.data):
            await replica.unfence(self.primary)
            self.host.state.set_copy(self.copy, "ready")
            await resources.keep_running(self.host, self.place, self.primary.name, self.primary)

    async def _rejoin(self) -> str:
        """The old primary follows; it has nothing that the new one has not."""
        copy = await copies.settle(self.host, self.copy, "ready")
        try:
            await self.host.offload.call(replica.make_slot, self.primary, copy.label)
            await copies.start(self.host, copy)
            if await self.host.offload.call(replica.follows, self.primary, copy.label, REJOIN):
                self.say(f"{copy.name} is the old primary, and follows")
                self.host.lags[self.place, copy.name] = Lag("streaming")
                await self.host.offload.call(replica.give_up_slots, self.standby)
                return copy.name
        except GoliveError as error:
            log.warning("%s: %s", copy.name, error)
        self.say(f"{copy.name} does not follow; it is made anew")
        await copies.drop(self.host, copy)
        return copy.name

    async def _keep_old(self) -> str:
        """What the old primary had and nobody else has stays, as a stopped copy; a replica is made anew beside."""
        label = time.strftime("before-%m%d-%H%M%S", time.gmtime())
        origin = f"the primary before {self.copy.name} took its place; it may have writes that nobody else has"
        kept = copies.declare(
            self.host, self.place, self.primary.name, label, "replaced", actor="golive", origin=origin
        )
        folder = self.host.home.resource(*self.place, kept.name)
        await asyncio.to_thread(folder.mkdir, 0o711, exist_ok=True)
        if self.standby.data.exists():
            await asyncio.to_thread(self.standby.data.rename, folder / "data")
        await copies.settle(self.host, kept, "kept")
        await copies.drop(self.host, self.copy)
        self.say(f"the old primary may hold writes that the new one has not: it is kept, stopped, as {kept.name}")
        return kept.name


async def promote(
    host: Host, place: Place, chosen: tuple[str | None, str | None], say: Say, *, force: bool = False
) -> dict[str, Any]:
    """`chosen` are the resource and the replica, where somebody chose. As JSON: how long nobody could write.

    NotFound without a replica; Conflict while something else changes the environment, or when the replica does not
    follow a primary that is well."""
    if host.changing(place).locked():
        raise Conflict(f"something else changes {place} now", hint="wait for it (golive status), then try again")
    async with host.changing(place), host.copying(place):
        primary, copy = await _choose(host, place, *chosen)
        standby = await copies.store(host, copy)
        if not isinstance(standby, Postgres):
            raise NotFound(f"{copy.name} is no PostgreSQL")
        if not force:
            await _require_following(host, place, primary, copy)
        result = await Promotion(host, place, primary, copy, standby, say, force).run()
    if host.opened is not None:
        await host.gateway.apply(edge_config(host))
    return result


async def _choose(host: Host, place: Place, resource: str | None, wanted: str | None) -> tuple[Postgres, Copy]:
    found = await replicas.primaries(host, place)
    if resource is not None and resource not in found:
        raise NotFound(
            f"{place} has no PostgreSQL {resource!r} of golive's", hint=f"it has {', '.join(found) or 'none'}"
        )
    names = [resource] if resource else list(found)
    ready = [c for name in names for c in replicas.of(host, place, name) if c.state == "ready"]
    if wanted is not None:
        ready = [c for c in ready if wanted in (c.name, c.label)]
    if not ready:
        what = f"{wanted} is no replica of {place}" if wanted else f"{place} has no replica that could take over"
        raise NotFound(what, hint="`replicas = 1` in golive.toml makes one; golive status shows how far they are")
    best = min(ready, key=lambda c: host.lags.get((place, c.name), Lag("away")).bytes)
    return found[best.resource], best


async def _require_following(host: Host, place: Place, primary: Postgres, copy: Copy) -> None:
    """A primary that is well is not given up for a replica that lacks what it has."""
    state = host.supervisor.state(resources.unit_name(place, primary.name))
    if state is None or state.status is not Status.READY:
        return
    try:
        lag = (await host.offload.call(replica.lags, primary)).get(copy.label, Lag("away"))
    except ResourceFailed:
        return
    if not lag.serves:
        raise Conflict(
            f"{copy.name} does not follow {primary.name} closely enough ({lag.state}, {lag.seconds:.0f} s behind)",
            why=f"{primary.name} is well, and what it has more would be lost",
            hint="wait until golive status shows it streaming; --force promotes it all the same and keeps the other",
        )


async def _exchange(host: Host, copy: Copy, primary: Postgres, standby: Postgres) -> None:
    """The promoted data becomes the resource's. The old one keeps its `standby.signal`."""
    await resources.stop(host, copy.place, primary.name)
    await copies.stop(host, copy)
    for store in (primary, standby):
        await store.before_start()  # whoever else runs on these folders
    if primary.data.exists():
        await asyncio.to_thread(exchange, primary.data, standby.data)
    else:
        await asyncio.to_thread(standby.data.rename, primary.data)


async def settle_interrupted(host: Host) -> None:
    """At the daemon's start, before any database is started: a promotion that was cut off is undone or finished."""
    for copy in host.state.copies():
        if copy.kind == "standby" and copy.state == "changing":
            try:
                await _settle(host, copy)
            except (GoliveError, OSError) as error:
                log.warning("the promotion of %s of %s: %s", copy.name, copy.place, error)


async def _settle(host: Host, copy: Copy) -> None:
    primary = (await replicas.primaries(host, copy.place)).get(copy.resource)
    standby = await copies.store(host, copy)
    if primary is None or not isinstance(standby, Postgres):
        return
    if standby.data.exists() and not replica.is_fenced(standby.data):
        await _exchange(host, copy, primary, standby)
        log.info("the promotion of %s of %s was finished", copy.name, copy.place)
    elif replica.is_fenced(primary.data):
        await resources.stop(host, copy.place, primary.name)
        await replica.unfence(primary)
        log.info("the promotion of %s of %s was undone", copy.name, copy.place)
    if standby.data.exists():
        await copies.settle(host, copy, "ready")
    else:
        await copies.drop(host, copy)
