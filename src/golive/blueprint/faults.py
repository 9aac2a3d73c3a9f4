"""Validation: a table as a `Blueprint`, and what pydantic says against it in words a user can act on.

A table with faults still gives a blueprint: each faulty value is replaced by its default, so that the rules about
combinations can be asked in the same run and everything is reported at once.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from golive.blueprint import caching, images, jwt, masking, models, protect
from golive.blueprint.models import Blueprint
from golive.blueprint.positions import KeyPath
from golive.errors import nearest

_STAND_INS: Mapping[str, Any] = {
    "name": "app",
    "kind": "web",
    "engine": "postgres",
    "limit": "1/hour",
    "destination": "/",
    "headers": {},
    "type": "header",
    "tool": "sql",
    "source": ".",
    "resource": "db",
    "services": {"app": {"kind": "static", "route": ["/"]}},
    "because": "…",
    "path": "/",
    "ttl": "1s",
    "jwks": "https://localhost/",
    "origins": ["https://localhost"],
}
"""For required keys, so that the rest can be checked; problems about them are not reported twice."""

_PATTERNS: Mapping[str, tuple[str, str | None]] = {
    models.NAME_PATTERN: ("must be at most 31 of a-z, 0-9 and hyphen, starting with a letter", None),
    models.VARIABLE_PATTERN: ("must be letters, digits and underscores, not starting with a digit", None),
    models.DOMAIN_PATTERN: ("must be a host name in lower case", "no scheme, port or path: `shop.example.com`"),
    models.ROUTE_PATTERN: ("must be a path that starts with `/`, without spaces, `?` or `#`", None),
    models.QUOTA_KEY_PATTERN: (
        "must be `client`, `service` or `header:` with the name of one",
        "what a token claims is anybody's word until the app has checked it; `header:Authorization` counts each token",
    ),
    images.SOURCE_PATTERN: (
        "must be a folder, such as `/uploads/*` or `https://cdn.example.com/products/*`",
        "letters, digits and `_.~@-` between the slashes; no query",
    ),
    caching.PATH_PATTERN: ("must be a path that starts with `/`, without `?` or `#`; `/*` only at its end", None),
    caching.HEADER_PATTERN: ("must be the name of a header", None),
    models.PER_PATTERN: (
        "must be client, service, or `claim:` or `header:` and the name of one",
        "such as `claim:sub` or `header:X-Api-Key`",
    ),
    jwt.CLAIM_HEADER_PATTERN: ("must be a header that starts with `x-`", "such as `x-user-id`"),
    jwt.CLAIM_PATTERN: ("must be the name of a claim", "such as `sub`, or `user.email` for one inside another"),
    protect.USER_PATTERN: ("must be a name of at most 60 characters, without `:`", None),
    jwt.COOKIE_PATTERN: ("must be the name of a cookie", "letters, digits, `_`, `.` and `-`"),
    masking.COLUMN_PATTERN: ("must be `table.column`, or `schema.table.column`", None),
    models.PREFIX_PATTERN: ("must be capital letters, digits and underscores, such as `CACHE`", None),
    models.TABLE_PATTERN: ("must be the name of a table, such as `migrations` or `drizzle.migrations`", None),
}

_ALIASES: Mapping[str, str] = {
    "start": "command",
    "cmd": "command",
    "run": "command",
    "path": "source",
    "root": "source",
    "directory": "source",
    "replicas": "scale",
    "instances": "scale",
    "healthcheck": "health",
    "cron": "schedule",
    "databases": "resources",
    "variables": "env",
    "environment": "env",
    "services": "for",
    "routes": "route",
    "domain": "domains",
}
"""Words of other tools, for keys that are not close to one of ours."""

_TOML_TYPES = {bool: "a boolean", int: "an integer", float: "a float", str: "a string", list: "a list", dict: "a table"}


@dataclass(frozen=True)
class Fault:
    """What is wrong at a key path; `also` are the other paths the judgement rests on."""

    path: KeyPath
    message: str
    hint: str | None = None
    also: tuple[KeyPath, ...] = ()


def validate(table: dict[str, Any]) -> tuple[Blueprint, list[Fault]]:
    """The blueprint and every fault of shape; where there are faults the blueprint holds stand-ins."""
    faults: dict[KeyPath, Fault] = {}
    table = copy.deepcopy(table)
    while True:
        try:
            return _checked(table), list(faults.values())
        except ValidationError as errors:
            for error in errors.errors(include_url=False):
                fault = _fault(error)
                if not any(known[: len(fault.path)] == fault.path for known in faults):
                    faults[fault.path] = fault
                _replace(table, fault.path, missing=error["type"] == "missing")


def _checked(table: dict[str, Any]) -> Blueprint:
    # JSON mode takes lists and enum words, and with `strict` nothing else in place of anything.
    return Blueprint.model_validate_json(json.dumps(table), strict=True, by_alias=True, by_name=False)


def _replace(table: dict[str, Any], path: KeyPath, *, missing: bool) -> None:
    """Take the faulty value out, and put a stand-in where its key is required."""
    holder: Any = table
    for depth, key in enumerate(path[:-1], 1):
        if isinstance(holder, dict) and key not in holder:
            return  # taken out with an earlier fault
        child = holder[key]
        if isinstance(child, list) and (depth == len(path) - 1 or not isinstance(child[int(path[depth])], dict)):
            path = path[:depth]  # one bad item spoils the list; a bad key in an item only itself
            break
        holder = child
    key = path[-1]
    if key in _STAND_INS and (missing or _is_required(path)):
        holder[key] = copy.deepcopy(_STAND_INS[str(key)])
    else:
        holder.pop(key, None)


def _is_required(path: KeyPath) -> bool:
    model = model_at(path[:-1])
    field = field_named(model, path[-1]) if model else None
    return bool(field and model and model.model_fields[field].is_required())


def _fault(error: ErrorDetails) -> Fault:
    path: KeyPath = tuple(error["loc"])
    if path and path[-1] == "[key]":
        path = path[:-1]
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    if kind == "extra_forbidden":
        return _unknown_key(path)
    if kind == "missing":
        return Fault(path, "is required", _MISSING_HINTS.get(path[-1]))
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        message, hint = _PATTERNS.get(pattern, (f"must be text of the form `{pattern}`", None))
        return Fault(path, f"{message}; is {_shown(path, value)}", hint)
    if kind in ("enum", "literal_error"):
        return _not_one_of(path, value)
    if kind == "value_error":
        return Fault(path, str(context["error"]))
    return Fault(path, _sentence(kind, context, path, value))


_MISSING_HINTS: Mapping[Any, str] = {
    "name": 'the first line of golive.toml is `name = "…"`',
    "engine": "`postgres` or `redis`",
    "limit": "such as `100/min`",
    "resource": "the PostgreSQL resource that the migrations change",
    "because": 'such as `because = "revoked on 2 May"`',
}

_TYPE_ERRORS = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
    "greater_than": ("more than", "gt"),
    "less_than": ("less than", "lt"),
}


def _sentence(kind: str, context: Mapping[str, Any], path: KeyPath, value: Any) -> str:
    if kind in _TYPE_ERRORS:
        return f"must be {_TYPE_ERRORS[kind]}, is {_TOML_TYPES.get(type(value), 'something else')}{_value(path, value)}"
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"must be {words} {context[key]:g}; is {_shown(path, value)}"
    if kind == "too_short":
        return "must not be empty"
    if kind == "string_too_long":
        return f"must be at most {context['max_length']} characters"
    return f"cannot be {_shown(path, value)}"


def _shown(path: KeyPath, value: Any) -> str:
    """The value as it stands in the file. Values of variables are never shown: one may be a secret."""
    if path[:1] == ("env",) and path[2:3] == ("default",):
        return "not"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


def _value(path: KeyPath, value: Any) -> str:
    scalar = isinstance(value, str | int | float) and path[:1] != ("env",)
    return f": {_shown(path, value)}" if scalar else ""


def _not_one_of(path: KeyPath, value: Any) -> Fault:
    allowed = choices(path)
    close = nearest(value, allowed) if isinstance(value, str) else None
    hint = f"did you mean `{close}`?" if close else None
    return Fault(path, f"must be one of {', '.join(allowed)}; is {_shown(path, value)}", hint)


def _unknown_key(path: KeyPath) -> Fault:
    model = model_at(path[:-1])
    known = keys_of(model) if model else []
    key = str(path[-1])
    if path == ("environment",):
        return Fault(path, "unknown key", "differences between environments go below `[environments.<name>]`")
    alias = _ALIASES.get(key.lower().replace("-", "_"))
    close = alias if alias in known else nearest(key.lower().replace("-", "_"), known)
    hint = f"did you mean `{close}`?" if close else f"known here: {', '.join(known)}"
    return Fault(path, "unknown key", hint)


def keys_of(model: type[BaseModel]) -> list[str]:
    """The model's keys as the file spells them."""
    return [field.alias or name for name, field in model.model_fields.items() if (model, name) != _NOT_IN_FILE]


