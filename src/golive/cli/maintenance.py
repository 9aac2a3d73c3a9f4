"""golive maintenance: a page instead of the app, for all but some, for a while."""

from __future__ import annotations

import ipaddress
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from golive.cli import complete, output
from golive.cli.place import Target, client, place_options
from golive.errors import NotFound, UsageError
from golive.units import duration

LONGEST = 256 * 1024
"""Bytes of a page: Envoy keeps it in memory once for each route that it answers."""


@click.group()
def maintenance() -> None:
    """A page instead of the app while something is mended. Instances go on running, deploys go on working.

    \b
    Example:
      golive maintenance on --for 30m
    """


@maintenance.command()
@click.option(
    "-s",
    "--service",
    "services",
    multiple=True,
    help="Only this one; may be repeated.",
    shell_complete=complete.services,
)
@click.option("--message", metavar="TEXT", help="What the page says.")
@click.option("--page", type=click.Path(path_type=Path), metavar="FILE", help="HTML to show instead of golive's page.")
@click.option("--allow", multiple=True, metavar="CIDR", help="Addresses whose requests pass; may be repeated.")
@click.option("--until", metavar="TIME", help="Ends by itself then: 14:30, 2026-12-24T18:00.")
@click.option("--for", "length", metavar="TIME", help="Ends by itself after this: 30m, 2h.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def on(
    target: Target, page: Path | None, allow: tuple[str, ...], until: str | None, length: str | None, **rest: Any
) -> int:
    """Answer 503 with a page. Whoever opens the link that is printed goes on seeing the app; the link is on stdout.

    A second time replaces what was asked for before; the link stays.

    \b
    Examples:
      golive maintenance on --message "Moving the database, back at noon" --until 12:00
      golive maintenance on -s api --allow 203.0.113.0/24
    """
    body = {
        **target.query(),
        "services": list(rest["services"]),
        "message": rest["message"],
        "page": _read(page) if page else None,
        "allow": networks(allow),
        "until": moment(until, length, time.time()),
    }
    found = client().send("POST", "/v1/maintenance", body)
    if rest["as_json"]:
        output.data(found)
        return 0
    if not found["changed"]:
        output.say("nothing to do: it is on, as asked for")
    output.say(line(found))
    _links(found)
    return 0


@maintenance.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def off(target: Target, as_json: bool) -> int:
    """Serve requests again.

    \b
    Example:
      golive maintenance off
    """
    found = client().send("DELETE", "/v1/maintenance", target.query())
    if as_json:
        output.data(found)
        return 0
    output.say(f"{target} serves requests again" if found["changed"] else "nothing to do: there is no maintenance")
    return 0


@maintenance.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def status(target: Target, as_json: bool) -> int:
    """Whether there is maintenance, since when, and the link that passes it.

    \b
    Example:
      golive maintenance status --json | jq .on
    """
    found = client().get("/v1/maintenance", **target.query())
    if as_json:
        output.data(found)
        return 0
    print(line(found))
    _links(found)
    return 0


def line(found: dict[str, Any]) -> str:
    """All of it but the links, in one line."""
    if not found["on"]:
        return "no maintenance"
    parts = [f"in maintenance since {output.ago(found['since'])}"]
    if found["services"]:
        parts.append(f"only {', '.join(found['services'])}")
    if found["until"]:
        parts.append(f"until {datetime.fromtimestamp(found['until']).astimezone():%Y-%m-%d %H:%M %Z}")
    if found["allow"]:
        parts.append(f"{', '.join(found['allow'])} may pass")
    return " · ".join(parts)


def _links(found: dict[str, Any]) -> None:
    if found.get("links"):
        output.say("whoever opens this link passes, until it is off:")
        for link in found["links"]:
            print(link)


def networks(given: tuple[str, ...]) -> list[str]:
    """Every one that is wrong is said at once."""
    found, wrong = [], []
    for text in given:
        try:
            found.append(str(ipaddress.ip_network(text.strip(), strict=False)))
        except ValueError:
            wrong.append(text)
    if wrong:
        hint = "such as --allow 203.0.113.7 or --allow 203.0.113.0/24"
        raise UsageError(f"{', '.join(map(repr, wrong))} is not an address or a network", hint=hint)
    return found


def moment(until: str | None, length: str | None, now: float) -> float | None:
    """When it ends, in seconds since 1970; a time without a date is the next one of this machine's clock."""
    if until and length:
        raise UsageError("--until and --for say the same thing", hint="give one of them")
    if length:
        try:
            span = duration(length)
        except (ValueError, OverflowError):
            raise UsageError(f"{length!r} is not a duration", hint="--for 30m, --for 2h") from None
        if not timedelta(0) < span < timedelta(days=3650):
            raise UsageError(f"--for {length} does not end", hint="--for 30m, --for 2h")
        return now + span.total_seconds()
    return _clock(until, now) if until else None


def _clock(text: str, now: float) -> float:
    today = datetime.fromtimestamp(now)
    try:
        if len(text) <= len("14:30:00") and ":" in text:
            then = datetime.combine(today.date(), datetime.strptime(text, "%H:%M").time())
            then += timedelta(days=then <= today)
        else:
            then = datetime.fromisoformat(text)
        end = then.timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{text!r} is not a time", hint="--until 14:30, --until 2026-12-24T18:00") from None
    if end <= now:
        raise UsageError(f"{text} is over", hint="golive maintenance off ends it now")
    return end


def _read(page: Path) -> str:
    try:
        raw = page.read_bytes()
        text = raw.decode()
    except OSError as error:
        raise NotFound(f"{page} cannot be read", why=error.strerror) from error
    except UnicodeDecodeError:
        raise UsageError(f"{page} is not text in UTF-8", hint="--page takes a file of HTML") from None
    if len(raw) > LONGEST:
        hint = "put pictures and styles elsewhere, and name them by their address"
        raise UsageError(f"{page} has {len(raw)} bytes, more than {LONGEST}", hint=hint)
    return text
