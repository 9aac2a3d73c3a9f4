"""golive trust."""

from __future__ import annotations

import click

from golive.cli import output


@click.command()
def trust() -> int:
    """Print the one command that makes this machine trust golive's local certificate authority."""
    from golive.edge.ca import LocalCA
    from golive.home import Home

    found = LocalCA(Home.default().ca).trust_command()
    print(found.command)
    for note in found.notes:
        output.say(note)
    return 0
