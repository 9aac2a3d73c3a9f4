"""golive status, golive releases."""

from __future__ import annotations

from typing import Any

import click

from golive.cli import output
from golive.cli.place import Target, client, find, place_options
from golive.errors import UsageError
from golive.units import human_duration, human_size


@click.command()
@click.argument("directory", type=click.Path(), required=False, metavar="[DIR]")
@click.option("--app", help="Only this app.")
@click.option("-e", "--environment", default="production", show_default=True)
@click.option("-C", "--directory", "other", type=click.Path(), help="Checkout to look in.")
@click.option("--all", "everything", is_flag=True, help="Every app, wherever you stand.")
@click.option("--json", "as_json", is_flag=True)
def status(
    directory: str | None, app: str | None, environment: str, other: str | None, everything: bool, as_json: bool
) -> int:
    """What runs: of the app here, or of every app when there is none here."""
    query: dict[str, str] = {}
    place = directory or other
    if not everything:
        query = _query(place, app, environment)
    found = client().get("/v1/status", **query)
    if as_json:
        output.data(found)
    else:
        _show(found)
    return 0


def _query(place: str | None, app: str | None, environment: str) -> dict[str, str]:
    from pathlib import Path

    try:
        return find(Path(place or "."), environment, app).query()
    except UsageError:
        if place:
            raise
        return {}


def _show(found: dict[str, Any]) -> None:
    if not found["apps"]:
        print("nothing is deployed here yet; golive up in a checkout makes it live")
        return
    for app in found["apps"]:
        _show_app(app)
    edge = found["edge"]
    print(f"edge {edge['state']}, daemon {found['daemon']['pid']}")


def _show_app(app: dict[str, Any]) -> None:
    release = f"release {app['release']}" if app["release"] else "not live"
    print(f"{app['app']} · {app['environment']} · {release}  {' '.join(app['urls'])}")
    rows = [row for name, service in app["services"].items() for row in _service_rows(name, service)]
    rows += [(name, r["engine"] + " " + r["version"], *_process(r)) for name, r in app["resources"].items()]
    output.table(("name", "kind", "state", "since", "restarts", "memory", "pid", "port"), rows)
    for old in app["old"]:
        left = f", {human_duration(old['seconds_left'])} at most" if old["seconds_left"] is not None else ""
        count = f"{old['instances']} instances " if old["instances"] else ""
        print(f"  {old['service']} of release {old['release']}: {count}{old['state']}{left}")
    for deployment in app["deployments"]:
        print(f"  {deployment['kind']} {deployment['id']} is {deployment['state']}")


def _service_rows(name: str, service: dict[str, Any]) -> list[tuple[Any, ...]]:
    if service["kind"] == "cron":
        last = service["last_run"]
        outcome = f"last: {last['outcome']}" if last else "not run yet"
        return [
            (name, f"cron {service['schedule']}", outcome, output.ago(last["due_at"]) if last else "", "", "", "", "")
        ]
    if not service["instances"]:
        return [(name, service["kind"], "served" if service["kind"] == "static" else "none", "", "", "", "", "")]
    rows = []
    for instance in service["instances"]:
        label = name if len(service["instances"]) == 1 else f"{name}.{instance['slot']}"
        rows.append((label, service["kind"], *_process(instance)))
    return rows


def _process(item: dict[str, Any]) -> tuple[Any, ...]:
    state = item["state"] + (f" ({item['reason']})" if item["reason"] and item["state"] != "ready" else "")
    memory = human_size(item["memory"]) if item["memory"] else ""
    return (state, output.ago(item["since"]), item["restarts"], memory, item["pid"], item["port"])


@click.command()
@click.option("--json", "as_json", is_flag=True)
@place_options
def releases(target: Target, as_json: bool) -> int:
    """Releases, newest first. `ready` ones can be rolled back to; a warm one takes traffic at once."""
    found = client().get("/v1/releases", **target.query())
    if as_json:
        output.data(found)
        return 0
    rows = [
        (r["release"], r["state"] + (" (warm)" if r["warm"] else ""), output.ago(r["created_at"]), r["by"], r["schema"])
        for r in found["releases"]
    ]
    output.table(("release", "state", "made", "by", "schema"), rows)
    return 0
