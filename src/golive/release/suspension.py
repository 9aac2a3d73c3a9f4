"""Services that somebody stops for a while, and starts again: through restarts of the daemon, and deploys (REL-9).

The live generation stays live, without instances; the edge answers 503 for its routes.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from golive.blueprint.models import Service, ServiceKind
from golive.errors import Conflict, NotFound
from golive.release.desired import instances_wanted
from golive.release.drain import SETTLE
from golive.release.host import Host
from golive.release.instances import stop_instance
from golive.release.maintenance import known
from golive.release.scaling import reach
from golive.release.traffic import edge_config, in_flight
from golive.state.records import Generation, GenerationState, Place


def wanted(host: Host, place: Place, name: str, service: Service) -> int:
    """How many instances should run: none while it is suspended."""
    if name in host.state.suspended(place):
        return 0
    return instances_wanted(service, host.state.scale(place, name))


async def suspend(host: Host, place: Place, names: tuple[str, ...], actor: str) -> dict[str, Any]:
    """Requests are refused, those under way end, then the instances do. No names: every service.

    `{"suspended": [...], "already": [...]}`. NotFound for an unknown one, Conflict while something else changes it.
    """
    chosen = _chosen(host, place, names)
    before = host.state.suspended(place)
    new = [name for name in chosen if name not in before]
    if new:
        async with _changing(host, place):
            with host.state.transaction():
                for name in new:
                    host.state.suspend(place, name, actor)
                    host.state.audit(actor, "suspend", place, service=name)
            await host.gateway.apply(edge_config(host))
            await asyncio.gather(*(_stop(host, place, name) for name in new))
    return {"suspended": new, "already": [name for name in chosen if name in before]}


async def resume(host: Host, place: Place, names: tuple[str, ...], actor: str) -> dict[str, Any]:
    """Instances start, and get requests once they are ready. No names: every suspended service.

    `{"resumed": [...], "already": [...]}`. StartFailed leaves that service suspended.
    """
    before = host.state.suspended(place)
    chosen = _chosen(host, place, names) if names else [*before]
    again = [name for name in chosen if name in before]
    if again:
        async with _changing(host, place):
            for name in again:
                host.state.audit(actor, "resume", place, service=name)
                await _start(host, place, name)
    return {"resumed": again, "already": [name for name in chosen if name not in before]}


async def settle(host: Host) -> None:
    """A daemon that died while it suspended, or resumed, has left instances: the state says that there are none."""
    for app in host.state.apps():
        await asyncio.gather(*(_stop(host, app.place, name) for name in host.state.suspended(app.place)))


def _chosen(host: Host, place: Place, names: tuple[str, ...]) -> list[str]:
    app = host.state.app(place)
    if app is None or app.live is None:
        raise NotFound(f"{place} has no live release", hint="golive up makes the first one")
    made = host.release_blueprint(place, app.live)
    for name in names:
        known(made, place, name)
    return list(dict.fromkeys(names or made.services))


def _changing(host: Host, place: Place) -> asyncio.Lock:
    if host.changing(place).locked():
        raise Conflict(f"{place} is being changed", hint="try again when that has ended: golive status")
    return host.changing(place)


async def _start(host: Host, place: Place, name: str) -> None:
    for generation in host.state.generations(place, (GenerationState.LIVE,)):
        if generation.service == name:
            service = host.service(generation)
            await reach(host, generation, instances_wanted(service, host.state.scale(place, name)))
    host.state.resume(place, name)
    await host.gateway.apply(edge_config(host))


async def _stop(host: Host, place: Place, name: str) -> None:
    """What is live, now; what is left of other releases is not kept warm any more, so `drain` ends it."""
    for generation in host.state.generations(place):
        if generation.service != name:
            continue
        if generation.state is GenerationState.LIVE:
            await _stop_live(host, generation)
        elif generation.state is GenerationState.WARM:
            host.state.set_generation(generation.id, GenerationState.WARM, warm_until=0)
        elif generation.state is GenerationState.DRAINING:
            until = generation.drain_until
            host.state.set_generation(generation.id, GenerationState.DRAINING, drain_until=until, warm_until=0)


async def _stop_live(host: Host, generation: Generation) -> None:
    instances = host.state.instances(generation.id)
    service = host.service(generation)
    if instances and service.kind is ServiceKind.WEB and service.route:
        await _drained(host, generation, host.blueprint(generation).release.drain.total_seconds())
    await asyncio.gather(*(stop_instance(host, instance) for instance in instances))
    await host.supervisor.stop(f"{generation.upstream}/cron")


async def _drained(host: Host, generation: Generation, limit: float) -> None:
    """Until nothing has been in flight on it for a moment, `limit` seconds at most."""
    began = quiet_since = time.monotonic()
    while (now := time.monotonic()) - quiet_since < SETTLE and now - began < limit:
        if await in_flight(host, generation):
            quiet_since = time.monotonic()
        await asyncio.sleep(0.05)
