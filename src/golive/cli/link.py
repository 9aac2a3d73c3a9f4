"""golive link: how a protected environment opens."""

from __future__ import annotations

import click

from golive.cli import output
from golive.cli.place import Target, client, place_options


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def link(target: Target, as_json: bool) -> int:
    """The link that opens an environment with `protect`, for each domain. Whoever has it is let in.

    \b
    Example:
      golive link -e preview/new-page
    """
    found = client().get("/v1/links", **target.query())
    if as_json:
        output.data(found)
        return 0
    if not found["links"]:
        output.say(f"{target} has no link: either it is open to everybody, or protect has no `link = true`")
    for one in found["links"]:
        print(one)
    return 0
