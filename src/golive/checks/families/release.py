"""Releases: what is live, whether it holds, and the way back."""

from __future__ import annotations

from golive.blueprint.models import ServiceKind
from golive.checks.app import App
from golive.checks.model import (
    Evidence,
    Family,
    Fix,
    Outcome,
    Setting,
    Unanswered,
    could_not_tell,
    failed,
    not_applicable,
    passed,
    warned,
)
from golive.checks.requests import answered
from golive.checks.web import Exchange

family = Family("release", "Whether what is live is whole, was verified, and can be taken back.")
_WELL = ("ready", "served")


@family.app(
    "live",
    "Every service runs with all its instances",
    "A service that is down is found by visitors first.",
    answers="rt-apps.13 datifyy.7",
)
async def live(app: App) -> Outcome:
    status = await app.status()
    wrong, lines = [], []
    for name, service in status["services"].items():
        ready = [one for one in service["instances"] if one["state"] in _WELL]
        lines.append(f"{name}: {service['kind']}, {len(ready)} of {service['wanted']} ready")
        if service["suspended_since"]:
            wrong.append(f"{name} is suspended")
        elif service["kind"] in ("web", "worker") and len(ready) < max(service["wanted"], 1):
            wrong += [f"{name}: {one['state']} {one['reason']}".rstrip() for one in service["instances"]] or [name]
    evidence = app.said("status", "\n".join(lines))
    if wrong:
        return failed("; ".join(wrong), evidence, fix="golive logs shows why")
    return passed(f"release {status['release']}: {', '.join(status['services'])}", evidence)


@family.app(
    "steady",
    "Instances do not restart again and again",
    "Each restart is a crash that lost what it was working on.",
    answers="datifyy.13 rt-apps.13",
)
async def steady(app: App) -> Outcome:
    status = await app.status()
    found = {name: sum(one["restarts"] for one in service["instances"]) for name, service in status["services"].items()}
    lines = app.said("status", "\n".join(f"{name}: {count} restarts" for name, count in found.items()))
    worst = {name: count for name, count in found.items() if count}
    if worst:
        text = ", ".join(f"{name} {count} times" for name, count in worst.items())
        return warned(text, lines, fix=f"golive logs {next(iter(worst))}")
    return passed("none", lines)


@family.app(
    "verified",
    "The last deployment went through",
    "An app that stands on a failed deploy is not what you think it is.",
    answers="darasa.4 rt-apps.20",
)
async def verified(app: App) -> Outcome:
    ended = [one for one in (await app.fact("deployments"))["deployments"] if one["state"] not in ("queued", "running")]
    if not ended:
        return not_applicable("none was made yet")
    last = max(ended, key=lambda one: one["id"])
    steps = "\n".join(f"{step['name']}: {step['state']} {step['detail'] or ''}".rstrip() for step in last["steps"])
    evidence = app.said("deployments", steps)
    if last["state"] != "done":
        what = (last["error"] or {}).get("what", "")
        return failed(f"{last['kind']} {last['id']} {last['state']}: {what}", evidence, fix="mend it, then golive up")
    return passed(f"{last['kind']} {last['id']}", evidence)


@family.app(
    "rollback",
    "There is a release to go back to",
    "Going back is minutes; mending in haste is the second outage.",
    answers="darasa.6",
)
async def rollback(app: App) -> Outcome:
    releases = (await app.fact("releases"))["releases"]
    kept = [one for one in releases if one["state"] == "ready"]
    evidence = app.said("releases", "\n".join(f"{one['release']}: {one['state']}" for one in releases[:8]))
    if app.blueprint.release.keep < 2:
        fix = Fix("keep some", (Setting(("release", "keep"), 5),))
        return warned("only the live one is kept", evidence, fix=fix)
    if not kept:
        return not_applicable("this is the first release", evidence)
    return passed(f"release {kept[0]['release']}", evidence)


