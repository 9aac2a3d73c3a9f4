"""golive db promote, golive db upgrade."""

from __future__ import annotations

from typing import Any

import click

from golive.cli import complete, output
from golive.cli.place import Target, client, place_options
from golive.errors import UsageError


@click.command()
@click.argument("resource", required=False, shell_complete=complete.resources)
@click.option("--replica", metavar="NAME", help="Which one; else the one that is least behind.")
@click.option("--force", is_flag=True, help="Also one that is behind, or does not follow.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
@place_options
def promote(target: Target, resource: str | None, replica: str | None, force: bool, as_json: bool) -> int:
    """A replica becomes the primary; the old one follows it from then on. Address and password stay, so the app only
    connects again; behind a pool it waits and notices nothing. A primary that crashed is kept as a stopped copy.

    \b
    Examples:
      golive db promote
      golive db promote db --replica replica-2
    """
    body = {**target.query(), "resource": resource, "replica": replica, "force": force}
    return _told("/v1/db/promote", body, as_json)


@click.command()
@click.argument("resource", required=False, shell_complete=complete.resources)
@click.option("--to", type=int, metavar="MAJOR", help="The version, such as 17.")
@click.option("--rehearse", is_flag=True, help="Only try it on a copy, and say how long it takes.")
@click.option("--undo", is_flag=True, help="Back to what was before.")
@click.option("--force", is_flag=True, help="With --undo: although something was written since.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
@place_options
def upgrade(
    target: Target, resource: str | None, to: int | None, rehearse: bool, undo: bool, force: bool, as_json: bool
) -> int:
    """The next major version of PostgreSQL: rehearsed on a copy, then done while requests wait at the edge. Extensions
    are checked first, statistics made anew, replicas made again. What was before is kept as a stopped copy, and --undo
    goes back to it.

    \b
    Examples:
      golive db upgrade --to 17 --rehearse
      golive db upgrade db --to 17
      golive db upgrade --undo
    """
    body: dict[str, Any] = {**target.query(), "resource": resource}
    if undo:
        return _told("/v1/db/upgrade", {**body, "force": force}, as_json)
    if to is None:
        raise UsageError("to which version?", hint="golive db upgrade --to 17; golive engines lists them")
    code = _told("/v1/db/upgrade", {**body, "to": to, "rehearse": rehearse}, as_json)
    if not rehearse:
        output.say(f"write `version = {to}` in golive.toml, if it names one: the next deploy asks for it")
    return code


def _told(path: str, body: dict[str, Any], as_json: bool) -> int:
    result: dict[str, Any] = {}
    for line in client().stream("POST", path, body):
        if line["type"] == "result":
            result = {key: value for key, value in line.items() if key != "type"}
        else:
            output.say(f"  {line['text']}")
    if as_json:
        output.data(result)
    return 0
