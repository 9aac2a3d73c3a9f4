"""golive trust."""

from __future__ import annotations

import click

from golive.cli import output


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The command and its notes as JSON.")
def trust(as_json: bool) -> int:
    """Print the one command that makes this machine trust golive's local certificate authority.

    The authority's certificate is limited to names and addresses that cannot belong to anybody on the Internet.

    \b
    Example:
      golive trust | sh
    """
    from golive.edge.ca import LocalCA
    from golive.home import Home

    found = LocalCA(Home.default().ca).trust_command()
    if as_json:
        output.data({"command": found.command, "notes": list(found.notes)})
        return 0
    print(found.command)
    for note in found.notes:
        output.say(note)
    return 0
