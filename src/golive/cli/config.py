"""golive config: the resolved blueprint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from golive.cli import output
from golive.cli.place import find


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), default=Path(), metavar="[DIR]")
@click.option("-e", "--environment", default="production", show_default=True)
@click.option("--all", "everything", is_flag=True, help="Defaults too.")
@click.option("--schema", is_flag=True, help="The JSON Schema of golive.toml instead.")
@click.option("--json", "as_json", is_flag=True)
def config(directory: Path, environment: str, everything: bool, schema: bool, as_json: bool) -> int:
    """Everything golive understood from golive.toml and the checkout, and where each value came from."""
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
    values = _flatten(loaded.blueprint.model_dump(mode="json", by_alias=True))
    rows = []
    for path, value in values.items():
        origin = str(loaded.resolved.origins.get(path, "default"))
        if everything or origin != "default":
            rows.append((path, _text(value), origin))
    output.table(("key", "value", "from"), rows)
    return 0


def _flatten(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {path: value}
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= _flatten(item, f"{path}.{key}" if path else key)
    return found


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(_text(v) for v in value) or "–"
    if isinstance(value, dict):
        return ", ".join(f"{k}={_text(v)}" for k, v in value.items()) or "–"
    return str(value).lower() if isinstance(value, bool) else str(value)
