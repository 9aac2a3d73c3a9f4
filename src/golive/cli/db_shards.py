"""golive db shards."""

from __future__ import annotations

from typing import Any

import click

from golive.cli import output
from golive.cli.place import Target, client, place_options
from golive.units import human_size


@click.command()
@click.argument("name", required=False, metavar="[MAP]")
@click.option("--json", "as_json", is_flag=True, help="As JSON, in bytes.")
@place_options
def shards(target: Target, name: str | None, as_json: bool) -> int:
    """The databases of a shard map, how full each is, and which slots would have to move to make them even. A plan
    only: nothing is moved.

    \b
    Example:
      golive db shards users
    """
    found = client().get("/v1/db/size", **target.query(), shards=name or "")
    if as_json:
        output.data(found)
        return 0
    for at, each in enumerate(found["shards"]):
        if at:
            print()
        _show(each)
    return 0


def _show(found: dict[str, Any]) -> None:
    print(f"{found['name']}: {found['slots']} slots by {found['key']}")
    rows = [(d["name"], d["slots"] or "none", human_size(d["size"])) for d in found["databases"]]
    output.table(("database", "slots", "size"), rows, fold=("slots",))
    steps = found["plan"]["steps"]
    if not steps:
        print("they are even; nothing to move")
        return
    print("to make them even:")
    for step in steps:
        print(f"  slots {step['slots']}: {step['source']} to {step['target']}, about {human_size(step['bytes'])}")
    wanted = ", ".join(f'{name} = "{slots}"' for name, slots in found["plan"]["map"].items())
    print(f"then in golive.toml: map = {{ {wanted} }}")
