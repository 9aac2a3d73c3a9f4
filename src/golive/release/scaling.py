"""More and fewer instances of what is live: by hand, and by the CPU that the instances use (SCL-1)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection
from dataclasses import dataclass, field

import psutil

from golive.blueprint.models import Service, ServiceKind
from golive.errors import NotFound, UsageError
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

    `{"from": …, "to": …}`. UsageError outside the blueprint's bounds, NotFound when it is not live.
    """
    generation = _live(host, place, service)
    settings = host.blueprint(generation).services[service]
    if instances_wanted(settings, count) != count:
        high = max(settings.scale.min, settings.scale.max)
        raise UsageError(
            f"{service} may have {settings.scale.min} to {high} instances, not {count}",
            hint=f"change [services.{service}] scale in golive.toml and deploy",
        )
    before = len(host.state.instances(generation.id))
    host.state.set_scale(place, service, count)
    await _reach(host, generation, count)
    return {"from": before, "to": count}


async def _reach(host: Host, generation: Generation, count: int) -> None:
    instances = host.state.instances(generation.id)
    if count > len(instances):
        await start_instances(host, generation, count)
        await wait_ready(host, generation)
        await host.gateway.apply(edge_config(host))
        return
    leaving = instances[count:]
    host.leaving |= {i.unit for i in leaving}
    await host.gateway.apply(edge_config(host))
    await asyncio.gather(*(stop_instance(host, i) for i in leaving))
    host.leaving -= {i.unit for i in leaving}


def _live(host: Host, place: Place, service: str) -> Generation:
    for generation in host.state.generations(place, (GenerationState.LIVE,)):
        if generation.service == service:
            if host.blueprint(generation).services[service].kind in (ServiceKind.STATIC, ServiceKind.CRON):
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
        for generation in self.host.state.generations(None, (GenerationState.LIVE,)):
            service = self.host.blueprint(generation).services[generation.service]
            if service.scale.cpu is None or service.scale.max <= service.scale.min:
                continue
            cpu = self._cores_used(generation)
            if cpu is None or any(d.place == generation.place for d in self.host.state.unfinished_deployments()):
                continue
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
        await scale(self.host, generation.place, generation.service, wanted)

    def _cores_used(self, generation: Generation) -> float | None:
        """Average since the last look; None at the first, and when an instance was restarted in between."""
        units = [self.host.supervisor.state(i.unit) for i in self.host.state.instances(generation.id)]
        pids = [s.process.pid for s in units if s and s.process]
        now, used = time.monotonic(), cpu_seconds(pids)
        before = self._seen.get(generation.id)
        self._seen[generation.id] = (now, used)
        if before is None or used < before[1] or now - before[0] < 1:
            return None
        return (used - before[1]) / (now - before[0])


def cpu_seconds(leaders: Collection[int]) -> float:
    """Processor time used so far by the living processes of these sessions."""
    total = 0.0
    for member in sessions.snapshot():
        if member.session in leaders:
            with contextlib.suppress(psutil.Error):
                times = psutil.Process(member.pid).cpu_times()
                total += times.user + times.system
    return total
