"""The declared variables as the text of a .env file: `.env.example`, or a real one with values. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping

from golive.blueprint.env import default_text, resource_variables
from golive.blueprint.models import Blueprint, Resource, Variable, VariableType

WIDTH = 100
HEAD = "Written by `golive env export --example` from golive.toml; change that, and write it again."
_LOCAL = {
    "postgres": "postgresql://{app}:password@localhost:5432/{app}",
    "redis": "redis://localhost:6379/0",
}


def example_text(blueprint: Blueprint, written: Callable[[str], str]) -> str:
    """`.env.example`: what each variable is, whether it is required, its default or example. Never a secret's value.

    A line with `#` before the name may be left as it is: there is a default, or none is needed. `written` quotes a
    value as the file's format wants it.
    """
    blocks = [[f"# {HEAD}"]]
    for name, variable in blueprint.env.items():
        free = not variable.required or variable.default is not None or variable.generate
        blocks.append([*_comment(variable), f"{'# ' if free else ''}{name}={written(_value(variable))}"])
    for name, resource in blueprint.resources.items():
        if resource.url_from is None:
            blocks.append(_given(blueprint, name, resource))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _value(variable: Variable) -> str:
    if variable.type is VariableType.SECRET:
        return ""
    text = default_text(variable)
    return text if text is not None else variable.example or (variable.values[0] if variable.values else "")


def _comment(variable: Variable) -> Iterator[str]:
    if variable.description:
        yield from (f"# {line}" for line in textwrap.wrap(variable.description, WIDTH))
    yield "# " + ", ".join(_facts(variable))


def _facts(variable: Variable) -> Iterator[str]:
    kind = variable.type.value
    yield f"{kind}: {' | '.join(variable.values)}" if variable.type is VariableType.ENUM else kind
    if variable.default is not None:
        yield "this is the default"
    elif variable.generate:
        yield "made by golive"
    else:
        yield "required" if variable.required else "optional"
    if variable.services:
        yield f"for {' and '.join(variable.services)}"
    if variable.client:
        yield "public: part of what a browser loads"
    elif variable.build:
        yield "also given to the build"


def _given(blueprint: Blueprint, name: str, resource: Resource) -> list[str]:
    url = resource_variables(blueprint)[name]["url"]
    return [
        f"# Given by golive for the resource `{name}`; needed only where the app runs without golive.",
        f"# {url}={_LOCAL[resource.engine].format(app=blueprint.name)}",
    ]


def values_text(
    blueprint: Blueprint | None, values: Mapping[str, str], title: str, written: Callable[[str], str]
) -> str:
    """A real .env file: declared variables in the file's order with their comments, then the others."""
    blocks = [[f"# {title}"]]
    declared = blueprint.env if blueprint else {}
    for name, variable in declared.items():
        if name in values:
            blocks.append([*_comment(variable), f"{name}={written(values[name])}"])
        elif variable.required and variable.type is VariableType.SECRET:
            blocks.append([*_comment(variable), f"# {name}="])
    others = [f"{name}={written(text)}" for name, text in sorted(values.items()) if name not in declared]
    if others:
        blocks.append(["# Not declared in golive.toml", *others] if blueprint else others)
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"
