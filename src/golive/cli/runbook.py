"""The runbook of this host: what to do when it is lost, written for somebody who has never done it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from golive.units import human_duration, human_size

WIDTH = 100


def render(facts: dict[str, Any], now: datetime) -> str:
    """Markdown, to be printed or kept beside the key."""
    lines = [
        f"# When {facts['hostname']} is lost",
        "",
        *textwrap.wrap(
            f"Made by golive {facts['golive']} on {now:%Y-%m-%d %H:%M} UTC from what runs there. "
            "Make it anew after a change of domains or places: golive recover --runbook",
            WIDTH,
        ),
        *_gaps(facts),
        "",
        "## What you need",
        "",
        *_needs(facts),
        "",
        "## What to do",
        "",
        *_steps(facts),
        "",
        *(_standby(facts) if facts["places"] else ()),
        "## What comes back",
        "",
        *(line for app in facts["apps"] for line in _app(app)),
    ]
    return "\n".join(lines) + "\n"


def _gaps(facts: dict[str, Any]) -> Iterator[str]:
    """What is not as it should be before the day."""
    found = []
    if not facts["places"]:
        found.append("Nothing of this host is kept elsewhere: set `[backups] to` in golive.toml, and deploy.")
    if not facts["key"]["kept"]:
        found.append("Nobody has said that the key is kept elsewhere: `golive backup key`, now.")
    for place in facts["places"]:
        if place["trouble"]:
            found.append(place["trouble"])
        elif place["made"] is None:
            found.append(f"The host has not been written to {place['to']} yet.")
    for app in facts["apps"]:
        for database in app["databases"]:
            if not any(backup["status"] == "proven" for backup in database["backups"]):
                found.append(f"{app['app']}/{database['name']} has no backup that was proven: golive backup drill")
            if database["own_disk"]:
                found.append(f"The backups of {app['app']}/{database['name']} are on the disk of the database.")
    if found:
        yield from ("", "**To mend before it is needed:**", "")
        yield from _list(found)


def _needs(facts: dict[str, Any]) -> Iterator[str]:
    places = ", ".join(place["to"] for place in facts["places"]) or "a place that has the backups (none is set)"
    needed = [
        f"A machine of {facts['platform']} with golive {facts['golive']}"
        + "".join(f", Python {version}" for version in facts["pythons"]),
        f"The place of the backups: {places}",
        f"The key {facts['key']['id']}, from where you keep passwords",
    ]
    if facts["passphrase"]:
        needed.append("The passphrase of golive's secrets (`golive vault`), from there too: recover asks for it")
    if any(place["to"].startswith("s3://") for place in facts["places"]):
        needed.append("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for that bucket")
    needed.append("Access to the DNS of the domains below")
    yield from _list(needed)


def _steps(facts: dict[str, Any]) -> Iterator[str]:
    place = facts["places"][0]["to"] if facts["places"] else "PLACE"
    objective = min((app["rto"] for app in facts["apps"]), default=0)
    newest = [each["backups"][0] for app in facts["apps"] for each in app["databases"] if each["backups"]]
    drills = [backup["drill"]["seconds"] for backup in newest if backup["drill"]]
    measured = f" The last drills restored the data in {human_duration(sum(drills))}." if drills else ""
    domains = ", ".join(domain for app in facts["apps"] for domain in app["domains"]) or "none"
    steps = [
        f"See that {facts['hostname']} stays off, or is cut off from the network: two of it would both answer.",
        f"On the new machine, with an empty GOLIVE_HOME: `golive recover --from {place}`. It asks for the key, goes "
        f"on when it is repeated, and ends when everything answers. The objective is {human_duration(objective)}."
        f"{measured}",
        "`golive status --all`, and look at each site with a browser that is told the new address.",
        f"Point the domains to the new machine: {domains}.",
        "`golive service install`, so that it starts with the machine; `golive backup create` for each app.",
    ]
    for number, step in enumerate(steps, 1):
        yield from _wrapped(f"{number}. ", step)


def _standby(facts: dict[str, Any]) -> Iterator[str]:
    """Another machine that is nearly there already."""
    place = facts["places"][0]["to"]
    yield from ("## When a standby follows", "")
    yield from _list(
        [
            f"To have one: on another machine of {facts['platform']} with an empty GOLIVE_HOME, `golive standby --from "
            f"{place}`, then `golive service install`. `golive standby status` there shows how far it is.",
            f"When {facts['hostname']} is lost: `golive standby promote` there instead of `golive recover`. It fences "
            f"{facts['hostname']}, fetches the last writes, and serves. Then point the domains to it.",
            f"Should {facts['hostname']} come back, it serves nothing and says why. `golive daemon stop` there, move "
            f"{facts['home']} away, and `golive standby --from {place}` makes it the standby.",
        ]
    )
    yield ""


def _app(app: dict[str, Any]) -> Iterator[str]:
    yield f"**{app['app']} ({app['environment']})**, release {app['release']}: {', '.join(app['domains'])}"
    yield ""
    found = []
    for database in app["databases"]:
        newest = next(iter(database["backups"]), None)
        if newest is None:
            found.append(f"{database['name']}: no backup yet")
            continue
        at = datetime.fromisoformat(newest["ended"]).astimezone(UTC)
        found.append(
            f"{database['name']}: backup {newest['id']} of {at:%Y-%m-%d %H:%M} UTC, {human_size(newest['data'])}, "
            f"{newest['status']}; and every write since"
        )
    found += [f"{name}: its image is built again by `golive up` from a checkout" for name in app["images"]]
    found += [f"{name}: a database of somebody else, reached under the same URL" for name in app["elsewhere"]]
    yield from _list(found or ["no data of its own"])
    yield ""


def _list(items: list[str]) -> Iterator[str]:
    for item in items:
        yield from _wrapped("- ", item)


def _wrapped(mark: str, text: str) -> Iterator[str]:
    blank = " " * len(mark)
    for at, line in enumerate(textwrap.wrap(text, WIDTH - len(mark), break_long_words=False, break_on_hyphens=False)):
        yield (mark if at == 0 else blank) + line
