"""golive audit."""

from __future__ import annotations

import click

from golive.cli import output
from golive.cli.place import client


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def audit(as_json: bool) -> int:
    """Who changed what and when, newest first. Names of variables, never values.

    \b
    Example:
      golive audit --json | jq '.entries[] | select(.action == "deploy")'
    """
    found = client().get("/v1/audit")
    if as_json:
        output.data(found)
        return 0
    rows = []
    for entry in found["entries"]:
        place = f"{entry['app']}/{entry['environment']}" if entry["app"] else ""
        detail = " ".join(f"{k}={v}" for k, v in entry["detail"].items() if v not in (None, [], ""))
        rows.append((output.ago(entry["at"]), entry["actor"], entry["action"], place, detail))
    output.table(("when", "who", "what", "where", "detail"), rows, fold=("who", "where", "detail"))
    return 0