_NOT_IN_FILE = (Blueprint, "environment")


def field_named(model: type[BaseModel] | None, key: str | int) -> str | None:
    """The field behind a key of the file."""
    if model is None:
        return None
    return next((name for name, field in model.model_fields.items() if key == (field.alias or name)), None)


def model_at(path: KeyPath) -> type[BaseModel] | None:
    """The model whose keys stand at a key path, or None where there is none."""
    found = _type_at(path)
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def choices(path: KeyPath) -> list[str]:
    """The words allowed at a key path: those of an enum or a Literal."""
    found = _type_at(path)
    if isinstance(found, type) and issubclass(found, Enum):
        return [str(member.value) for member in found]
    return [str(word) for word in get_args(found)]


def _type_at(path: KeyPath) -> Any:
    current: Any = Blueprint
    for key in path:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = field_named(current, key)
            current = plain_type(current.model_fields[field].annotation) if field else None
        elif get_origin(current) in (dict, tuple):
            current = plain_type(get_args(current)[1 if get_origin(current) is dict else 0])
        else:
            return None
    return current


def plain_type(annotation: Any) -> Any:
    """The annotation without `Annotated` and `| None`."""
    if get_origin(annotation) is Annotated:
        return plain_type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return plain_type(next(arg for arg in get_args(annotation) if arg is not NoneType))
    return annotation
