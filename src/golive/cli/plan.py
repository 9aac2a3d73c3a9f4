"""golive plan: what a deploy would change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from golive.cli import output
from golive.cli.place import client, directory_argument, environment_option, find
from golive.units import human_duration

ACTIONS = {"keep": "unchanged", "reuse": "back to instances that are still warm"}
BUILDS = {"cached": "built already", "to build": "to be built"}


@click.command()
@directory_argument
@environment_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def plan(directory: Path, environment: str, as_json: bool) -> int:
    """What a deploy of DIR would change: services, resources, migrations, settings. Changes nothing.

    \b
    Examples:
      golive plan
      golive plan --json | jq .migrations
    """
    target = find(directory, environment)
    found = client().send("POST", "/v1/plan", {**target.query(), "checkout": str(target.checkout)})
    if as_json:
        output.data(found)
        return 0
    for text in found["warnings"]:
        output.say(output.wrap(text, f"{output.paint('warning:', 'bold')} ", "         "))
    if not found["changes"] and not found["missing"]:
        print(f"nothing to do: release {found['live']} is live and unchanged")
        return 0
    output.table(("what", "name", "change"), rows(found), fold=("name", "change"))
    if found["missing"]:
        output.say("\nthe deploy would stop at what is missing; nothing would change")
    return 0


def rows(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What is missing first, then in the order in which a deploy goes."""
    made = [("missing", *_split(line)) for line in found["missing"]]
    made += [("resource", name, "made") for name, action in found["resources"].items() if action != "keep"]
    made += _rehearsal(found.get("rehearsal"))
    made += [_migration(item) for item in found["migrations"]]
    linted = found.get("lint", {"held": (), "findings": ()})  # an older daemon says nothing of it
    made += [("migration", held["file"], f"waits: {held['reason']}") for held in linted["held"]]
    made += [_danger(each) for each in linted["findings"] if each["level"] in ("stop", "warning")]
    made += [
        ("rollback", f"release {each['release']}", f"not possible after {each['file']}: {each['what']}")
        for each in found.get("rollbacks", ())
    ]
    made += [("service", name, _service(service)) for name, service in found["services"].items()]
    made += [("service", name, "stopped: no longer in golive.toml") for name in found["removed_services"]]
    return made + [("setting", *_split(line)) for line in found["settings"]]


def _service(service: dict[str, Any]) -> str:
    if service["action"] in ACTIONS:
        return ACTIONS[service["action"]]
    text = f"new instances, {BUILDS.get(service['artifact'], service['artifact'])}"
    return text if service["overlap"] else f"{text}; its requests wait while it changes over"


def _migration(item: str) -> tuple[str, str, str]:
    failed, _, why = item.partition("could not be asked: ")
    return ("migration", "", f"not known: {why}") if why and not failed else ("migration", item, "applied")


def _rehearsal(rules: dict[str, Any] | None) -> list[tuple[str, str, str]]:
    if rules is None:
        return []
    limit = rules["longest_lock"]
    most = f", and stops the deploy when a lock that others wait for lasts more than {human_duration(limit)}"
    return [("rehearsal", "", f"on a copy of the database first{most if limit is not None else ''}")]


def _danger(found: dict[str, Any]) -> tuple[str, str, str]:
    word = "stops the deploy" if found["level"] == "stop" else "warning"
    return (found["rule"], f"{found['file']}:{found['line']}", f"{word}: {found['what']}")


def _split(line: str) -> tuple[str, str]:
    name, _, text = line.partition(": ")
    return (name, text) if text else ("", name)
