"""A short load: a burst, then requests by schedule while the app's processes are watched."""

from __future__ import annotations

import asyncio
import contextlib
import time

from golive.checks.app import App
from golive.checks.load.generator import Job, generate, ready
from golive.checks.load.scenario import Request
from golive.checks.load.search import Bar, Step, judged
from golive.checks.load.watch import NEAR, Watch, shown
from golive.checks.model import (
    Evidence,
    Family,
    Outcome,
    Unanswered,
    could_not_tell,
    failed,
    not_applicable,
    passed,
    warned,
)
from golive.checks.web import Exchange
from golive.system.offload import Offload

family = Family("load", "Whether it stays quick for many at once: some seconds of what golive load does at length.")
REQUESTS = 100
SLOW = 1.0
"""Seconds in which 95 of 100 requests of a burst have to be answered."""
RATE, SECONDS = 20.0, 5.0
"""Requests a second of the load by schedule, and how long."""
LONGEST = 60.0


@family.app(
    "burst",
    "Many requests at once are answered quickly",
    "What is slow for a hundred requests is down for a thousand.",
    answers="datifyy.11 rt-apps.10 rt-apps.18 rt-apps.9",
    intrusive=True,
    longest=LONGEST,
)
async def burst(app: App) -> Outcome:
    if app.site is None:
        return not_applicable("the app answers no requests")
    site = app.site
    url = (await site.home()).url
    site.web.allow_more(REQUESTS + 20, "load")
    times: list[float] = []

    async def one(number: int) -> Exchange:
        answer = await site.web.ask(url, again=5000 + number)
        times.append(answer.seconds.get("first") or 0.0)
        return answer

    began = time.monotonic()
    asked = await asyncio.gather(*(one(n) for n in range(REQUESTS)), return_exceptions=True)
    took = time.monotonic() - began
    answers = [a for a in asked if isinstance(a, Exchange)]
    if not answers:
        raise Unanswered(str(asked[0]))
    limited = sum(a.status == 429 for a in answers)
    broken = sum(a.status >= 500 for a in answers) + len(asked) - len(answers)
    ordered = sorted(times)
    slow = ordered[int(0.95 * (len(ordered) - 1))]
    text = f"{len(answers) / took:.0f}/s by 4 at once, 95 % within {slow * 1000:.0f} ms, {broken} failed"
    evidence = Evidence(f"GET {url}, {REQUESTS} times", f"{text}, {limited} limited")
    if broken:
        return failed(text, evidence, fix="golive logs shows why")
    if limited > len(answers) / 2:
        return could_not_tell(f"the rate limit refused {limited}", evidence)
    if slow > SLOW:
        return warned(text, evidence, fix="golive status shows what is busy; more instances: golive scale")
    return passed(text, evidence)


@family.app(
    "steady",
    "Requests that keep coming are all answered",
    "A server that stalls for a second is charged with all that would have come in it.",
    answers="datifyy.11 rt-apps.10 rt-apps.18",
    intrusive=True,
    longest=LONGEST,
)
async def steady(app: App) -> Outcome:
    if app.site is None:
        return not_applicable("the app answers no requests")
    step = await app.once("load", lambda: _scheduled(app))
    said = f"p50 {step.p50 * 1000:.0f} ms, p95 {step.p95 * 1000:.0f} ms, slowest {step.slowest * 1000:.0f} ms"
    text = f"{step.sent} requests at {step.rate:g}/s: {step.failed} failed, {said}"
    evidence = Evidence(_asked(app), "\n".join([text, *step.failures]))
    if step.why == "errors":
        return failed(text, evidence, fix="golive logs shows why")
    if step.why == "limited":
        return could_not_tell(f"a rate limit refused {step.limited} of {step.sent}", evidence)
    if step.why == "generator":
        return could_not_tell("this machine was too busy to send them in time", evidence)
    if step.why:
        return warned(text, evidence, fix="golive load says what ends first")
    return passed(text, evidence)


@family.app(
    "room",
    "Nothing is near its end meanwhile",
    "What is full at a few requests a second fails at the first busy hour.",
    answers="rt-apps.9 rt-apps.10 datifyy.15",
    intrusive=True,
    longest=LONGEST,
)
async def room(app: App) -> Outcome:
    if app.site is None:
        return not_applicable("the app answers no requests")
    step = await app.once("load", lambda: _scheduled(app))
    own = [use for use in step.uses if use.kind not in ("machine", "disk")]
    if not own:
        return could_not_tell("no process of it could be watched")
    lines = "\n".join(shown(use) for use in step.uses)
    evidence = Evidence(_asked(app), lines)
    near = [use for use in own if use.share >= NEAR or use.unit == "waiting"]
    if near:
        return warned(shown(near[0]), evidence, fix="golive load says what to change")
    return passed(f"the nearest is {shown(max(own, key=lambda use: use.share))}", evidence)


def _asked(app: App) -> str:
    return f"golive load {app.name} --rate {RATE:g}/s --for {SECONDS:g}s"


async def _scheduled(app: App) -> Step:
    """At one rate, by a process of its own. Raises Unanswered where that cannot be."""
    assert app.site is not None  # noqa: S101 - who calls has looked
    at = app.site.at
    roots = tuple(str(root) for root in app.site.aim.roots)
    let_in = await app.site.web.hidden(app.site.url(at.path))
    job = Job(at.origin, (Request(at.path, headers=let_in),), RATE, SECONDS, arrivals="constant", roots=roots)
    maker = Offload()
    try:
        parts, cores = await app.fact("parts")
        await maker.call(ready)
        async with Watch(parts, cores) if parts else contextlib.nullcontext() as watch:
            measured = await maker.call(generate, job)
        return judged(RATE, measured, Bar(), watch.uses() if watch else ())
    finally:
        await maker.close()
