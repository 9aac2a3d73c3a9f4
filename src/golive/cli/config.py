"""golive config: the resolved blueprint."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from golive.cli import output
from golive.cli.place import directory_argument, environment_option, find

Row = tuple[str, str, str]
LONGEST_ORIGIN = 30


@click.command()
@directory_argument
@environment_option
@click.option("--all", "everything", is_flag=True, help="Defaults too.")
@click.option("--schema", is_flag=True, help="The JSON Schema of golive.toml instead, for editors.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def config(directory: Path, environment: str, everything: bool, schema: bool, as_json: bool) -> int:
    """Everything golive understood from golive.toml and the checkout, and where each value came from.

    \b
    Examples:
      golive config
      golive config -e preview/new-page --all
      golive config --schema > golive.schema.json
    """
    if schema:
        from golive.blueprint.schema import json_schema

        output.data(json_schema())
        return 0
    from golive.blueprint.load import load

    target = find(directory, environment)
    loaded = load(target.checkout or directory, environment)
    if as_json:
        origins = {path: str(origin) for path, origin in loaded.resolved.origins.items()}
        output.data({"blueprint": loaded.blueprint.model_dump(mode="json", by_alias=True), "origins": origins})
        return 0
    rows = []
    for path, value in flatten(loaded.blueprint.model_dump(mode="json", by_alias=True)).items():
        origin = str(loaded.resolved.origins.get(path, "default"))
        if everything or origin != "default":
            rows.append((path, text(value), origin))
    if output.width(sys.stdout) is None:
        output.table(("key", "value", "from"), rows)
    else:
        output.table(("key", "value", "from"), grouped(rows), fold=("value",))
    return 0


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    """Leaves by their key path."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= flatten(item, f"{path}.{key}" if path else key)
    return found


def text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(text(v) for v in value) or "–"
    if isinstance(value, dict):
        return ", ".join(f"{k}={text(v)}" for k, v in value.items()) or "–"
    return str(value).lower() if isinstance(value, bool) else str(value)


def grouped(rows: list[Row]) -> list[Row]:
    """For a terminal: the table (`[services.api]`) on a line of its own, its keys indented below it."""
    made: list[Row] = []
    last = ""
    for path, value, origin in rows:
        parts = path.split(".")
        table = ".".join(parts[:2]) if len(parts) > 2 else ".".join(parts[:-1])
        if table != last:
            made += [("", "", "")] if made else []
            made += [(f"[{table}]", "", "")] if table else []
            last = table
        key = path[len(table) + 1 :] if table else path
        made.append((f"  {key}" if table else key, value, _short(origin.removeprefix("detected from "))))
    return made


def _short(origin: str) -> str:
    """Its end, which tells more than its beginning."""
    return origin if len(origin) <= LONGEST_ORIGIN else "…" + origin[1 - LONGEST_ORIGIN :]
