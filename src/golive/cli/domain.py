"""golive domain."""

from __future__ import annotations

from typing import Any

import click

from golive.cli import output
from golive.cli.place import Target, client, place_options

SIGNED = {"local": "golive's local CA", "self-signed": "itself"}


@click.group()
def domain() -> None:
    """Domains of an app: who signed their certificates, and what is in the way.

    \b
    Example:
      golive domain ls
    """


@domain.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def ls(target: Target, as_json: bool) -> int:
    """The live release's domains: who signed the certificate, until when, and what is in the way of a better one.

    \b
    Example:
      golive domain ls
    """
    found = client().get("/v1/domains", **target.query())
    if as_json:
        output.data(found)
        return 0
    rows = [(name, *_row(one)) for name, one in found["domains"].items()]
    output.table(("domain", "signed by", "ends", "renewed", "note"), rows, fold=("signed by", "note"))
    return 0


def _row(one: dict[str, Any]) -> tuple[str, str, str, str]:
    signed = one["issuer"] or SIGNED[one["certificate"]]
    note = one["why_none"] or ("brought by hand" if one["certificate"] == "own" else "")
    if one["trouble"]:
        note = f"{one['trouble']}; next try {output.ahead(one['next_at'])}"
    ends = output.ahead(one["ends"]) if one["ends"] else ""
    return signed, ends, output.ahead(one["renew_at"]) if one["renew_at"] else "", note
