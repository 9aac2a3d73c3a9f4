"""golive scale."""

from __future__ import annotations

import click

from golive.cli import output
from golive.cli.place import Target, client, place_options
from golive.errors import UsageError


@click.command()
@click.argument("wanted", nargs=-1, required=True, metavar="SERVICE=COUNT…")
@click.option("--json", "as_json", is_flag=True)
@place_options
def scale(target: Target, wanted: tuple[str, ...], as_json: bool) -> int:
    """Run COUNT instances of SERVICE, inside the bounds of golive.toml. Kept over deploys."""
    results = {}
    for item in wanted:
        service, given, count = item.partition("=")
        if not given or not count.isdigit():
            raise UsageError(f"{item!r} is not SERVICE=COUNT", hint="golive scale api=3")
        body = {**target.query(), "service": service, "instances": int(count)}
        results[service] = client().send("POST", "/v1/scale", body)
    if as_json:
        output.data(results)
        return 0
    for service, found in results.items():
        same = found["from"] == found["to"]
        output.say(f"{service}: {'nothing to do, ' if same else ''}{found['from']} → {found['to']}")
    return 0
