"""golive db dump."""

from __future__ import annotations

from typing import Any

import click

from golive.cli import complete, output
from golive.cli.place import Target, client, place_options
from golive.errors import UsageError
from golive.units import human_size


@click.command()
@click.argument("resource", required=False, shell_complete=complete.resources)
@click.option("--list", "listed", is_flag=True, help="What dumps there are.")
@click.option("--open", "opened", metavar="ID", help="Unseal one, `newest` or by its id, for pg_restore.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def dump(target: Target, resource: str | None, listed: bool, opened: str | None, as_json: bool) -> int:
    """A logical dump of a PostgreSQL (pg_dump), sealed and kept where the backups are, and read back. It is what there
    is to a database that somebody else runs: of those golive makes one each day. Of its own, backups are better.

    \b
    Examples:
      golive db dump
      golive db dump --list
      golive db dump db --open newest
    """
    if listed and opened:
        raise UsageError("--list and --open are two things", hint="golive db dump --list shows the ids")
    work = "list" if listed else "open" if opened else "create"
    body = {**target.query(), "resource": resource, "work": work, "id": None if opened == "newest" else opened}
    result: dict[str, Any] = {}
    for line in client().stream("POST", "/v1/dumps", body):
        if line["type"] == "done":
            result = {key: value for key, value in line.items() if key != "type"}
        elif line["type"] == "progress":
            output.say(f"  {human_size(line['done'])} dumped")
    if as_json:
        output.data(result)
    elif listed:
        _show(result)
    elif opened:
        print(result["path"])
        output.say("  it is not sealed: remove it when it is of no more use")
        output.say(f"  pg_restore --no-owner --clean --if-exists -d URL {result['path']}")
    else:
        sizes = f"{human_size(result['data'])}, {human_size(result['size'])} kept"
        output.say(f"{result['resource']}: dump {result['id']}, {result['tables']} tables, {sizes}; it was read back")
    return 0


def _show(found: dict[str, Any]) -> None:
    if not found["dumps"]:
        print(f"{found['resource']} has no dump; golive db dump makes one")
        return
    rows = [
        (d["id"], output.ago(d["ended"]), d["version"], human_size(d["data"]), human_size(d["size"]))
        if "ended" in d
        else (d["id"], "", "", "", f"cannot be used: {d['why']}")
        for d in found["dumps"]
    ]
    output.table(("dump", "when", "version", "data", "size"), rows)
