"""Migrations: the schema is the one the code expects."""

from __future__ import annotations

from typing import Any

from golive.checks.app import App
from golive.checks.model import Evidence, Family, Outcome, failed, not_applicable, passed, warned

family = Family("migrations", "Whether the schema is the one that the code was written for.")
_NONE = "the app has no migrations"


async def _found(app: App) -> dict[str, Any] | None:
    return None if app.blueprint.migrations is None else await app.fact("migrations")


def _shown(app: App, found: dict[str, Any]) -> Evidence:
    lines = [f"{line['state']}: {line['name']}" for line in found["migrations"]]
    return app.said("migrate status", "\n".join(lines[-12:]) or "(none)")


@family.app(
    "applied",
    "All migrations are applied",
    "Code that asks for a column that is not there fails at the first visitor.",
    answers="datifyy.1 rt-apps.2 darasa.4",
)
async def applied(app: App) -> Outcome:
    found = await _found(app)
    if found is None:
        return not_applicable(_NONE)
    if found["pending"]:
        return failed(f"pending: {', '.join(found['pending'][:5])}", _shown(app, found), fix="golive migrate up")
    done = sum(line["state"] == "applied" for line in found["migrations"])
    return passed(f"{done} applied", _shown(app, found))


@family.app(
    "whole",
    "None stands half done, or was changed afterwards",
    "A migration that was edited after it ran is another one on the next machine.",
    answers="rt-apps.2 datifyy.1",
)
async def whole(app: App) -> Outcome:
    found = await _found(app)
    if found is None:
        return not_applicable(_NONE)
    if stop := found["stop"]:
        return failed(stop["what"], _shown(app, found), fix=stop["hint"] or "golive migrate status")
    odd = [line for line in found["migrations"] if line["state"] in ("drifted", "failed", "unfinished")]
    if odd:
        return failed(f"{odd[0]['name']}: {odd[0]['state']}", _shown(app, found), fix="golive migrate status")
    return passed("all whole", _shown(app, found))


@family.app(
    "known",
    "The database has no migration that the release lacks",
    "Then the schema is ahead of the code: somebody deployed from elsewhere, or rolled back.",
    answers="rt-apps.2",
)
async def known(app: App) -> Outcome:
    found = await _found(app)
    if found is None:
        return not_applicable(_NONE)
    ahead = [line["name"] for line in found["migrations"] if line["state"] == "not in this release"]
    if ahead:
        return warned(f"ahead: {', '.join(ahead[:5])}", _shown(app, found), fix="golive up, from the newest checkout")
    return passed("none", _shown(app, found))


@family.app(
    "safe",
    "What is pending locks nothing for long",
    "A lock of a busy table is an outage, though every statement is right.",
    answers="rt-apps.2 darasa.4",
)
async def safe(app: App) -> Outcome:
    found = await _found(app)
    if found is None:
        return not_applicable(_NONE)
    lint = found.get("lint")
    if not lint:
        return not_applicable("nothing is pending", _shown(app, found))
    findings = lint.get("findings", [])
    stops = [one for one in findings if one.get("level") == "stop"]
    lines = "\n".join(f"{one.get('level')}: {one.get('rule')} {one.get('what', '')}" for one in findings[:10])
    evidence = app.said("migrate lint", lines or "nothing to say")
    if stops:
        return failed(str(stops[0].get("rule")), evidence, fix="golive migrate lint says what to write instead")
    return passed("nothing that stops", evidence)
