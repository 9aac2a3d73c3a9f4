"""Capacity: room for tomorrow, measured."""

from __future__ import annotations

import asyncio
import time

from golive.checks.app import App
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
from golive.units import human_size

family = Family("capacity", "Whether there is room for twice as many visitors.")
REQUESTS = 100
SLOW = 1.0
"""Seconds in which 95 of 100 requests of a short load have to be answered."""


@family.app(
    "disk",
    "The disk has room",
    "A full disk stops the database first.",
    answers="rt-apps.7 akashic.7",
)
async def disk(app: App) -> Outcome:
    found = await app.fact("machine")
    free, total = found["disk_free"], found["disk_total"]
    share = free / total
    text = f"{human_size(free)} of {human_size(total)} free"
    evidence = Evidence("free space of $GOLIVE_HOME", text)
    if share < 0.05 or free < 10**9:
        return failed(text, evidence, fix="make room: fewer kept releases, a smaller build.disk")
    if share < 0.15:
        return warned(text, evidence, fix="make room soon")
    return passed(text, evidence)


@family.app(
    "memory",
    "The memory has room",
    "When it is full the kernel ends what is largest: the database.",
    answers="rt-apps.7 akashic.7",
)
async def memory(app: App) -> Outcome:
    found = await app.fact("machine")
    free, total = found["memory_free"], found["memory_total"]
    text = f"{human_size(free)} of {human_size(total)} free"
    evidence = Evidence("memory of the machine", text)
    if free < 0.1 * total:
        return warned(text, evidence, fix="limit services ([services.<name>.limits] memory), or rent more")
    return passed(text, evidence)


@family.app(
    "limits",
    "Services with a limit stay within it",
    "An instance that reaches its limit is restarted under load, when it hurts most.",
    answers="rt-apps.9 datifyy.15",
)
async def limits(app: App) -> Outcome:
    status = await app.status()
    lines, near = [], []
    for name, service in status["services"].items():
        declared = app.blueprint.services.get(name)
        most = declared.limits.memory if declared else None
        for one in service["instances"]:
            if most and one["memory"]:
                lines.append(f"{name}: {human_size(one['memory'])} of {human_size(most)}")
                if one["memory"] > 0.9 * most:
                    near.append(lines[-1])
    if not lines:
        return not_applicable("no service has a memory limit")
    evidence = app.said("status", "\n".join(lines))
    if near:
        return warned(near[0], evidence, fix="raise the limit, or look for a leak")
    return passed("; ".join(lines), evidence)


@family.app(
    "load",
    "A short load is answered quickly",
    "What is slow for a hundred requests is down for a thousand.",
    answers="datifyy.11 rt-apps.10 rt-apps.18 rt-apps.9",
    intrusive=True,
)
async def load(app: App) -> Outcome:
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
