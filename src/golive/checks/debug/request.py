"""One request, followed to where it leads: where the time went, and what the status means."""

from __future__ import annotations

import re
from collections.abc import Mapping

from golive.checks.debug.account import Account, Phase, State, Step
from golive.checks.site import Address
from golive.checks.web import Entry, Exchange, Web
from golive.errors import UsageError
from golive.units import human_size

SLOW = 1.0
"""Seconds until the last byte, from where a person waits."""
STATUSES = {
    401: "it asks who you are: send a cookie or an Authorization header (-H)",
    403: "it knows, and does not allow it; at golive's edge also what a shield or a list stops: golive logs --edge",
    404: "nothing is at that path: look at the route and strip_prefix in golive config",
    405: "the path is there, and not for this method",
    413: "the body is larger than body_limit allows",
    421: "the certificate of another name was used for this one",
    429: "a limit is used up; Retry-After says until when",
    500: "the app failed: golive logs has its traceback",
    502: "the app closed the connection, or what it said is no HTTP: golive logs",
    503: "no instance was ready: golive status, golive logs",
    504: "the app took longer than the route's timeout: golive logs, and `timeout` in golive.toml",
}
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token of RFC 9110."""
EXPLAINED = ("content-type", "content-encoding", "cache-control", "age", "cache-status", "location", "retry-after")


async def request(
    at: Address,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    *,
    entry: Entry | None = None,
    web: Web | None = None,
) -> Account:
    """GET, HEAD or OPTIONS; `entry` lets in to a protected environment of golive's own. Redirects are followed for a
    GET without `headers`: those are for one site alone. Raises Unanswered where nothing answers."""
    own = web or Web(at.origin, entry=entry)
    try:
        url = at.origin + at.path
        hops = (
            [await own.ask(url, method, headers=headers)]
            if headers or method != "GET"
            else (await own.follow(url))[::-1]
        )
    finally:
        if web is None:
            await own.close()
    steps = tuple(step for hop in hops for step in _steps(hop))
    phases = waterfall(hops)
    last, whole = hops[-1], phases[-1].began + phases[-1].took
    slowest = max(phases, key=lambda phase: phase.took)
    verdict = (
        f"{last.status} {last.reason}".strip() + f" after {_ms(whole)}, most of it {slowest.name} ({_ms(slowest.took)})"
    )
    return Account(f"{method} {url}", verdict, steps, phases)


def waterfall(hops: list[Exchange]) -> tuple[Phase, ...]:
    """Pure: the phases of all requests, one after another. Where a connection was there already it has no phases."""
    found: list[Phase] = []
    at = 0.0
    for number, hop in enumerate(hops, 1):
        mark = f" {number}" if len(hops) > 1 else ""
        dns = hop.seconds.get("dns") or 0.0
        parts = [
            ("DNS", dns),
            ("connect", max((hop.seconds.get("connect") or 0.0) - dns, 0.0)),
            ("TLS", hop.seconds.get("tls") or 0.0),
            ("wait", hop.seconds.get("first") or 0.0),
            ("body", hop.seconds.get("body") or 0.0),
        ]
        for name, took in parts:
            if took > 0:
                found.append(Phase(name + mark, round(at, 4), round(took, 4)))
                at += took
    return tuple(found)


def _steps(hop: Exchange) -> list[Step]:
    """What the answer is, and what each phase of it says."""
    bad = hop.status >= 400
    state: State = "failed" if bad else "ok"
    to = f" → {hop.header('location')}" if 300 <= hop.status < 400 else ""
    found = [
        Step(state, f"{hop.method} {hop.url}", f"{hop.version} {hop.status} {hop.reason}".rstrip() + to, _meaning(hop))
    ]
    shown = [f"{name}: {hop.header(name)}" for name in EXPLAINED if hop.header(name) and name != "location"]
    if shown:
        found.append(Step("note", "headers", "; ".join(shown)))
    if (hop.seconds.get("dns") or 0) > 0.2:
        found.append(Step("warning", "DNS", _ms(hop.seconds["dns"]), "the resolver or the zone's servers are slow"))
    trip = (hop.seconds.get("connect") or 0) - (hop.seconds.get("dns") or 0)
    wait = hop.seconds.get("first") or 0
    if hop.seconds.get("connect"):
        found.append(Step("note", "connect", _ms(trip), "one round trip of the network: distance, not the app"))
        if wait > trip:
            means = f"about {_ms(wait - trip)} of it are the app's own: what it computes and asks its database"
            found.append(
                Step("warning" if wait - trip > SLOW / 2 else "note", "wait for the first byte", _ms(wait), means)
            )
    size = f"{human_size(len(hop.body))}{', cut here' if hop.cut else ''}"
    packed = hop.header("content-encoding")
    heavy = len(hop.body) > 50_000 and not packed and hop.type.partition("/")[0] in ("text", "application")
    found.append(
        Step(
            "warning" if heavy else "note",
            "body",
            size + (f", {packed}" if packed else ""),
            "not compressed: golive's edge does that by itself, unless the answer forbids it" if heavy else "",
        )
    )
    return found


def _meaning(hop: Exchange) -> str:
    if hop.status in STATUSES:
        return STATUSES[hop.status]
    if hop.status >= 500:
        return "the app, or who stands before it, failed"
    if hop.status >= 400:
        return "the app refuses the request as it is"
    return ""


def _ms(seconds: float | None) -> str:
    value = (seconds or 0.0) * 1000
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"


def headers_of(given: tuple[str, ...]) -> dict[str, str]:
    """Of `Name: value` each. UsageError for what is none; it does not show the value."""
    found = {}
    for line in given:
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name of a header", hint="such as -H 'Accept: text/html'")
        if not (value.isprintable() and value.isascii()):
            raise UsageError(
                f"the value of {name} has what no header may have", hint="one line of ASCII; percent-encode the rest"
            )
        found[name.lower()] = value
    return found
