"""golive down."""

from __future__ import annotations

import click

from golive.cli import output
from golive.cli.place import Target, client, place_options


@click.command()
@click.option("--json", "as_json", is_flag=True, help="What was stopped, as JSON.")
@place_options
def down(target: Target, as_json: bool) -> int:
    """Stop the app in this environment: services, databases, traffic. Data, variables and releases are kept.

    \b
    Example:
      golive down && golive up
    """
    found = client().send("POST", "/v1/down", target.query())
    if as_json:
        output.data(found)
    elif found["processes"]:
        output.say(
            f"{target} is down, {found['processes']} processes ended; its data is kept: golive up brings it back"
        )
    else:
        output.say("nothing to do: it is down")
    return 0
