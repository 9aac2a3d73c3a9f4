"""Rules about moves: both sides, the switch, and maps that lead there and back."""

from __future__ import annotations

import re
from collections.abc import Iterator

from golive.blueprint.facts import Facts
from golive.blueprint.faults import Fault
from golive.blueprint.models import VariableType
from golive.blueprint.moves import Move, MoveMap
from golive.blueprint.positions import KeyPath
from golive.errors import nearest

_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


def _moves(facts: Facts) -> Iterator[Fault]:
    for name, move in facts.blueprint.moves.items():
        path: KeyPath = ("moves", name)
        yield from _side((*path, "from"), move.source, "redis", facts)
        yield from _side((*path, "to"), move.to, "postgres", facts)
        yield from _switch((*path, "switch"), move, facts)
        for index, each in enumerate(move.map):
            yield from _keys((*path, "map", index, "keys"), each)
            yield from _content((*path, "map", index), each)


def _side(path: KeyPath, name: str, engine: str, facts: Facts) -> Iterator[Fault]:
    resource = facts.blueprint.resources.get(name)
    if resource is None:
        known = [n for n, r in facts.blueprint.resources.items() if r.engine == engine]
        close = nearest(name, known)
        hint = f"did you mean `{close}`?" if close else f"there are: {', '.join(known)}" if known else None
        yield Fault(path, f"there is no resource `{name}`", hint)
    elif resource.engine != engine:
        yield Fault(path, f"`{name}` is {resource.engine}", f'a resource with engine = "{engine}"')


def _switch(path: KeyPath, move: Move, facts: Facts) -> Iterator[Fault]:
    variable = facts.blueprint.env.get(move.switch)
    hint = f'[env.{move.switch}] with default = "redis"'
    if variable is None:
        yield Fault(path, f"`{move.switch}` is not declared", hint)
    elif variable.type not in (VariableType.STRING, VariableType.ENUM) or variable.default != "redis":
        yield Fault(path, f"`{move.switch}` has to be `redis` where nobody set it", hint, also=(("env", move.switch),))
    elif variable.type is VariableType.ENUM and not {"redis", "postgres"} <= set(variable.values):
        yield Fault(path, f"`{move.switch}` may not be both `redis` and `postgres`", 'values = ["redis", "postgres"]')


def _keys(path: KeyPath, each: MoveMap) -> Iterator[Fault]:
    parts = each.parts
    if not parts:
        yield Fault(path, "has no part in braces", "such as `app:user:{id}`")
    elif wrong := [part for part in parts if not _COLUMN.fullmatch(part)]:
        yield Fault(path, f"`{{{wrong[0]}}}` is not the name of a column")
    elif len(set(parts)) < len(parts):
        yield Fault(path, "has a part twice")
    elif "}{" in each.keys:
        yield Fault(path, "has parts with nothing between them: nobody could tell them apart")
    elif each.keys.startswith("{"):
        yield Fault(path, "begins with a part: it would take every key", "text before it, such as `app:`")


def _content(path: KeyPath, each: MoveMap) -> Iterator[Fault]:
    if each.kind == "string" and each.value is None:
        yield Fault((*path, "value"), "is required: the column of the value")
    if each.kind == "string" and each.fields:
        yield Fault((*path, "fields"), "belongs to a hash or json", 'kind = "hash"')
    if each.kind != "string" and each.value is not None:
        yield Fault((*path, "value"), "belongs to a string", 'fields = { name = "column" }')
    if each.kind != "string" and not each.fields:
        yield Fault((*path, "fields"), "is required: the column of each field", 'fields = { name = "column" }')
    columns = [
        *each.parts,
        *([each.value] if each.value else []),
        *each.fields.values(),
        *([each.expires] if each.expires else []),
    ]
    if wrong := [name for name in each.fields.values() if not _COLUMN.fullmatch(name)]:
        yield Fault((*path, "fields"), f"`{wrong[0]}` is not the name of a column")
    elif twice := [name for name in dict.fromkeys(columns) if columns.count(name) > 1]:
        yield Fault(path, f"the column `{twice[0]}` is named twice")


MOVE_RULES = (_moves,)
