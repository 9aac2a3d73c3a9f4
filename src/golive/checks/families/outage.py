"""Outages: a copy of the live release whose stores are stopped and started, as the daemon makes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from golive.checks.app import App
from golive.checks.model import Evidence, Family, Outcome, could_not_tell, failed, not_applicable, passed, warned

family = Family("outage", "What a copy of the app does while its database or Redis is gone; the live one goes on.")
LONGEST = 150.0
UNAVAILABLE = 503
_ANSWER = 'answer 503 from the path that `health = { ready = "…" }` names when something it needs does not answer'


@family.app(
    "database",
    "Health says so when the database is gone",
    "Where it goes on saying 200, visitors are sent to an app that can do nothing for them.",
    answers="datifyy.7 threadr.4 rt-apps.21 rt-apps.13",
    intrusive=True,
    longest=LONGEST,
)
async def database(app: App) -> Outcome:
    return _noticed(await app.fact("outage"), "postgres", needed=True)


@family.app(
    "redis",
    "Without Redis it says so, or goes on",
    "An app that hangs on a cache that is away is down for want of a copy.",
    answers="datifyy.2 datifyy.7",
    intrusive=True,
    longest=LONGEST,
)
async def redis(app: App) -> Outcome:
    return _noticed(await app.fact("outage"), "redis", needed=False)


@family.app(
    "alive",
    "It lives through it",
    "A process that ends with its database loses what it was doing, and a restart brings no database back.",
    answers="threadr.4 rt-apps.13",
    intrusive=True,
    longest=LONGEST,
)
async def alive(app: App) -> Outcome:
    found = await app.fact("outage")
    if (none := _untried(found)) is not None:
        return none
    shown, ended, sick = [], [], []
    for name, store, said in _each(found):
        live = said["live"]
        state = said["ended"] or "it went on"
        path = f"GET {live['path']} of {name}" if live else f"the process of {name}"
        answer = f"{live['status'] or live['text']}, {state}" if live else state
        shown.append(Evidence(f"{path}, {store} stopped", answer))
        if said["ended"]:
            ended.append(f"{name} ended without {store}: {said['ended']}")
        elif live and not _well(live):
            sick.append(f"{name}: {live['path']} says {live['status'] or live['text']} without {store}")
    if ended:
        return failed("; ".join(ended), *shown, fix="catch what the driver raises, and connect again")
    if sick:
        fix = "let `live` ask for the process alone: golive restarts what fails it"
        return warned("; ".join(sick), *shown, fix=fix)
    return passed("no process ended", *shown)


@family.app(
    "recovers",
    "It works again by itself when they are back",
    "Else somebody has to restart it, at the hour at which databases restart.",
    answers="datifyy.7 rt-apps.21",
    intrusive=True,
    longest=LONGEST,
)
async def recovers(app: App) -> Outcome:
    found = await app.fact("outage")
    if (none := _untried(found)) is not None:
        return none
    shown, lost, longest = [], [], 0.0
    for name, store, told in _each(found):
        back = told["back"]
        shown.append(_shown(found, name, back, f"{store} is back"))
        longest = max(longest, back["after"])
        if not _well(back):
            lost.append(
                f"{name} still says {back['status'] or back['text']}, {back['after']:g} s after {store} is back"
            )
    if lost:
        return failed("; ".join(lost), *shown, fix="use a pool that opens connections anew")
    return passed(f"within {longest:.1f} s", *shown)


def _noticed(found: dict[str, Any], engine: str, *, needed: bool) -> Outcome:
    if (none := _untried(found)) is not None:
        return none
    outages = [one for one in found["outages"] if one["engine"] == engine]
    if not outages:
        return not_applicable(f"the app has no {'PostgreSQL' if engine == 'postgres' else 'Redis'} that golive runs")
    shown, texts, silent, odd, deaf = [], [], [], [], []
    for one in outages:
        store, answers = one["resource"], {name: said["during"] for name, said in one["services"].items()}
        shown += [_shown(found, name, answer, f"{store} is stopped") for name, answer in answers.items()]
        said = {n: a for n, a in answers.items() if a["status"] == UNAVAILABLE}
        texts += [f"{name}: 503 after {answer['after']:.1f} s without {store}" for name, answer in said.items()]
        silent += [f"{n}: {a['text']} without {store}" for n, a in answers.items() if a["status"] is None]
        odd += [
            f"{n}: {a['status']}, not 503" for n, a in answers.items() if (a["status"] or 0) >= 500 and n not in said
        ]
        if not said and all(map(_well, answers.values())):
            deaf.append(f"{', '.join(answers)}: still 200 without {store}")
    if silent:
        return failed("; ".join(silent), *shown, fix=f"give the driver a timeout, and {_ANSWER}")
    if deaf and needed:
        return failed("; ".join(deaf), *shown, fix=_ANSWER)
    if odd:
        return warned("; ".join(odd), *shown, fix=_ANSWER)
    return passed("; ".join([*texts, *deaf]), *shown)


def _untried(found: dict[str, Any]) -> Outcome | None:
    """What to say where there was nothing to stop, or nothing to ask."""
    if found["services"] and found["outages"]:
        return None
    left = "; ".join(f"{name}: {why}" for name, why in found["left_out"].items())
    if left:
        return could_not_tell(f"no service could be tried: {left}", Evidence("golive status", left))
    return not_applicable("the app has no service with a database or Redis that golive runs")


def _each(found: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for one in found["outages"]:
        for name, said in one["services"].items():
            yield name, one["resource"], said


def _shown(found: dict[str, Any], name: str, answer: dict[str, Any], when: str) -> Evidence:
    path = found["services"][name]["path"]
    came = f"{answer['status'] or 'no answer'}, {answer['after']:g} s after {when}\n{answer['text']}"
    return Evidence(f"GET {path} of a copy of {name}, {when}", came)


def _well(answer: dict[str, Any]) -> bool:
    return 200 <= (answer["status"] or 0) < 300
