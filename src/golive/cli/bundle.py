"""golive bundle: the JavaScript that each page loads."""

from __future__ import annotations

from typing import Any

import click

from golive.cli import complete, output
from golive.cli.place import Target, client, place_options
from golive.units import human_size


@click.command()
@click.argument("release", type=int, required=False, shell_complete=complete.releases)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def bundle(target: Target, release: int | None, as_json: bool) -> int:
    """The JavaScript that each page of RELEASE (the live one when none is named) loads at first, and how much more that
    is than in the release before. Of Next.js, Vite, and other sites built of HTML.

    \b
    Examples:
      golive bundle
      golive bundle 12 --json | jq '.pages[] | select(.growth > 10000)'
    """
    query = {**target.query(), **({"release": str(release)} if release else {})}
    found = client().get("/v1/bundle", **query)
    if as_json:
        output.data(found)
        return 0
    if not found["pages"]:
        print(f"release {found['release']} has no page that loads JavaScript")
        return 0
    output.table(("service", "page", "gzipped", "as it is", "growth", ""), rows(found), fold=("page",))
    return 0


def rows(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row for each page; a page that the release before did not have is new."""
    return [
        (
            page["service"],
            page["route"],
            human_size(page["gzip"]),
            human_size(page["raw"]),
            _growth(page["growth"], page["gzip"], found["before"]),
            "over budget" if page["over_budget"] else "",
        )
        for page in found["pages"]
    ]


def _growth(growth: int | None, size: int, before: int | None) -> str:
    if growth is None:
        return "" if before is None else "new"
    if growth == size:
        return "new"
    return f"{'+' if growth > 0 else '-'}{human_size(abs(growth))}" if growth else "same"
