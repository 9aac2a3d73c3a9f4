"""golive engines."""

from __future__ import annotations

import click

from golive.cli import output
from golive.cli.place import client
from golive.units import human_size

ORIGINS = {"machine": "this machine", "wheel": "package index"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def engines(as_json: bool) -> int:
    """Envoy, PostgreSQL and Redis: what the machine has, what golive fetched, what it would fetch.

    \b
    Example:
      golive engines
    """
    found = client().get("/v1/engines")
    if as_json:
        output.data(found)
        return 0
    rows = [
        (
            item["name"],
            item["version"],
            ORIGINS.get(item["origin"], item["origin"]),
            human_size(item["size"]) if item["size"] else "",
            item["bin"] or item["note"] or "not here",
        )
        for item in found["engines"]
    ]
    output.table(("name", "version", "from", "size", "where"), rows, fold=("where",))
    return 0
