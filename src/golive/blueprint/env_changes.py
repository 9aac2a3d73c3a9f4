"""Two sets of values beside each other: what one would add to the other, change, or leave. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from golive.blueprint.env import RESERVED, default_text, fault_of, injected_names, resource_variables
from golive.blueprint.models import Blueprint, Variable
from golive.blueprint.problem import Problem
from golive.errors import nearest

State = Literal["added", "changed", "unchanged", "absent"]


@dataclass(frozen=True)
class Change:
    """One variable. `before` and `after` are None where it has no value; `kept_out` is why it cannot be taken over."""

    name: str
    state: State
    before: str | None
    after: str | None
    declared: bool
    kept_out: str = ""


def compare(
    blueprint: Blueprint | None, before: Mapping[str, str], after: Mapping[str, str], *, absent: bool = False
) -> list[Change]:
    """What `after` says of each of its variables against `before`; with `absent` also those that only `before` has."""
    names = [*after, *sorted(before.keys() - after.keys())] if absent else list(after)
    return [_change(blueprint, name, before.get(name), after.get(name)) for name in names]


def _change(blueprint: Blueprint | None, name: str, before: str | None, after: str | None) -> Change:
    state: State = "changed"
    if after is None:
        state = "absent"
    elif before is None:
        state = "added"
    elif before == after:
        state = "unchanged"
    declared = blueprint is None or name in blueprint.env
    why = _kept_out(blueprint, name, after)
    return Change(name, state, before, after, declared, why)


def _kept_out(blueprint: Blueprint | None, name: str, after: str | None) -> str:
    if name in RESERVED or name.startswith("GOLIVE_"):
        return "given by golive"
    if owner := _given_by(blueprint, name):
        return f"given by the resource {owner}"
    return "empty" if after == "" else ""


def _given_by(blueprint: Blueprint | None, name: str) -> str | None:
    """The resource that golive runs and that brings this variable."""
    if blueprint is None or name not in injected_names(blueprint):
        return None
    for owner, parts in resource_variables(blueprint).items():
        if name in parts.values() and blueprint.resources[owner].url_from is None:
            return owner
    return None


def faults(blueprint: Blueprint | None, values: Mapping[str, str]) -> Iterator[Problem]:
    """Values that are not of the declared type, and names nobody declared that are close to one that was."""
    if blueprint is None:
        return
    for name, text in values.items():
        variable = blueprint.env.get(name)
        if variable is not None and text and (fault := fault_of(variable, text)):
            yield Problem(f"env.{name}", fault)
        elif (
            variable is None
            and not _kept_out(blueprint, name, text)
            and (close := nearest(name, _unset(blueprint, values)))
        ):
            yield Problem(f"env.{name}", "is not declared", f"did you mean `{close}`?")


def _unset(blueprint: Blueprint, values: Mapping[str, str]) -> list[str]:
    return [name for name, variable in blueprint.env.items() if name not in values and _needs_value(variable)]


def _needs_value(variable: Variable) -> bool:
    return variable.required and variable.default is None and not variable.generate


def with_defaults(blueprint: Blueprint | None, values: Mapping[str, str]) -> dict[str, str]:
    """What an instance sees of the declared and the set: defaults, over them the values."""
    found = {}
    for name, variable in (blueprint.env if blueprint else {}).items():
        if (text := default_text(variable)) is not None:
            found[name] = text
    return found | dict(values)


def shown(text: str | None, name: str, secret: Collection[str], mask: str) -> str | None:
    """The value as anybody may see it."""
    return mask if text and name in secret else text
