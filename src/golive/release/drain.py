"""What a deployment leaves behind: old generations that drain, then stay warm for a rollback, then end.

The command does not wait for this; the daemon looks after it, also after its own death.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from datetime import timedelta

from golive.blueprint.models import ServiceKind
from golive.release.host import Host
from golive.release.instances import stop_generation
from golive.release.traffic import edge_config, in_flight
from golive.state.records import Generation, GenerationState, Place
from golive.units import human_duration

log = logging.getLogger("golive.drain")
SETTLE = 0.6
"""Seconds that in-flight must read zero: a worker thread of Envoy may still hand a request to the old cluster for some
milliseconds after the new routes are in force."""


@dataclass
class Drain:
    """Looks after draining and warm generations. `tick` is called now and then; more often while something drains."""

    host: Host
    _idle_since: dict[int, float] = field(default_factory=dict)
    _stopping: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    async def tick(self) -> bool:
        """One look at all of them. True while something still drains."""
        states = (GenerationState.DRAINING, GenerationState.WARM)
        generations = [g for g in self.host.state.generations(None, states) if g.id not in self._stopping]
        over = [g for g in generations if await self._is_over(g)]
        # Asking took a while, in which a deployment may have claimed one of them or brought it back.
        ended = [g for g in over if self._is_unchanged(g)]
        stop = [g for g in ended if self._next(g) is GenerationState.STOPPED]
        for generation in ended:
            if generation not in stop:
                self._keep_warm(generation)
        stop += self._surplus({g.place for g in generations})
        if ended or stop:
            for generation in stop:
                self.host.state.set_generation(generation.id, GenerationState.WARM, warm_until=0)
            await self.host.gateway.apply(edge_config(self.host))
            for generation in stop:
                self._stop(generation)
        return any(g.state is GenerationState.DRAINING for g in self.host.state.generations(None, states))

    def _is_unchanged(self, generation: Generation) -> bool:
        now = self.host.state.generations(generation.place, (generation.state,))
        trial = self.host.trials.get(generation.place)
        tried = {g.id for g in trial.generations.values()} if trial else set()
        return generation in now and generation.id not in self.host.claimed | tried

    def _stop(self, generation: Generation) -> None:
        """Beside the ticks: one that takes its time to end must not hold up what drains elsewhere."""
        self._idle_since.pop(generation.id, None)
        task = self._stopping[generation.id] = asyncio.create_task(stop_generation(self.host, generation))
        task.add_done_callback(lambda done: self._stopped(generation, done))

    def _stopped(self, generation: Generation, task: asyncio.Task[None]) -> None:
        del self._stopping[generation.id]
        if not task.cancelled() and (error := task.exception()):
            log.error("stopping %s; it is tried again", generation.upstream, exc_info=error)

    async def settled(self) -> None:
        """Until what was told to stop has ended."""
        await asyncio.gather(*self._stopping.values(), return_exceptions=True)

    async def _is_over(self, generation: Generation) -> bool:
        now = time.time()
        if generation.state is GenerationState.WARM:
            return now >= (generation.warm_until or 0)
        return now >= (generation.drain_until or 0) or not await self._is_busy(generation)

    async def _is_busy(self, generation: Generation) -> bool:
        service = self.host.blueprint(generation).services[generation.service]
        if service.kind is not ServiceKind.WEB or not service.route:
            return False
        busy = await in_flight(self.host, generation)
        now = time.monotonic()
        if busy:
            self._idle_since.pop(generation.id, None)
            return True
        return now - self._idle_since.setdefault(generation.id, now) < SETTLE

    def _next(self, generation: Generation) -> GenerationState:
        """Warm when it may come back; workers and what cannot overlap must not run beside their successor."""
        service = self.host.blueprint(generation).services[generation.service]
        may_wait = service.kind in (ServiceKind.WEB, ServiceKind.STATIC) and service.overlap
        if generation.state is GenerationState.WARM or not may_wait:
            return GenerationState.STOPPED
        drained_in_time = time.time() < (generation.drain_until or 0)
        if not drained_in_time and service.kind is ServiceKind.WEB:
            return GenerationState.STOPPED
        return GenerationState.WARM if time.time() < (generation.warm_until or 0) else GenerationState.STOPPED

    def _keep_warm(self, generation: Generation) -> None:
        self._idle_since.pop(generation.id, None)
        self.host.state.set_generation(generation.id, GenerationState.WARM, warm_until=generation.warm_until)

    def _surplus(self, places: set[Place]) -> list[Generation]:
        """One warm generation per service is enough for a rollback: the newest."""
        surplus = []
        for place in places:
            newest: dict[str, Generation] = {}
            for generation in self.host.state.generations(place, (GenerationState.WARM,)):
                if generation.id in self._stopping or not generation.warm_until:
                    continue
                if older := newest.get(generation.service):
                    surplus.append(older)
                newest[generation.service] = generation
        return [g for g in surplus if g.id not in self.host.claimed]


def still_open(host: Host, place: Place, limit: timedelta) -> str:
    """In words, what a deployment has left to drain; "" when nothing is."""
    draining = host.state.generations(place, (GenerationState.DRAINING,))
    if not draining:
        return ""
    names = ", ".join(sorted({generation.service for generation in draining}))
    return f"{names}: open requests end on the old instances, {human_duration(limit.total_seconds())} at most"
