"""Variables: what a value must be, what an environment lacks, and what each service gets. Pure; no file, no process."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from golive.blueprint import shards
from golive.blueprint.database_parts import Parts, wanted_parts
from golive.blueprint.models import Blueprint, ServiceKind, Variable, VariableType
from golive.blueprint.problem import Problem
from golive.errors import nearest
from golive.secret import Secret

RESERVED = ("PORT", "GRPC_PORT", "HOST", "GOLIVE_APP", "GOLIVE_ENVIRONMENT", "GOLIVE_RELEASE", "GOLIVE_SERVICE")
"""Given by golive to every instance; nobody else may set them."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "postgres": ("url", "host", "port", "name", "user", "password", "direct_url", "replica_url"),
    "redis": ("url", "host", "port", "password"),
}
PREVIOUS = "_PREVIOUS"
"""After a secret's name: its value before a rotation, for the same services."""
_FIRST_PREFIX = {"postgres": "DB", "redis": "REDIS"}
_LIBPQ = {"host": "PGHOST", "port": "PGPORT", "name": "PGDATABASE", "user": "PGUSER", "password": "PGPASSWORD"}

_TRUE_FALSE = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_ITEM_TYPES = {
    VariableType.STRINGS: VariableType.STRING,
    VariableType.INTS: VariableType.INT,
    VariableType.URLS: VariableType.URL,
}
_EMAIL = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>]+")
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_EXAMPLES = {
    VariableType.INT: "such as 42",
    VariableType.FLOAT: "such as 0.5",
    VariableType.BOOL: "true or false",
    VariableType.URL: "with a scheme and a host, such as https://example.com",
    VariableType.EMAIL: "such as team@example.com",
    VariableType.JSON: 'such as {"a": 1}',
}


def scopes(environment: str) -> tuple[str, ...]:
    """Where a value for an environment may be set, widest first: `preview` for all previews, `preview/new-page`."""
    return tuple(dict.fromkeys((environment.partition("/")[0], environment)))


def fault_of(variable: Variable, text: str) -> str | None:
    """Why the text is not a value of the variable's type, or None when it is. The text itself is not in the answer."""
    if "\0" in text:
        return "contains a NUL character"
    if variable.type in _ITEM_TYPES:
        return _list_fault(_ITEM_TYPES[variable.type], text)
    if variable.type is VariableType.ENUM:
        return None if text in variable.values else f"must be one of {', '.join(variable.values)}"
    if _is(variable.type, text):
        return None
    return f"is not {_article(variable.type)}: {_EXAMPLES[variable.type]}"


def _list_fault(item: VariableType, text: str) -> str | None:
    try:
        items = list_items(text)
    except ValueError:
        return "is not a list: comma-separated, or a JSON array"
    for number, entry in enumerate(items, 1):
        if not _is(item, entry):
            return f"has an entry (number {number}) that is not {_article(item)}: {_EXAMPLES[item]}"
    return None


def _article(kind: VariableType) -> str:
    words = {VariableType.INT: "an integer", VariableType.FLOAT: "a number", VariableType.BOOL: "a boolean"}
    words |= {VariableType.URL: "a URL", VariableType.EMAIL: "an e-mail address", VariableType.JSON: "valid JSON"}
    return words[kind]


def list_items(text: str) -> list[str]:
    """The entries of a list variable, written `a, b` or `["a", "b"]`. Raises ValueError for a broken JSON array."""
    if not text.strip().startswith("["):
        return [item.strip() for item in text.split(",") if item.strip()]
    items = _json(text)
    if not isinstance(items, list) or not all(isinstance(item, str | int) for item in items):
        raise ValueError("not a JSON array of strings or integers")
    return [item if isinstance(item, str) else to_text(item) for item in items]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _is(kind: VariableType, text: str) -> bool:
    if kind is VariableType.INT:
        return bool(_INTEGER.fullmatch(text.strip()))
    if kind is VariableType.BOOL:
        return text.strip().lower() in _TRUE_FALSE
    if kind is VariableType.EMAIL:
        return bool(_EMAIL.fullmatch(text))
    if kind is VariableType.URL:
        return _is_url(text)
    try:
        if kind is VariableType.FLOAT:
            return math.isfinite(float(text))
        if kind is VariableType.JSON:
            _json(text)
    except ValueError:
        return False
    return True


