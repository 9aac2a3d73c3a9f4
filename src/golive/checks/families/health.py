"""Health: whether it answers, and says so."""

from __future__ import annotations

import json
import re

from golive.checks.model import Family, Outcome, Unanswered, failed, not_applicable, passed, warned
from golive.checks.site import Site

family = Family("health", "Whether it works now, and whether machines can tell.")
_TELLING = re.compile(
    r"(postgres(?:ql)?|redis|mysql|mongodb)s?://[^\s\"]*:[^\s\"@]+@|password|secret|api[_-]?key", re.I
)


@family.site(
    "answers",
    "The site answers",
    "Nothing else matters until it does.",
    answers="rt-apps.20 rt-apps.13 datifyy.10 threadr.4",
)
async def answers(site: Site) -> Outcome:
    try:
        home = await site.home()
    except Unanswered as error:
        return failed(str(error), fix="see whether it runs, and what its log says")
    if home.status >= 500:
        return failed(f"it answers {home.status}", home.evidence("content-type", body=200), fix="look at its logs")
    if home.status >= 400 and home.status not in (401, 403, 404, 405, 426):
        return failed(f"it answers {home.status}", home.evidence("content-type", body=200))
    if home.status == 404 and (well := [one for one in await site.endpoints() if one.ok]):
        return passed(
            f"404 there, as of an API; {well[0].url} answers", home.evidence(), well[0].evidence("content-type")
        )
    if home.status == 404:
        return warned("nothing is at that path", home.evidence("content-type"), fix="check the address that people use")
    return passed(f"{home.status}, {home.type or 'no type'}", home.evidence("content-type"))


@family.site(
    "endpoint",
    "A health endpoint says 200",
    "Uptime monitors, load balancers and deploys ask it; without one a dead database looks like a working page.",
    answers="datifyy.7 rt-apps.13 threadr.4 akashic.7",
)
async def endpoint(site: Site) -> Outcome:
    found = await site.endpoints()
    if not found:
        fix = "answer /health with 200, and 503 when the database is gone"
        return warned("none at the usual paths", (await site.missing()).evidence("content-type"), fix=fix)
    sick = [one for one in found if not one.ok]
    if sick:
        return failed(f"{sick[0].status}", sick[0].evidence("content-type", body=300), fix="see what it names")
    return passed(", ".join(f"{one.url} {one.status}" for one in found), found[0].evidence("content-type", body=200))


@family.site(
    "honest",
    "Health says what it means",
    "A 200 that says “database: down” keeps a broken app in service.",
    answers="datifyy.7 rt-apps.21 threadr.4",
)
async def honest(site: Site) -> Outcome:
    found = [one for one in await site.endpoints() if one.ok]
    if not found:
        return not_applicable("no health endpoint answers 200")
    for one in found:
        if bad := _sick(one.text):
            fix = "answer 503 when something it needs is gone"
            return failed(f"200, but {bad}", one.evidence("content-type", body=300), fix=fix)
    return passed("its words say the same as its status", found[0].evidence("content-type", body=200))


@family.site(
    "discreet",
    "Health tells strangers nothing",
    "Connection strings and versions belong in logs.",
    answers="rt-apps.11 datifyy.16",
)
async def discreet(site: Site) -> Outcome:
    found = await site.endpoints()
    if not found:
        return not_applicable("no health endpoint is known")
    for one in found:
        if told := _TELLING.search(one.text):
            kind = "an address with a password" if "://" in told[0] else f"“{told[0]}”"
            return failed(f"{one.url} shows {kind}", one.evidence("content-type"), fix="say only well or not")
    return passed("nothing that should be hidden", found[0].evidence("content-type"))


@family.site(
    "steady",
    "It answers every time",
    "One failure in five is a broken instance behind a load balancer.",
    answers="rt-apps.20 datifyy.10",
)
async def steady(site: Site) -> Outcome:
    home = await site.home()
    states = [home.status]
    for again in range(1, 5):
        states.append((await site.web.ask(home.url, again=again)).status)
    if len(set(states)) > 1:
        return failed(
            f"five answers: {', '.join(map(str, states))}", home.evidence(), fix="look at each instance's log"
        )
    return passed(f"five times {states[0]}", home.evidence("content-type"))


def _sick(text: str) -> str:
    """The first part of a JSON answer that says it is not well."""
    try:
        data = json.loads(text[:100_000])
    except ValueError:
        return ""
    todo = [("", data)]
    while todo:
        path, value = todo.pop(0)
        if isinstance(value, dict):
            todo += [(f"{path}.{key}".lstrip("."), inner) for key, inner in list(value.items())[:50]]
        elif isinstance(value, list):
            todo += [(f"{path}[{at}]", inner) for at, inner in enumerate(value[:50])]
        elif isinstance(value, str) and re.search(
            r"^(down|unhealthy|failed|failing|error|disconnected|unavailable|critical|not[ _]ready)\b", value, re.I
        ):
            return f"{path}: {value[:60]}"
        elif value is False and re.search(r"(ok|healthy|ready|connected|up)$", path, re.I):
            return f"{path}: false"
    return ""
