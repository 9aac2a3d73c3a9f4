"""golive traffic: who gets how many of the visitors."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import click

from golive.cli import complete, output
from golive.cli.place import Target, client, place_options
from golive.errors import UsageError
from golive.units import duration, human_duration

AUTO = "auto"


@click.command()
@click.argument("share", required=False, metavar="[SHARE|SERVICE=SHARE|auto]", shell_complete=complete.counts)
@click.option("--over", metavar="TIME", help="Reach it evenly within this time: 2h, 3d. Only with SERVICE.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def traffic(target: Target, share: str | None, over: str | None, as_json: bool) -> int:
    """Who gets how many of the new visitors; with SHARE, another part of them. Who has come already stays where he is.

    SHARE alone is about the canary that is under way, which it holds at that share: 100% makes it the live release,
    `auto` lets it go on by its own steps, `golive rollback` ends it. SERVICE=SHARE is about a service with `replaces`.

    \b
    Examples:
      golive traffic
      golive traffic 30%
      golive traffic next=20%
      golive traffic next=100% --over 3d
    """
    if share is None:
        if over is not None:
            raise UsageError("--over needs a share", hint="golive traffic SERVICE=100% --over 3d")
        return _show(client().get("/v1/traffic", **target.query()), as_json)
    body: dict[str, Any] = {**target.query(), **parsed(share)}
    if over is not None:
        body["over"] = _seconds(over)
    found = client().send("POST", "/v1/traffic", body)
    if "service" not in body:
        return _show(found, as_json)
    if as_json:
        output.data(found)
    elif found["from"] == found["percent"]:
        output.say(f"{found['service']}: nothing to do, {found['percent']}%")
    else:
        within = f" within {human_duration(body['over'])}" if over else ""
        change = f"{found['from']}% → {found['percent']}%{within}"
        output.say(f"{found['service']}: {change} of the visitors of {found['replaces']}")
    return 0


def parsed(share: str) -> dict[str, Any]:
    """`30%`, `next=20%` or `auto` as the API takes it. UsageError for anything else."""
    if share == AUTO:
        return {"percent": None}
    match = re.fullmatch(r"(?:([a-z][a-z0-9-]*)=)?(\d{1,3})%?", share)
    if match is None or int(match[2]) > 100:
        raise UsageError(f"{share!r} is no share of visitors", hint="golive traffic 30%, or golive traffic SERVICE=30%")
    return {"percent": int(match[2]), **({"service": match[1]} if match[1] else {})}


def _seconds(text: str) -> float:
    try:
        return duration(text).total_seconds()
    except (ValueError, OverflowError) as error:
        raise UsageError(str(error), where="--over") from error


def _show(found: dict[str, Any], as_json: bool) -> int:
    if as_json:
        output.data(found)
        return 0
    for line in lines(found):
        print(line)
    return 0


def lines(found: dict[str, Any]) -> list[str]:
    """What `golive traffic` prints."""
    canary = found["canary"]
    if canary is None:
        made = [f"release {found['release']}: 100%"]
    else:
        made = [f"release {canary['release']}: {canary['percent']}% of new visitors, {_steps(canary)}"]
        made.append(f"release {found['release']}: the others")
        touched, total = canary["requests"]["canary"], canary["requests"]["all"]
        made.append(f"  {touched:,} of {total:,} requests came to release {canary['release']} so far")
        for name, sides in canary["services"].items():
            made.append(f"  {name}: {_side(sides['canary'])}; release {found['release']}: {_side(sides['live'])}")
    for one in found["shifts"]:
        until = one["until"]
        when = f", {one['goal']}% by {datetime.fromtimestamp(until).astimezone():%d %B %H:%M}" if until else ""
        made.append(f"{one['service']}: {one['percent']}% of the visitors of {one['replaces']}{when}")
    return made


def _steps(canary: dict[str, Any]) -> str:
    if canary["held"]:
        return "held by hand"
    left = [f"{step}%" for step in canary["steps"] if step > canary["percent"]]
    return f"then {', '.join([*left, 'all'])} unless it does worse"


def _side(counts: dict[str, Any]) -> str:
    slow = f", 95 of 100 within {counts['p95_ms']:,.0f} ms" if counts["p95_ms"] is not None else ""
    return f"{counts['requests']:,} requests, {counts['failed']} failed{slow}"
