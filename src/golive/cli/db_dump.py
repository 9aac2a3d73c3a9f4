"""golive db dump."""

from __future__ import annotations

import sys
from typing import Any

import click

from golive.cli import complete, output
from golive.cli.backup import STYLES
from golive.cli.place import Target, client, place_options
from golive.errors import UsageError
from golive.units import human_duration, human_size


@click.command()
@click.argument("resource", required=False, shell_complete=complete.resources)
@click.option("--list", "listed", is_flag=True, help="What dumps there are.")
@click.option("--open", "opened", metavar="ID", help="Unseal one, `newest` or by its id, for pg_restore.")
@click.option("--drill", "drilled", metavar="ID", help="Restore one beside, `newest` or by its id, and look at it.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def dump(
    target: Target, resource: str | None, listed: bool, opened: str | None, drilled: str | None, as_json: bool
) -> int:
    """A logical dump of a PostgreSQL (pg_dump), sealed and kept where the backups are, and read back. It is what there
    is to a database that somebody else runs: of those golive makes one each day, and restores the newest each week. Of
    its own, backups are better.

    \b
    Examples:
      golive db dump
      golive db dump --list
      golive db dump --drill newest
      golive db dump db --open newest
    """
    if sum((listed, opened is not None, drilled is not None)) > 1:
        hint = "golive db dump --list shows the ids"
        raise UsageError("--list, --open and --drill are three things", hint=hint)
    work = "list" if listed else "open" if opened else "drill" if drilled else "create"
    id = opened or drilled
    body = {**target.query(), "resource": resource, "work": work, "id": None if id == "newest" else id}
    result: dict[str, Any] = {}
    for line in client().stream("POST", "/v1/dumps", body):
        if line["type"] == "done":
            result = {key: value for key, value in line.items() if key != "type"}
        elif line["type"] == "progress":
            done = f"{human_size(line['done'])} dumped"
            output.say(f"  {done if line['what'] == 'dump' else line['what']}")
    if as_json:
        output.data(result)
    elif listed:
        _show(result)
    elif drilled:
        _prove(result)
    elif opened:
        print(result["path"])
        output.say("  it is not sealed: remove it when it is of no more use")
        output.say(f"  pg_restore --no-owner --clean --if-exists -d URL {result['path']}")
    else:
        sizes = f"{human_size(result['data'])}, {human_size(result['size'])} kept"
        output.say(f"{result['resource']}: dump {result['id']}, {result['tables']} tables, {sizes}; it was read back")
    return 0


def _prove(found: dict[str, Any]) -> None:
    drill = found["drill"]
    what = f"{drill['tables']} tables, {drill['rows']:,} rows"
    output.say(f"{found['resource']}: dump {found['id']} was restored in {human_duration(drill['seconds'])}: {what}")
    for check in drill["checks"]:
        output.say(f"  {check}")


def _show(found: dict[str, Any]) -> None:
    if not found["dumps"]:
        print(f"{found['resource']} has no dump; golive db dump makes one")
        return
    rows = [
        (
            d["id"], output.ago(d["ended"]), output.paint(d["status"], STYLES[d["status"]], sys.stdout), d["version"],
            human_size(d["data"]), human_size(d["size"]), d["why"] or _restored(d["drill"]),
        )
        if "ended" in d
        else (d["id"], "", output.paint("failed", STYLES["failed"], sys.stdout), "", "", "", d["why"])
        for d in found["dumps"]
    ]  # fmt: skip
    output.table(("dump", "when", "status", "version", "data", "size", "restored in"), rows)


def _restored(drill: dict[str, Any] | None) -> str:
    return f"{human_duration(drill['seconds'])}, {output.ago(drill['at'])}" if drill else ""
