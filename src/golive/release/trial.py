"""A release on trial: it takes part of an environment's traffic, beside the one that is live, until it has all or none.

Kept in the host's memory, not in the state: a daemon that dies meanwhile leaves a deployment that was not committed,
and that is undone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from golive.blueprint.models import Service, ServiceKind
from golive.edge.model import Share
from golive.edge.shares import RELEASE
from golive.release.desired import Action, ServicePlan
from golive.state.records import Generation, GenerationState

if TYPE_CHECKING:
    from golive.edge.counts import Counts
    from golive.release.deploy import Deploy
    from golive.release.host import Host
    from golive.state.records import Deployment

STEP = "canary"
"""The name of its steps in the journal."""


@dataclass
class Trial:
    """`percent` of new visitors have `release`, the others `before`. `generations` are of its services that differ.

    `held`: somebody chose the percentage, and it stays. `seen` is what each side did since the trial began, and
    `window` since its step did: service → (new, old).
    """

    deployment: int
    release: int
    before: int
    generations: Mapping[str, Generation]
    steps: tuple[int, ...]
    percent: int = 0
    held: bool = False
    since: float = field(default_factory=time.time)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    seen: dict[str, tuple[Counts, Counts]] = field(default_factory=dict)
    window: dict[str, tuple[Counts, Counts]] = field(default_factory=dict)

    def shares(self) -> tuple[Share, Share]:
        """Of this release, and of the one before. Who was left with that one is drawn again for the next trial."""
        new, old = str(self.release), f"{self.before}.{self.release}"
        return Share(RELEASE, new, old, self.percent), Share(RELEASE, old, new, None)

    @property
    def touched(self) -> tuple[int, int]:
        """Requests that came to the new release, and all of these services."""
        new = sum(pair[0].requests for pair in self.seen.values())
        return new, new + sum(pair[1].requests for pair in self.seen.values())


def wanted(deploy: Deploy) -> bool:
    """Whether it is made by a canary, where that was asked for: something that answers requests has to change."""
    asked = deploy.deployment.request.get("canary")
    strategy = deploy.blueprint.release.strategy == "canary" and deploy.deployment.kind == "deploy"
    if not (strategy if asked is None else asked):
        return False
    live = {g.service for g in deploy.host.state.generations(deploy.place, (GenerationState.LIVE,))}
    asleep = deploy.host.state.suspended(deploy.place)
    compared = [
        p for p in tried(deploy) if p.service.kind is ServiceKind.WEB and p.name in live and p.name not in asleep
    ]
    if not compared:
        deploy.journal.note("no canary: there is nothing that answers requests in both releases, and differs")
    return bool(compared)


def tried(deploy: Deploy) -> list[ServicePlan]:
    """What a canary's visitors get in the new release; the rest changes when everybody has it."""
    live = {g.service for g in deploy.host.state.generations(deploy.place, (GenerationState.LIVE,))}
    return [
        plan
        for plan in deploy.plans
        if plan.action is not Action.KEEP and plan.service.route and (plan.service.overlap or plan.name not in live)
    ]


def waits(service: Service) -> bool:
    """Work of the new release is not begun before the canary's end."""
    return service.kind is ServiceKind.WORKER


async def run(deploy: Deploy) -> None:
    """The canary, where there is one."""
    if deploy.on_trial:
        from golive.release.canary import try_out

        await try_out(deploy)


def give_up(host: Host, deployment: Deployment) -> None:
    """Nobody new comes to it, once the edge is told; what is open on it ends as on any release that goes.

    Also without the trial itself, after the daemon's death.
    """
    trial = host.trials.pop(deployment.place, None)
    if not any(step.name == STEP for step in host.state.steps(deployment.id)):
        return
    ready = host.state.generations(deployment.place, (GenerationState.READY,))
    going = [g for g in ready if g.deployment == deployment.id and host.blueprint(g).services[g.service].route]
    if trial:
        before = (GenerationState.WARM, GenerationState.DRAINING)
        tried = {g.id for g in trial.generations.values()}
        going += [g for g in host.state.generations(deployment.place, before) if g.id in tried]
    for generation in going:
        until = time.time() + host.blueprint(generation).release.drain.total_seconds()
        state = GenerationState.DRAINING
        host.state.set_generation(generation.id, state, drain_until=until, warm_until=generation.warm_until)
