"""A new release gets its traffic bit by bit, and all of it or none in the end, by what the edge sees it do (REL-4)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from golive.blueprint.models import ServiceKind
from golive.edge.counts import Counts
from golive.errors import CanaryStopped
from golive.release.closed import in_force
from golive.release.comparison import Pair, judge
from golive.release.instances import wait_ready
from golive.release.traffic import edge_config, upstream_names
from golive.release.trial import STEP, Trial, tried
from golive.state.records import Generation, GenerationState
from golive.units import human_duration

if TYPE_CHECKING:
    from golive.release.deploy import Deploy
    from golive.release.journal import StepNote

LOOK = 1.0
"""Seconds between two looks, at most."""
TELL = 5.0
"""Seconds between two words about what was seen."""


async def try_out(deploy: Deploy) -> None:
    """Step by step; returns when everybody may have the release, whose routes are then changed as ever.

    CanaryStopped when it does worse than the one before; `undo` then takes it back.
    """
    host, place = deploy.host, deploy.place
    policy = deploy.blueprint.release.canary
    live = {g.service: g for g in host.state.generations(place, (GenerationState.LIVE,))}
    generations = {plan.name: deploy.coming(plan) for plan in tried(deploy)}
    before = deploy.deployment.previous or 0
    trial = Trial(deploy.deployment.id, deploy.release, before, generations, policy.percents)
    watch = _Watch(deploy, trial, live)
    await watch.begin()
    host.trials[place] = trial
    for percent in policy.percents:
        if percent <= trial.percent:
            continue  # somebody was quicker
        async with deploy.journal.step(STEP) as note:
            trial.percent = percent
            await watch.step(note)
        if trial.percent == 100:
            break
    await _start_workers(deploy)


async def _start_workers(deploy: Deploy) -> None:
    """They have no visitors to be judged by, so they waited for the verdict on the others."""
    plans = [p for p in deploy.plans if p.name in deploy.started and p.service.kind is ServiceKind.WORKER]
    waiting = [p for p in plans if p.service.overlap and not deploy.host.state.instances(deploy.started[p.name].id)]
    if not waiting:
        return
    async with deploy.journal.step("start") as note:
        note.detail = ", ".join(plan.name for plan in waiting)
        for plan in waiting:
            await deploy.start_plan(plan)
            await wait_ready(deploy.host, deploy.started[plan.name])
            deploy.host.state.set_generation(deploy.started[plan.name].id, GenerationState.READY)


@dataclass
class _Watch:
    """Looks at both releases as the edge sees them, by windows of one step each."""

    deploy: Deploy
    trial: Trial
    live: dict[str, Generation]
    _first: dict[str, Pair] = field(default_factory=dict)

    async def begin(self) -> None:
        self._first = await self._counted() or {}

    async def step(self, note: StepNote) -> None:
        """Until the step is over: by its own judgement, or because somebody gave the release everything."""
        await self._shift()
        policy, trial = self.deploy.blueprint.release.canary, self.trial
        pause = min(LOOK, max(policy.every.total_seconds() / 5, 0.1))
        base, began, told = await self._base(), time.monotonic(), 0.0
        while trial.percent < 100:
            if await self._asked(pause):
                if trial.held:
                    self.deploy.journal.note(_held(trial))
                base, began = await self._base(), time.monotonic()
                continue
            if not await self._look(base):
                continue
            passed = time.monotonic() - began
            verdict = judge(policy, trial.window, passed, held=trial.held or self._closed())
            if verdict.worse:
                raise self._stopped(verdict.service, verdict.worse, passed)
            if time.monotonic() - told > TELL:
                told = time.monotonic()
                self.deploy.journal.log(STEP, self._words())
            if verdict.go_on and not (trial.held or self._closed()):
                break
        note.detail = self._words()

    def _closed(self) -> bool:
        """Nobody comes, so there is nothing to judge by."""
        maintenance = self.deploy.host.state.maintenance(self.deploy.place)
        return in_force(maintenance, time.time()) is not None

    async def _shift(self) -> None:
        host = self.deploy.host
        await host.gateway.apply(edge_config(host))

    async def _asked(self, pause: float) -> bool:
        """Whether somebody chose something by hand within that time."""
        try:
            async with asyncio.timeout(pause):
                await self.trial.asked.wait()
        except TimeoutError:
            return False
        self.trial.asked.clear()
        return True

    async def _base(self) -> dict[str, Pair]:
        """From where a window counts. What is on its way now still counts for it."""
        self.trial.window = {}
        return await self._counted() or {}

    async def _look(self, base: dict[str, Pair]) -> bool:
        """False when the edge does not say: it is being started again."""
        now = await self._counted()
        if now is None:
            return False
        self.trial.window = _between(base, now)
        self.trial.seen = _between(self._first, now)
        return True

    async def _counted(self) -> dict[str, Pair] | None:
        host = self.deploy.host
        sides: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        for name, new in self.trial.generations.items():
            service = self.deploy.blueprint.services[name]
            if service.kind is ServiceKind.WEB:  # all static services share one upstream
                old = self.live.get(name)
                sides[name] = (upstream_names(new, service), upstream_names(old, host.service(old)) if old else ())
        found = await host.gateway.counts([name for side in sides.values() for names in side for name in names])
        if found is None:
            return None
        return {
            name: (
                sum((found[each] for each in new_names), Counts()),
                sum((found[each] for each in old_names), Counts()),
            )
            for name, (new_names, old_names) in sides.items()
        }

    def _words(self) -> str:
        """Both sides of the step, all services together."""
        new = sum((pair[0] for pair in self.trial.window.values()), Counts())
        old = sum((pair[1] for pair in self.trial.window.values()), Counts())
        return f"{self.trial.percent}%: {_side(new)}; release {self.trial.before}: {_side(old)}"

    def _stopped(self, service: str, worse: str, passed: float) -> CanaryStopped:
        trial = self.trial
        touched, total = trial.touched
        share = f" ({touched / total:.1%})" if total else ""
        upstream = trial.generations[service].upstream
        return CanaryStopped(
            f"the canary was stopped at {trial.percent}%: {service} of release {trial.release} does worse than before",
            why=f"{worse} on release {trial.before} in the same {human_duration(passed)}; "
            f"{touched:,} of {total:,} requests{share} came to release {trial.release}",
            hint=f"golive logs {service} has what it said, golive logs --edge --grep {upstream} its requests; "
            f"new ones go to release {trial.before} alone",
        )


def _between(before: dict[str, Pair], now: dict[str, Pair]) -> dict[str, Pair]:
    nothing = (Counts(), Counts())
    return {
        name: (new.since(before.get(name, nothing)[0]), old.since(before.get(name, nothing)[1]))
        for name, (new, old) in now.items()
    }


def _side(counts: Counts) -> str:
    slow = f", 95 of 100 within {counts.percentile(0.95):,.0f} ms" if counts.timed else ""
    return f"{counts.requests:,} requests, {counts.failed} failed{slow}"


def _held(trial: Trial) -> str:
    return (
        f"held at {trial.percent}% by hand: golive traffic 100% makes release {trial.release} live, "
        "golive traffic auto goes on by its steps, golive rollback ends it"
    )
