"""golive scale."""

from __future__ import annotations

import click

from golive.cli import complete, output
from golive.cli.place import Target, client, place_options
from golive.errors import UsageError


@click.command()
@click.argument("wanted", nargs=-1, required=True, metavar="SERVICE=COUNT…", shell_complete=complete.counts)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def scale(target: Target, wanted: tuple[str, ...], as_json: bool) -> int:
    """Run COUNT instances of SERVICE, inside the bounds of golive.toml. Kept over deploys.

    \b
    Example:
      golive scale api=3
    """
    counts = dict(count_of(item) for item in wanted)  # all are read before the first is changed
    daemon = client()
    results = {}
    for service, instances in counts.items():
        body = {**target.query(), "service": service, "instances": instances}
        results[service] = daemon.send("POST", "/v1/scale", body)
    if as_json:
        output.data(results)
        return 0
    for service, found in results.items():
        same = found["from"] == found["to"]
        output.say(
            f"{service}: nothing to do, {found['to']}" if same else f"{service}: {found['from']} → {found['to']}"
        )
    return 0


def count_of(item: str) -> tuple[str, int]:
    """`api=3` as its parts."""
    service, given, count = item.partition("=")
    if not given or not service or not count.isdecimal():
        raise UsageError(f"{item!r} is not SERVICE=COUNT", hint="golive scale api=3")
    return service, int(count)
