"""JSON Schema (draft 2020-12) of golive.toml for editors, made from the models.

The models describe the resolved blueprint; the file may leave out what is detected and use short forms, so both are
added here. `python -m golive.blueprint.schema --write` renews the published files, `--check` fails when they are old.
"""

from __future__ import annotations

import copy
import functools
import json
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from golive.blueprint.faults import plain_type
from golive.blueprint.fields import duration_text
from golive.blueprint.models import DOMAIN_PATTERN, ROUTE_PATTERN, Blueprint

Schema = dict[str, Any]
SCHEMA_FILE = Path("docs/reference/golive.schema.json")

_OPTIONAL: Mapping[str, tuple[str, ...]] = {"Service": ("kind",), "Migrations": ("tool", "source", "resource")}
"""Required in a resolved blueprint; detected when the file leaves them out."""


@functools.cache
def json_schema() -> Schema:
    """The schema of the file: short forms allowed, what is detected or has a default optional. Read only."""
    schema = Blueprint.model_json_schema(by_alias=True)
    definitions: dict[str, Schema] = {name: _plain(found) for name, found in schema.pop("$defs").items()}
    root: Schema = _plain(schema)
    for name, keys in _OPTIONAL.items():
        definitions[name]["required"] = [k for k in definitions[name].get("required", []) if k not in keys]
    root["properties"].pop("environment")
    _tidy_defaults(Blueprint, root, definitions)
    _add_short_forms(root, definitions)
    _add_overlay(root, definitions)
    root["properties"]["environments"] = {
        "description": "What is different in an environment: production, preview, development, …",
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/Environment"},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "golive.toml",
        **root,
        "description": "What an application is and what it needs, for golive.",
        "$defs": dict(sorted(definitions.items())),
    }


def _plain(node: Any) -> Any:
    """Without titles and without null, which TOML does not have."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {
        key: {name: _plain(entry) for name, entry in value.items()}
        if key in ("properties", "patternProperties")  # names of keys, not words of JSON Schema
        else _plain(value)
        for key, value in node.items()
        if key != "title"
    }
    if "default" in kept and (kept["default"] is None or isinstance(kept["default"], dict | list)):
        del kept["default"]  # a table's own keys say their defaults
    if "patternProperties" in kept:
        kept["additionalProperties"] = False
    choices = [choice for choice in kept.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        del kept["anyOf"]
        kept = {**choices[0], **kept}
    return kept


def _tidy_defaults(model: type[BaseModel], schema: Schema, definitions: dict[str, Schema]) -> None:
    """Durations as the file writes them; pydantic gives ISO 8601."""
    for name, info in model.model_fields.items():
        kind = plain_type(info.annotation)
        for inner in map(plain_type, (kind, *get_args(kind))):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                _tidy_defaults(inner, definitions[inner.__name__], definitions)
        if isinstance(info.default, timedelta):
            schema["properties"][info.alias or name]["default"] = duration_text(info.default)


def _add_overlay(root: Schema, definitions: dict[str, Schema]) -> None:
    """An environment's partial blueprint: nothing is required in it, and it has no name of its own."""
    properties = copy.deepcopy({key: value for key, value in root["properties"].items() if key != "name"})
    definitions["PartialResource"] = {k: v for k, v in definitions["Resource"].items() if k != "required"}
    for entry in properties["resources"]["patternProperties"].values():
        entry["anyOf"][-1] = {"$ref": "#/$defs/PartialResource"}
    properties["services"].pop("minProperties")
    about = "A partial blueprint, merged over the file for one environment."
    overlay = {key: value for key, value in root.items() if key != "required"}
    definitions["Environment"] = {**overlay, "properties": properties, "description": about}


def _add_short_forms(root: Schema, definitions: dict[str, Schema]) -> None:
    path: Schema = {"type": "string", "pattern": ROUTE_PATTERN}
    domain: Schema = {"type": "string", "pattern": DOMAIN_PATTERN}
    service = definitions["Service"]["properties"]
    _also(root["properties"], "domains", domain)
    _also(root["properties"], "migrations", {"type": "string"}, {"const": False})
    _also(root["properties"], "protect", {"type": ["string", "boolean"]})
    _also(definitions["Migrations"]["properties"], "rehearse", {"type": "boolean"})
    _also(service, "route", path)
    _also(service, "domains", domain)
    _also(service, "health", path)
    _also(service, "scale", {"type": "integer", "minimum": 1, "maximum": 100})
    _also(service, "rate_limit", {"$ref": "#/$defs/RateLimit"}, {"type": "string"})
    _also(service, "csp", {"type": "boolean"})
    _also(service, "cors", {"type": "string"}, {"type": "array", "items": {"type": "string"}})
    _also(service, "quota", {"$ref": "#/$defs/Quota"}, {"type": "string"})
    for probe in definitions["Health"]["properties"]:
        _also(definitions["Health"]["properties"], probe, path)
    _also(definitions["Probe"]["properties"], "grpc", {"type": "boolean"})
    _also(definitions["Variable"]["properties"], "for", {"type": "string"})
    for key in ("acme", "csp", "shield"):
        _also(definitions["EdgePolicy"]["properties"], key, {"type": "boolean"})
    hook: Schema = {"anyOf": [{"$ref": "#/$defs/Hook"}, {"type": "string"}]}
    for when in definitions["Hooks"]["properties"]:
        _also(definitions["Hooks"]["properties"], when, hook, {"type": "array", "items": hook})
    _also_items(root["properties"]["resources"], {"type": "string", "pattern": r"^(postgres|redis)(:[0-9]+)?$"})
    _also_items(root["properties"]["env"], {"type": ["string", "integer", "number", "boolean", "array"]})


def _also(properties: Schema, key: str, *forms: Schema) -> None:
    """Let the key take these forms beside its own; what it says about itself stays outside."""
    about = {k: properties[key][k] for k in ("description", "default") if k in properties[key]}
    own = {k: v for k, v in properties[key].items() if k not in about}
    properties[key] = {**about, "anyOf": [*forms, own]}


def _also_items(table: Schema, form: Schema) -> None:
    table["patternProperties"] = {name: {"anyOf": [form, own]} for name, own in table["patternProperties"].items()}


@functools.cache
def generated() -> dict[Path, str]:
    """Every published file and its text."""
    from golive.blueprint.reference import REFERENCE_FILE, reference_page

    schema = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    return {SCHEMA_FILE: schema, REFERENCE_FILE: reference_page()}


def outdated(root: Path) -> list[Path]:
    """The published files under the repository's root that are not what the models say."""
    return [
        path
        for path, text in generated().items()
        if not (root / path).is_file() or (root / path).read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str]) -> int:
    """`--write` renews the files in the current folder, `--check` only says which are old (exit 1)."""
    if arguments not in (["--write"], ["--check"]):
        sys.stderr.write("usage: python -m golive.blueprint.schema --write|--check\n")
        return 2
    old = outdated(Path())
    if arguments == ["--check"]:
        sys.stderr.writelines(f"{path} is not what the models say; run with --write\n" for path in old)
        return 1 if old else 0
    for path in old:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(generated()[path], encoding="utf-8")
        sys.stderr.write(f"wrote {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
