"""Services that cannot overlap (a port of their own, a singleton): stop the old, start the new, while the edge holds
their requests instead of refusing them.

The new upstream is routed to before anybody listens there; Envoy retries connecting until an instance does. If the new
release does not come up, `undo` starts the old one again and has it stand in for the new upstream, so that what waited
is answered all the same.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from golive.release.desired import Action, ServicePlan
from golive.release.host import Host
from golive.release.instances import ensure_running, wait_ready
from golive.release.traffic import edge_config, in_flight
from golive.state.records import Generation, GenerationState

if TYPE_CHECKING:
    from golive.release.deploy import Deploy

FLUSH = 1.5
"""Seconds the old release stands in for the new upstream: longer than the longest pause between two tries."""


def cannot_overlap(deploy: Deploy) -> list[tuple[ServicePlan, Generation]]:
    """The services to change over, each with the generation that has to go first."""
    live = {g.service: g for g in deploy.host.state.generations(deploy.place, (GenerationState.LIVE,))}
    for suspended in deploy.host.state.suspended(deploy.place):
        live.pop(suspended, None)
    return [
        (plan, live[plan.name])
        for plan in deploy.plans
        if plan.action is Action.START and not plan.service.overlap and plan.name in live
    ]


async def change_over(deploy: Deploy) -> None:
    """Nothing when every service may overlap."""
    pairs = cannot_overlap(deploy)
    if not pairs:
        return
    deploy.changed_over = [(old, deploy.started[plan.name]) for plan, old in pairs]
    async with deploy.journal.step("changeover") as note:
        note.detail = ", ".join(plan.name for plan, _ in pairs)
        for plan, old in pairs:
            await _change_one(deploy, plan, old)


async def _change_one(deploy: Deploy, plan: ServicePlan, old: Generation) -> None:
    """What it raises, `undo` answers by `bring_back`."""
    host, new = deploy.host, deploy.started[plan.name]
    if plan.service.route:
        host.switching[(*deploy.place, plan.name)] = new
        host.held[new.upstream] = None
        await host.gateway.apply(edge_config(host))
        await _drained(host, old, deploy.blueprint.release.drain.total_seconds())
    for instance in host.state.instances(old.id):
        await host.supervisor.stop(instance.unit)
    await deploy.start_plan(plan)
    await wait_ready(host, new)
    host.state.set_generation(new.id, GenerationState.READY)
    if plan.service.route:
        host.held.pop(new.upstream, None)
        await host.gateway.apply(edge_config(host))


async def bring_back(host: Host, old: Generation, new: Generation) -> None:
    """The old release again, answering also what waited for the new one."""
    key = (*new.place, new.service)
    routed = bool(host.blueprint(new).services[new.service].route)
    try:
        if routed:
            host.switching[key] = new
            host.held[new.upstream] = None
            await host.gateway.apply(edge_config(host))
        await asyncio.gather(*(host.supervisor.stop(instance.unit) for instance in host.state.instances(new.id)))
        await ensure_running(host, old)
        if routed:
            await wait_ready(host, old)
            host.held[new.upstream] = old
            await host.gateway.apply(edge_config(host))
            await asyncio.sleep(FLUSH)
    finally:
        host.held.pop(new.upstream, None)
        host.switching.pop(key, None)


async def _drained(host: Host, generation: Generation, limit: float) -> None:
    """Until nothing is in flight on it, `limit` seconds at most."""
    deadline = time.monotonic() + limit
    zeros = 0
    while zeros < 3 and time.monotonic() < deadline:
        zeros = 0 if await in_flight(host, generation) else zeros + 1
        await asyncio.sleep(0.05)