@family.app(
    "probes",
    "Every web service says when it is ready",
    "A probe of the port alone sends visitors to an app that has not connected to its database.",
    answers="threadr.4 datifyy.7 rt-apps.13",
)
async def probes(app: App) -> Outcome:
    web = {n: s for n, s in app.blueprint.services.items() if s.kind is ServiceKind.WEB}
    if not web:
        return not_applicable("no web service")
    bare = [n for n, s in web.items() if not (p := s.health.ready) or not (p.path or p.grpc or p.command)]
    shown = "\n".join(f"{n}: {(s.health.ready and s.health.ready.path) or 'the port'}" for n, s in web.items())
    if bare:
        settings = tuple(Setting(("services", name, "health"), "/health") for name in bare)
        fix = Fix("answer a path, and name it", settings)
        return warned(f"only the port of {', '.join(bare)}", Evidence("golive config", shown), fix=fix)
    return passed(", ".join(web), Evidence("golive config", shown))


@family.app(
    "requests",
    "What golive.toml says the app answers, it answers",
    "What your app has to say is known to you only: name a request for each thing that has to work.",
    answers="datifyy.10 rt-apps.20",
)
async def requests(app: App) -> Outcome:
    wanted = app.blueprint.checks.requests
    if not wanted:
        shown = Evidence("golive config", "no [[checks.requests]]")
        return could_not_tell(
            "golive.toml names none", shown, fix="[[checks.requests]] with name, path, status, contains"
        )
    if app.site is None:
        return not_applicable("the app answers no requests")
    return await answered(app.site, wanted)


@family.app(
    "endpoints",
    "Endpoints that the app documents do not fail",
    "An endpoint that always answers 500 is nobody's until a customer finds it.",
    answers="datifyy.10 rt-apps.20 rt-apps.21",
)
async def endpoints(app: App) -> Outcome:
    if app.site is None:
        return not_applicable("the app answers no requests")
    paths = await _documented(app)
    if not paths:
        return not_applicable("no openapi.json names an endpoint without parameters")
    answers = [one for one in await app.site.web.all(map(app.site.url, paths)) if isinstance(one, Exchange)]
    lines = "\n".join(f"{one.status} {one.url}" for one in answers)
    broken = [one for one in answers if one.status >= 500]
    evidence = Evidence("GET each", lines)
    if broken:
        text = ", ".join(f"{one.status} {one.url}" for one in broken[:4])
        return failed(text, evidence, broken[0].evidence("content-type", body=200), fix="golive logs shows why")
    return passed(f"{len(answers)} asked", evidence)


async def _documented(app: App) -> list[str]:
    """Paths of an OpenAPI document that take a GET without anything, at most 20."""
    import json

    bases = dict.fromkeys(["", *(route.rstrip("/") for s in app.blueprint.services.values() for route in s.route)])
    for base in bases:
        if app.site is None:
            break
        try:
            answer = await app.site.web.ask(app.site.url(f"{base}/openapi.json"))
            paths = json.loads(answer.text)["paths"] if answer.ok else {}
        except (Unanswered, ValueError, KeyError, TypeError):
            continue
        found = [
            path
            for path, verbs in paths.items()
            if isinstance(verbs, dict)
            and "get" in verbs
            and "{" not in path
            and not any(p.get("required") for p in verbs["get"].get("parameters", []) if isinstance(p, dict))
        ]
        if found:
            return [path if path.startswith(base) else base + path for path in found[:20]]
    return []


@family.app(
    "audit",
    "It is known who changed what",
    "After an incident this is the first question.",
    answers="akashic.8",
)
async def audit(app: App) -> Outcome:
    from datetime import UTC, datetime

    entries = (await app.fact("audit"))["entries"]
    if not entries:
        return warned("nothing is written down", app.said("audit", "(empty)"))
    newest = sorted(entries, key=lambda one: -one["at"])[:8]
    lines = "\n".join(
        f"{datetime.fromtimestamp(e['at'], UTC):%Y-%m-%d %H:%M} {e['actor']} {e['action']}" for e in newest
    )
    people = {one["actor"] for one in entries}
    return passed(f"{len(entries)} entries by {len(people)}; look through them", app.said("audit", lines))
