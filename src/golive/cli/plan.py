"""golive plan: what a deploy would change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from golive.cli import output
from golive.cli.place import client, find

WORDS = {"keep": "unchanged", "reuse": "back to a warm one", "start": "new instances"}


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), default=Path(), metavar="[DIR]")
@click.option("-e", "--environment", default="production", show_default=True)
@click.option("--json", "as_json", is_flag=True)
def plan(directory: Path, environment: str, as_json: bool) -> int:
    """What a deploy of DIR would change: services, resources, migrations, settings. Changes nothing."""
    target = find(directory, environment)
    found = client().send("POST", "/v1/plan", {**target.query(), "checkout": str(target.checkout)})
    if as_json:
        output.data(found)
    else:
        _show(found)
    return 0


def _show(found: dict[str, Any]) -> None:
    if not found["changes"]:
        print(f"nothing to do: release {found['live']} is live and unchanged")
        return
    rows = []
    for name, service in found["services"].items():
        gap = "" if service["overlap"] or service["action"] == "keep" else "; cannot overlap: requests wait meanwhile"
        rows.append(("service", name, WORDS[service["action"]] + f" ({service['artifact']})" + gap))
    rows += [("service", name, "stopped: no longer in golive.toml") for name in found["removed_services"]]
    rows += [("resource", name, action) for name, action in found["resources"].items() if action != "keep"]
    rows += [("migration", item, "to apply") for item in found["migrations"]]
    rows += [("setting", line.partition(": ")[0], line.partition(": ")[2]) for line in found["settings"]]
    rows += [("missing", line, "the deploy will stop here") for line in found["missing"]]
    output.table(("what", "name", "change"), rows)
