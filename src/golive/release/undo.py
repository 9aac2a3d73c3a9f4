"""Taking back a deployment that was not committed, and finishing one that was, from the state alone.

The same code serves a step that failed and a daemon that was killed: nothing here needs what was in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from golive.errors import GoliveError
from golive.release import hooks, requirements
from golive.release.changeover import bring_back
from golive.release.host import Host
from golive.release.instances import ensure_running, stop_generation
from golive.release.traffic import edge_config
from golive.release.trial import STEP, give_up
from golive.state.records import Deployment, DeploymentState, GenerationState

UNCOMMITTED = (GenerationState.STARTING, GenerationState.READY)


async def undo(host: Host, deployment: Deployment) -> None:
    """What it started is stopped, or drains where it had visitors; what was live before serves; its release failed."""
    state = host.state
    give_up(host, deployment)
    live = {g.service: g for g in state.generations(deployment.place, (GenerationState.LIVE,))}
    mine = [g for g in state.generations(deployment.place, UNCOMMITTED) if g.deployment == deployment.id]
    try:
        if any(step.name == "changeover" for step in state.steps(deployment.id)):
            for new in mine:
                if new.service in live and not host.blueprint(new).services[new.service].overlap:
                    await bring_back(host, live[new.service], new)
        for generation in live.values():
            await ensure_running(host, generation)
        if host.opened is not None:  # else it was the edge that did not start, and there is nothing to take back there
            await host.gateway.apply(edge_config(host))
    finally:
        # Whatever else fails, nothing of a deployment that ended stays behind.
        for generation in mine:
            await stop_generation(host, generation)
        current = state.deployment(deployment.id)
        if deployment.kind == "deploy" and current.release is not None:
            state.set_release(deployment.place, current.release, "failed")
        for step in state.steps(deployment.id):
            if step.state == "running":
                state.end_step(deployment.id, step.position, "undone", "interrupted")


async def finish(host: Host, deployment: Deployment) -> None:
    """It was committed when it was interrupted: the edge is brought in line, the rest is looked after by `drain`."""
    for generation in host.state.generations(deployment.place, (GenerationState.LIVE,)):
        await ensure_running(host, generation)
    await host.gateway.apply(edge_config(host))
    found = (requirements.cut_short(host, deployment), hooks.cut_short(host, deployment, hooks.POST))
    for step in host.state.steps(deployment.id):
        if step.state == "running":
            lost = step.name in (requirements.STEP, hooks.POST)
            end = ("failed", "interrupted") if lost else ("done", "finished after an interruption")
            host.state.end_step(deployment.id, step.position, *end)
    host.state.end_deployment(deployment.id, DeploymentState.DONE, _said([error for error in found if error]))


def _said(errors: Sequence[GoliveError]) -> dict[str, Any] | None:
    """Pure: the first, with what the others say and ask for."""
    if not errors:
        return None
    what, hint = "; ".join(e.what for e in errors), "; ".join(e.hint for e in errors if e.hint)
    return type(errors[0])(what, why=errors[0].why, hint=hint).to_json()


async def settle(host: Host, deployment: Deployment) -> None:
    """After the daemon's death: a running deployment is undone or finished; there is no third case."""
    await hooks.end_left_over(host, deployment)
    if deployment.committed:
        await finish(host, deployment)
        return
    cut_short = hooks.cut_short(host, deployment, hooks.PRE)
    steps = host.state.steps(deployment.id)
    migrated = any(step.name == "migrate" and step.state != "skipped" for step in steps)
    canary = any(step.name == STEP for step in steps)
    await undo(host, deployment)
    stands = "; what it had migrated stands, `golive migrate` says how far it came" if migrated else ""
    moment = "during its canary" if canary else "before traffic moved"
    users = "the release before serves all users" if canary else "nothing changed for the app's users"
    error = cut_short or GoliveError(
        f"the deployment was interrupted {moment}, and undone",
        why="the daemon ended while it was under way",
        hint=f"{users}{stands}; deploy again",
    )
    host.state.end_deployment(deployment.id, DeploymentState.UNDONE, error.to_json())