def _is_url(text: str) -> bool:
    if any(c.isspace() or not c.isprintable() for c in text):
        return False
    try:
        parts = urlsplit(text)
        return bool(parts.scheme and parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def to_text(value: Any) -> str:
    """A default as it stands in the environment: true/false, lists comma-separated, tables and mixed lists as JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple) and all(isinstance(v, str | int) and "," not in str(v) for v in value):
        return ",".join(to_text(v) for v in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def default_text(variable: Variable) -> str | None:
    """The declared default as text, or None when there is none."""
    if variable.default is None:
        return None
    return (
        json.dumps(variable.default, ensure_ascii=False)
        if variable.type is VariableType.JSON and not isinstance(variable.default, str)
        else to_text(variable.default)
    )


def resource_variables(blueprint: Blueprint) -> Mapping[str, Mapping[str, str]]:
    """Resource → part (`url`, `host`, `port`, `name`, `user`, `password`, `direct_url`, `replica_url`) → its variable.

    The first of an engine without a `prefix` is DATABASE_URL, DB_HOST, …, or REDIS_URL, …; every other one has its
    prefix, or its own name in capitals.
    """
    named: dict[str, Mapping[str, str]] = {}
    taken: set[str] = set()
    for name, resource in blueprint.resources.items():
        prefix = resource.prefix or name.upper().replace("-", "_")
        first = resource.prefix is None and resource.engine not in taken
        if first:
            taken.add(resource.engine)
            prefix = _FIRST_PREFIX[resource.engine]
        parts = {part: f"{prefix}_{part.upper()}" for part in PARTS[resource.engine]}
        if first and resource.engine == "postgres":
            parts |= {part: f"DATABASE_{part.upper()}" for part in parts if part.endswith("url")}
        if resource.url_from is not None:
            parts.pop("direct_url", None)  # the app has it under a name of its own
        if resource.replicas is None:
            parts.pop("replica_url", None)
        named[name] = parts
    return named


def connection_variables(
    blueprint: Blueprint, resource: str, parts: Mapping[str, str | Secret]
) -> dict[str, str | Secret]:
    """The variables of one resource with its values; `parts` as in `resource_variables`, those it knows.

    The first PostgreSQL also gives PGHOST, PGPORT, PGDATABASE, PGUSER and PGPASSWORD, so that `psql` just works.
    """
    names = resource_variables(blueprint)[resource]
    variables = {names[part]: value for part, value in parts.items() if part in names}
    if names["url"] == "DATABASE_URL":
        variables |= {_LIBPQ[part]: value for part, value in parts.items() if part in _LIBPQ}
    return variables


def injected_names(blueprint: Blueprint) -> set[str]:
    """Every variable that the app's resources bring."""
    given = {name for parts in resource_variables(blueprint).values() for name in parts.values()}
    return given | {shards.variable(name) for name in blueprint.shards}


def _services_of(blueprint: Blueprint, variable: Variable) -> Iterator[str]:
    for name, service in blueprint.services.items():
        if service.kind is not ServiceKind.STATIC and (not variable.services or name in variable.services):
            yield name


def check_environment(blueprint: Blueprint, values: Mapping[str, Secret | str]) -> list[Problem]:
    """What stands between these values and a deploy, all of it; no problem shows a value."""
    parts = wanted_parts(blueprint, values)
    problems = []
    for name, variable in blueprint.env.items():
        composed = parts.get(name)
        if composed and composed.missing:
            problems.append(_incomplete(composed))
        elif not composed and (problem := _check(blueprint, name, variable, values)):
            problems.append(problem)
    injected = injected_names(blueprint)
    external = {r.url_from for r in blueprint.resources.values() if r.url_from}
    external |= {name for own in parts.values() for name in own.given.values()}
    for name in values:
        if name in RESERVED:
            problems.append(Problem(f"env.{name}", "is given by golive and cannot be set", f"golive env unset {name}"))
        elif name in injected and name not in external:
            owner = next((r for r, parts in resource_variables(blueprint).items() if name in parts.values()), "shards")
            hint = f'golive env unset {name}, or `url_from = "{name}"` in [resources.{owner}] to use another one'
            problems.append(Problem(f"env.{name}", f"is set by hand, and the resource `{owner}` gives it too", hint))
    return problems + list(_mistyped(blueprint, values, problems))


def _incomplete(parts: Parts) -> Problem:
    has, lacks = ", ".join(parts.given.values()), ", ".join(parts.missing)
    verb = "has" if len(parts.missing) == 1 else "have"
    message = f"has no value, and cannot be composed: of its parts there is {has}, but {lacks} {verb} none"
    return Problem(f"env.{parts.url}", message, f"golive env set {' '.join(f'{n}=…' for n in parts.missing)}")


def _check(blueprint: Blueprint, name: str, variable: Variable, values: Mapping[str, Secret | str]) -> Problem | None:
    value = values.get(name)
    text = value.reveal() if isinstance(value, Secret) else value
    if text:
        fault = fault_of(variable, text)
        return Problem(f"env.{name}", fault, _how_to_set(name, variable)) if fault else None
    wanted = any(name == r.url_from for r in blueprint.resources.values())
    injected = name in injected_names(blueprint) and not wanted
    given = variable.default is not None or variable.generate or injected
    if not (variable.required or wanted) or (text is None and given):
        return None
    if text == "" and variable.type in (VariableType.STRING, VariableType.STRINGS) and given:
        return None
    services = ", ".join(_services_of(blueprint, variable))
    state = "is empty" if text == "" else "has no value"
    needed = f" and is required by {services}" if services else " and is required"
    about = f" ({variable.description})" if variable.description else ""
    return Problem(f"env.{name}", f"{state}{needed}{about}", _how_to_set(name, variable))


def _how_to_set(name: str, variable: Variable) -> str:
    if variable.type is VariableType.ENUM:
        return f"golive env set {name} {'|'.join(variable.values)}"
    if variable.type is VariableType.SECRET:
        return f"golive env set {name} (it asks for the value, which is kept encrypted)"
    return f"golive env set {name} {variable.example or '…'}"


def _mistyped(blueprint: Blueprint, values: Mapping[str, Secret | str], problems: list[Problem]) -> Iterator[Problem]:
    """A value nobody declared, close to a name that is missing, is most likely a slip."""
    missing = [p.path.removeprefix("env.") for p in problems if "no value" in p.message]
    for name in values:
        close = nearest(name, missing) if name not in blueprint.env else None
        if close:
            yield Problem(f"env.{name}", "is set but not declared", f"did you mean `{close}`? golive env unset {name}")


def environment_for(
    blueprint: Blueprint,
    service: str,
    values: Mapping[str, Secret | str],
    injected: Mapping[str, Secret | str],
) -> dict[str, str | Secret]:
    """The environment of one service: defaults, then its own constants, then values, then what golive injects.

    `values` that are declared go to the services in `for`, with the value before a rotation; those that nobody declared
    go to every service, but for those by which certificates are got. A value of a variable declared as a secret is a
    Secret in the result, whatever it was before.
    """
    own = blueprint.edge.acme.variables() if blueprint.edge.acme else frozenset()
    environment: dict[str, str | Secret] = {}
    for name, variable in blueprint.env.items():
        text = default_text(variable)
        if text is not None and (not variable.services or service in variable.services):
            environment[name] = text
    environment |= blueprint.services[service].env
    for name, value in values.items():
        declared = blueprint.env.get(name) or blueprint.env.get(name.removesuffix(PREVIOUS))
        if declared is None and name in own:
            continue
        if declared is None or not declared.services or service in declared.services:
            secret = declared is not None and declared.type is VariableType.SECRET and isinstance(value, str)
            environment[name] = Secret(value) if secret and isinstance(value, str) else value
    return environment | dict(injected)


def build_environment(blueprint: Blueprint, service: str, values: Mapping[str, Secret | str]) -> dict[str, str]:
    """What the build of a service sees: variables declared with `build` or `client`, and its own `build.env`.

    Never a secret, whatever the blueprint says. The values are part of the artifact, so they are plain text.
    """
    environment: dict[str, str] = {}
    for name, variable in blueprint.env.items():
        wanted = (variable.build or variable.client) and (not variable.services or service in variable.services)
        if not wanted or variable.type is VariableType.SECRET:
            continue
        value = values.get(name, default_text(variable))
        if value is not None:
            environment[name] = value.reveal() if isinstance(value, Secret) else value
    return environment | blueprint.services[service].build.env
