"""golive db promote."""

from __future__ import annotations

from typing import Any

import click

from golive.cli import complete, output
from golive.cli.place import Target, client, place_options


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
    result: dict[str, Any] = {}
    body = {**target.query(), "resource": resource, "replica": replica, "force": force}
    for line in client().stream("POST", "/v1/db/promote", body):
        if line["type"] == "result":
            result = {key: value for key, value in line.items() if key != "type"}
        else:
            output.say(f"  {line['text']}")
    if as_json:
        output.data(result)
    return 0
