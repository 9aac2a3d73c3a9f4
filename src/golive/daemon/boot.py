"""After a start: find again what an earlier daemon left running, start what is gone, settle what was interrupted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Collection

from golive.errors import GoliveError
from golive.release import copies, promotion, resources, restores, suspension, swap, upgrade
from golive.release.host import Host
from golive.release.instances import ensure_running, stop_generation
from golive.release.traffic import edge_config
from golive.release.undo import UNCOMMITTED, settle
from golive.state.records import App, DeploymentState, Generation, GenerationState

log = logging.getLogger("golive.boot")
AT_ONCE = 8
"""Generations whose instances are started at the same time after the machine did."""


async def boot(host: Host) -> None:
    """Everything that should run does, with or without the edge. What cannot is logged; it stops nobody else."""
    await promotion.settle_interrupted(host)
    await upgrade.settle_interrupted(host)
    await swap.settle_interrupted(host)
    await asyncio.gather(*(_resources(host, app) for app in host.state.apps()))
    await restores.settle_interrupted(host)
    await copies.settle_interrupted(host)
    await _outages(host)
    gate = asyncio.Semaphore(AT_ONCE)
    await asyncio.gather(*(_instances(host, generation, gate) for generation in host.state.generations()))


async def settle_interrupted(host: Host, under_way: Collection[int] = ()) -> None:
    """Deployments that a daemon left half done are finished or undone, and the edge serves what the state says.

    Needs the edge. `under_way` are those of this daemon.
    """
    for deployment in host.state.unfinished_deployments():
        if deployment.state is DeploymentState.RUNNING and deployment.id not in under_way:
            log.info("settling deployment %s of %s", deployment.id, deployment.place)
            await _attempt(f"deployment {deployment.id}", settle(host, deployment))
    open_ones = {d.id for d in host.state.unfinished_deployments()}
    for generation in host.state.generations(None, UNCOMMITTED):
        if generation.deployment not in open_ones:  # undoing it failed then
            await _attempt(generation.upstream, stop_generation(host, generation))
    await _attempt("the edge", host.gateway.apply(edge_config(host)))
    await _attempt("suspended services", suspension.settle(host))


async def _outages(host: Host) -> None:
    """Its module is loaded where there is something of it."""
    if any("/outage/" in unit for unit in host.state.processes()):
        from golive.release import outage

        await _attempt("copies whose stores were stopped", outage.settle_interrupted(host))


async def _resources(host: Host, app: App) -> None:
    if app.live is None:
        return
    try:
        await resources.standing(host, app.place, host.release_blueprint(app.place, app.live))
    except (GoliveError, OSError):
        log.exception("resources of %s", app.place)


async def _instances(host: Host, generation: Generation, gate: asyncio.Semaphore) -> None:
    """What is not live is only adopted, so that it is ended properly: one of an interrupted deployment is undone, one
    that drained has lost its connections, and a rollback starts what died of a warm one. What cannot overlap was
    stopped before its successor started, and must not come back beside it."""
    async with gate:
        live = generation.state is GenerationState.LIVE
        wanted = live and generation.service not in host.state.suspended(generation.place)
        await _attempt(generation.upstream, ensure_running(host, generation, start=wanted))


async def _attempt(what: str, action: Awaitable[None] | Awaitable[bool]) -> None:
    try:
        await action
    except Exception:
        log.exception("%s", what)
