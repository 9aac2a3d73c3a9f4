"""After a start: find again what an earlier daemon left running, start what is gone, settle what was interrupted."""

from __future__ import annotations

import asyncio
import logging

from golive.errors import GoliveError
from golive.release import resources
from golive.release.host import Host
from golive.release.instances import ensure_running
from golive.release.traffic import edge_config
from golive.release.undo import settle
from golive.state.records import App, DeploymentState, Generation, GenerationState

log = logging.getLogger("golive.boot")


async def boot(host: Host) -> None:
    """Everything that should run does. What cannot is logged and left to its supervisor; it stops nobody else."""
    await asyncio.gather(*(_resources(host, app) for app in host.state.apps()))
    for generation in host.state.generations():
        await _instances(host, generation)
    for deployment in host.state.unfinished_deployments():
        if deployment.state is DeploymentState.RUNNING:
            log.info("settling deployment %s of %s", deployment.id, deployment.place)
            await _attempt(f"deployment {deployment.id}", settle(host, deployment))
    await _attempt("the edge", host.gateway.apply(edge_config(host)))


async def _resources(host: Host, app: App) -> None:
    if app.live is None:
        return
    try:
        stores = await resources.declare(host, app.place, host.release_blueprint(app.place, app.live))
        for name, store in stores.items():
            await resources.keep_running(host, app.place, name, store)
    except (GoliveError, OSError):
        log.exception("resources of %s", app.place)


async def _instances(host: Host, generation: Generation) -> None:
    """A warm generation is only adopted: one that has died is no use for a quick rollback."""
    if generation.state in (GenerationState.STARTING, GenerationState.READY):
        await _attempt(generation.upstream, _adopt_only(host, generation))
    else:
        await _attempt(generation.upstream, ensure_running(host, generation))


async def _adopt_only(host: Host, generation: Generation) -> None:
    """Of an interrupted deployment: taken under supervision so that undoing it stops them properly."""
    await ensure_running(host, generation, start=False)


async def _attempt(what: str, action: object) -> None:
    try:
        await action  # type: ignore[misc]
    except (GoliveError, OSError):
        log.exception("%s", what)
