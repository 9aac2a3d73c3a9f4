"""A .env.example that golive wrote itself (`golive env export`): its declarations, as they were in golive.toml."""

from __future__ import annotations

import json
import re
from typing import Any

from golive.blueprint.env import list_items
from golive.blueprint.env_example import HEAD
from golive.blueprint.models import VariableType
from golive.importers.ledger import Ledger, Node
from golive.importers.loading import Loaded
from golive.importers.places import service_name
from golive.importers.report import Imported, Table
from golive.importers.stores import put_resource

_ASSIGNED = re.compile(r"(?:# )?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_FACTS = re.compile(
    r"# (?P<type>[a-z]+(?:\[\])?)(?:: (?P<values>.+?))?, "
    r"(?P<state>this is the default|made by golive|required|optional)"
    r"(?:, for (?P<for>[a-z0-9 -]+?))?(?P<rest>, (?:public: part of what a browser loads|also given to the build))?"
)
_GIVEN = re.compile(r"# Given by golive for the resource `([a-z][a-z0-9-]*)`")
_ENGINES = {"postgresql": "postgres", "redis": "redis"}


def is_exported(text: str) -> bool:
    """Whether golive wrote it."""
    return text.startswith(f"# {HEAD}")


def import_exported(text: str, file: str) -> Imported:
    """Every variable as it was declared, and a resource for each address that golive gives."""
    loaded, declared = Loaded({}), {}
    for block in text.split("\n\n")[1:]:
        *comments, last = block.strip().split("\n")
        if match := _ASSIGNED.fullmatch(last):
            loaded.data[match[1]] = match[2]
            declared[match[1]] = comments
    ledger = Ledger(file, ".env", loaded.data)
    for name, node in ledger.root.items():
        given = _GIVEN.match(declared[name][0]) if declared[name] else None
        facts = _FACTS.fullmatch(declared[name][-1]) if declared[name] else None
        if given and (engine := _ENGINES.get(str(node.value).partition(":")[0])):
            put_resource(node, service_name(given[1]), engine)
        elif facts and facts["type"] in {kind.value for kind in VariableType}:
            _declare(node, name, facts, " ".join(line.lstrip("# ") for line in declared[name][:-1]))
        else:
            node.lose("is not as golive writes it", f"declare env.{name} in golive.toml")
    return ledger.close()


def _declare(node: Node, name: str, facts: re.Match[str], description: str) -> None:
    kind, state, rest = facts["type"], facts["state"], facts["rest"] or ""
    entry: Table = {"type": kind}
    if facts["values"]:
        entry["values"] = facts["values"].split(" | ")
    if state == "this is the default":
        entry["default"] = _default(kind, str(node.value))
    elif state == "made by golive":
        entry["generate"] = True
    elif state == "optional":
        entry["required"] = False
    if state in ("required", "optional") and node.value and kind not in ("secret", "enum"):
        entry["example"] = str(node.value)
    if "browser" in rest:
        entry |= {"client": True, "build": True}
    elif rest:
        entry["build"] = True
    if description:
        entry["description"] = description
    if facts["for"]:
        entry["for"] = facts["for"].split(" and ")
    node.put("env", name, value=entry)


def _default(kind: str, text: str) -> Any:
    """The value as golive.toml has it; the text itself where it is not of its type."""
    text = re.sub(r"^([\"'])(.*)\1$", r"\2", text)
    try:
        if kind in ("int", "float", "bool"):
            return json.loads(text)
        if kind == "int[]":
            return [int(item) for item in list_items(text)]
        return list_items(text) if kind.endswith("[]") else text
    except ValueError:
        return text
