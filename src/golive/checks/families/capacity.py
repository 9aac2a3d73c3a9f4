"""Capacity: room for tomorrow, measured."""

from __future__ import annotations

from golive.checks.app import App
from golive.checks.model import (
    Evidence,
    Family,
    Outcome,
    failed,
    not_applicable,
    passed,
    warned,
)
from golive.units import human_size

family = Family("capacity", "Whether there is room for twice as many visitors.")


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
