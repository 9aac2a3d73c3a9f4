"""golive destroy."""

from __future__ import annotations

import sys

import click

from golive.cli import output
from golive.cli.place import Target, client, place_options
from golive.errors import UsageError


@click.command()
@click.option("--yes", metavar="APP", help="The app's name, instead of being asked for it.")
@click.option("--json", "as_json", is_flag=True, help="What was removed, as JSON.")
@place_options
def destroy(target: Target, yes: str | None, as_json: bool) -> int:
    """Stop the app in this environment and remove its databases, variables, releases and logs. Cannot be undone.

    \b
    Example:
      golive destroy --app threadr -e preview/new-page
    """
    if yes is None:
        if not sys.stdin.isatty():
            raise UsageError("destroy asks for the app's name", hint=f"golive destroy --yes {target.app}")
        output.say(f"This removes {target} with all its data, for good.")
        yes = click.prompt("Type the app's name to go on", err=True)
    if yes != target.app:
        raise UsageError(f"{yes!r} is not the app's name, so nothing was removed", hint=f"it is {target.app}")
    found = client().send("POST", "/v1/destroy", target.query())
    if as_json:
        output.data(found)
    else:
        count = found["processes"]
        output.say(f"{target} is gone with its data" + (f"; {count} processes ended" if count else ""))
    return 0
