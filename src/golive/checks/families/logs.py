"""Logs: they say what happens, and what goes wrong."""

from __future__ import annotations

from typing import Any

from golive.checks.app import App
from golive.checks.model import Evidence, Family, Fix, Outcome, Setting, not_applicable, passed, warned

family = Family("logs", "Whether one could find out what happened.")
_BAD = ("error", "critical", "fatal")


async def _lines(app: App) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [line for line in await app.fact("logs") if "text" in line]
    return found


@family.app(
    "errors",
    "The newest lines hold no errors",
    "Errors are there before anybody complains.",
    answers="datifyy.13 rt-apps.7",
)
async def errors(app: App) -> Outcome:
    lines = await _lines(app)
    bad = [line for line in lines if str(line["level"] or "").lower() in _BAD]
    if not lines:
        return not_applicable("nothing was logged yet")
    if bad:
        shown = "\n".join(f"{line['source']} {line['text'][:160]}" for line in bad[-8:])
        return warned(f"{len(bad)} of {len(lines)}", app.said("logs", shown), fix="read them: golive logs --grep error")
    return passed(f"none in {len(lines)} lines", app.said("logs", lines[-1]["text"][:160]))


@family.app(
    "levels",
    "Lines say how serious they are",
    "Who cannot tell an error from a greeting reads neither.",
    answers="darasa.3 rt-apps.7",
)
async def levels(app: App) -> Outcome:
    lines = await _lines(app)
    if len(lines) < 20:
        return not_applicable("too few lines to tell")
    known = [line for line in lines if line["level"]]
    evidence = app.said("logs", "\n".join(line["text"][:120] for line in lines[-5:]))
    if len(known) < len(lines) / 4:
        text = f"{len(known)} of {len(lines)} do"
        return warned(text, evidence, fix='log JSON with "level" and "message", or lines like ERROR: …')
    return passed(f"{len(known)} of {len(lines)}", evidence)


@family.app(
    "access",
    "Requests are logged at the edge",
    "Without it nobody knows who asked for what, and how long it took.",
    answers="rt-apps.7 rt-apps.9 akashic.7",
)
async def access(app: App) -> Outcome:
    evidence = Evidence("golive config", f"edge.access_log = {str(app.blueprint.edge.access_log).lower()}")
    if not app.blueprint.edge.access_log:
        return warned("turned off", evidence, fix=Fix("turn it on", (Setting(("edge", "access_log"), True),)))
    return passed("one line of JSON for each", evidence)
