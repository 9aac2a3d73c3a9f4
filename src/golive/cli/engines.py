"""golive engines."""

from __future__ import annotations

import click

from golive.cli import output
from golive.cli.place import client


@click.command()
@click.option("--json", "as_json", is_flag=True)
def engines(as_json: bool) -> int:
    """Envoy, PostgreSQL and Redis: what the machine has, what golive fetched, what it would fetch."""
    found = client().get("/v1/engines")
    if as_json:
        output.data(found)
        return 0
    rows = [tuple(str(value) for value in item.values()) for item in found["engines"]]
    headers = tuple(found["engines"][0]) if found["engines"] else ("name",)
    output.table(headers, rows)
    return 0
