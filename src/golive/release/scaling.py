"""More and fewer instances of what is live: by hand, and by the CPU that the instances use (SCL-1)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil

from golive.blueprint.models import Service, ServiceKind
from golive.errors import Conflict, NotFound, StartFailed, UsageError
from golive.release.desired import instances_wanted
from golive.release.host import Host
from golive.release.instances import start_instances, stop_instance, wait_ready
from golive.release.traffic import edge_config
from golive.state.records import Generation, GenerationState, Place
from golive.system import sessions

log = logging.getLogger("golive.scale")
COOL_DOWN = 60.0
"""Seconds after a change before the autoscaler takes an instance away; adding is not held back."""
LOWER = 0.6
"""An instance is taken away only when the others would then stay below this share of the target."""


async def scale(host: Host, place: Place, service: str, count: int) -> dict[str, int]:
    """Run `count` instances of a live service: new ones take traffic when ready, leaving ones drain first.

    `{"from": …, "to": …}`. UsageError outside the blueprint's bounds, NotFound when it is not live, Conflict while
    something else changes it. New ones that do not become ready are taken away again.
    """
    generation = _live(host, place, service)
    if service in host.state.suspended(place):
        raise Conflict(f"{service} is suspended", hint=f"golive resume {service}")
    settings = host.service(generation)
    if instances_wanted(settings, count) != count:
        high = max(settings.scale.min, settings.scale.max)
        raise UsageError(
            f"{service} may have {settings.scale.min} to {high} instances, not {count}",
            hint=f"change [services.{service}] scale in golive.toml and deploy",
        )
    if host.changing(place).locked():
        raise Conflict(f"{place} is being changed", hint="try again when that has ended: golive status")
    async with host.changing(place):
        before = len(host.state.instances(generation.id))
        await reach(host, generation, count)
        host.state.set_scale(place, service, count)
    return {"from": before, "to": count}


async def reach(host: Host, generation: Generation, count: int) -> None:
    """`count` instances of a live generation, and the edge knows. StartFailed leaves it as it was."""
    instances = host.state.instances(generation.id)
    if count > len(instances):
        try:
            await start_instances(host, generation, count)
            await wait_ready(host, generation, but=instances)
        except BaseException:
            new = [i for i in host.state.instances(generation.id) if i not in instances]
            await asyncio.shield(asyncio.gather(*(stop_instance(host, i) for i in new)))
            raise
    leaving = instances[count:]
    host.aside.update(i.unit for i in leaving)
    await host.gateway.apply(edge_config(host))
    await asyncio.gather(*(stop_instance(host, i) for i in leaving))


def _live(host: Host, place: Place, service: str) -> Generation:
    for generation in host.state.generations(place, (GenerationState.LIVE,)):
        if generation.service == service:
            if host.service(generation).kind in (ServiceKind.STATIC, ServiceKind.CRON):
                raise UsageError(
                    f"{service} has no instances to scale", why="it is served without a process of its own"
                )
            return generation
    raise NotFound(f"{place} has no live service {service}", hint="golive status lists what runs")


def decide(count: int, cpu: float, target: float, settled: bool) -> int:
    """Pure: instances wanted for `cpu` cores used by all of them together, aiming at `target` of a core for each.

    Goes up by one at a time, and down by one once `settled` and the rest would stay well below the target.
    """
    if cpu > target * count:
        return count + 1
    if settled and count > 1 and cpu < target * LOWER * (count - 1):
        return count - 1
    return count


@dataclass
class Autoscaler:
    """Looks at services with `scale.cpu` on every tick."""

    host: Host
    _seen: dict[int, tuple[float, float]] = field(default_factory=dict)
    _changed: dict[int, float] = field(default_factory=dict)

    async def tick(self) -> None:
        """One look at all of them; services are changed one after the other."""
        watched = [
            (generation, service)
            for generation, service in self.host.live_services()
            if service.scale.cpu
            and service.scale.max > service.scale.min
            and generation.service not in self.host.state.suspended(generation.place)
        ]
        ids = {generation.id for generation, _ in watched}
        self._seen = {id: seen for id, seen in self._seen.items() if id in ids}
        self._changed = {id: at for id, at in self._changed.items() if id in ids}
        if not watched:
            return
        used = await asyncio.to_thread(cpu_seconds)
        for generation, service in watched:
            cpu = self._cores_used(generation, used)
            if cpu is not None and not self.host.changing(generation.place).locked():
                await self._adjust(generation, service, cpu)

    async def _adjust(self, generation: Generation, service: Service, cpu: float) -> None:
        count = len(self.host.state.instances(generation.id))
        settled = time.monotonic() - self._changed.get(generation.id, 0) > COOL_DOWN
        wanted = instances_wanted(service, decide(count, cpu, service.scale.cpu or 1, settled))
        if wanted == count:
            return
        log.info("%s: %.2f cores used by %s instances, going to %s", generation.upstream, cpu, count, wanted)
        self._changed[generation.id] = time.monotonic()
        self.host.state.audit("autoscaler", "scale", generation.place, service=generation.service, to=wanted)
        try:
            await scale(self.host, generation.place, generation.service, wanted)
        except (Conflict, NotFound, StartFailed) as error:
            log.warning("%s stays as it is: %s", generation.upstream, error)

    def _cores_used(self, generation: Generation, seconds: Mapping[int, float]) -> float | None:
        """Average since the last look; None at the first, and when an instance was restarted in between."""
        units = [self.host.supervisor.state(i.unit) for i in self.host.state.instances(generation.id)]
        pids = [s.process.pid for s in units if s and s.process]
        now, used = time.monotonic(), sum(seconds.get(pid, 0.0) for pid in pids)
        before = self._seen.get(generation.id)
        self._seen[generation.id] = (now, used)
        if before is None or used < before[1] or now - before[0] < 1:
            return None
        return (used - before[1]) / (now - before[0])


def cpu_seconds() -> Mapping[int, float]:
    """Session → processor time used so far by its living processes. Reads all of /proc: run it in a thread."""
    total: defaultdict[int, float] = defaultdict(float)
    for member in sessions.snapshot():
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(member.pid).cpu_times()
            total[member.session] += times.user + times.system
    return total
