"""The reference page of golive.toml, made from the models: every key, its type, default and meaning."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from golive.blueprint import checks_policy, models
from golive.blueprint.acme import Account, Acme, Dns
from golive.blueprint.backup_policy import BackupPolicy
from golive.blueprint.build_policy import BuildPolicy
from golive.blueprint.caching import CachedPath
from golive.blueprint.cors import Cors
from golive.blueprint.csp import Csp
from golive.blueprint.env import PARTS, RESERVED
from golive.blueprint.faults import plain_type
from golive.blueprint.fields import duration_text
from golive.blueprint.images import Images
from golive.blueprint.jwt import Jwt
from golive.blueprint.moves import Move, MoveMap
from golive.blueprint.protect import Protect
from golive.blueprint.shards import ShardMap
from golive.blueprint.shield import Shield
from golive.units import Allowance, Rate

REFERENCE_FILE = Path("docs/reference/blueprint.md")

_TABLES: tuple[tuple[str, type[BaseModel]], ...] = (
    ("Top level", models.Blueprint),
    ("[services.<name>]", models.Service),
    ("[services.<name>.health]", models.Health),
    ("[services.<name>.health.ready]", models.Probe),
    ("[services.<name>.scale]", models.Scale),
    ("[services.<name>.limits]", models.Limits),
    ("[[services.<name>.rate_limit]]", models.RateLimit),
    ("[[services.<name>.quota]]", models.Quota),
    ("[[services.<name>.cache]]", CachedPath),
    ("[services.<name>.jwt]", Jwt),
    ("[services.<name>.csp]", Csp),
    ("[services.<name>.cors]", Cors),
    ("[[services.<name>.redirects]]", models.Redirect),
    ("[[services.<name>.rewrites]]", models.Rewrite),
    ("[[services.<name>.headers]]", models.HeaderRule),
    ("[[services.<name>.redirects.has]]", models.Condition),
    ("[services.<name>.build]", models.BuildRecipe),
    ("[resources.<name>]", models.Resource),
    ("[resources.<name>.pool]", models.Pool),
    ("[env.<NAME>]", models.Variable),
    ("[migrations]", models.Migrations),
    ("[hooks]", models.Hooks),
    ("[[hooks.pre_deploy]]", models.Hook),
    ("[release]", models.ReleasePolicy),
    ("[backups]", BackupPolicy),
    ("[moves.<name>]", Move),
    ("[[moves.<name>.map]]", MoveMap),
    ("[shards.<name>]", ShardMap),
    ("[edge]", models.EdgePolicy),
    ("[edge.csp]", Csp),
    ("[edge.shield]", Shield),
    ("[protect]", Protect),
    ("[edge.acme]", Acme),
    ('[edge.acme.accounts."<directory>"]', Account),
    ("[edge.acme.dns]", Dns),
    ("[edge.images]", Images),
    ("[build]", BuildPolicy),
    ("[secrets]", models.SecretsPolicy),
    ("[[secrets.allow]]", models.AllowedSecret),
    ("[checks]", checks_policy.ChecksPolicy),
    ("[[checks.ignore]]", checks_policy.IgnoredCheck),
    ("[[checks.requests]]", checks_policy.CheckedRequest),
)

_INTRODUCTION = """\
# golive.toml

Generated from the models by `python -m golive.blueprint.schema --write`; `golive.schema.json` beside this page is the
same for editors (`#:schema` on the first line of golive.toml). *detected* means that golive finds the value in the
checkout when the file leaves it out; `golive config` prints every value and where it came from.

Durations are written `250ms`, `30s`, `5m`, `1h30m`, `7d`, or as seconds. Sizes are `512MB`, `1.5GiB`, or bytes. Rates
are `100/min`, `5/day`, `10/30s`, quotas `5/day`, `1000/month`. Shares are `70%` or `0.7`.

## Short forms

| written | means |
|---|---|
| `health = "/health"` | `health = { ready = { path = "/health" } }` |
| `health = { ready = "/readiness", live = "/health" }` | each a `path` probe |
| `scale = 3` | `scale = { min = 3, max = 3 }` |
| `scale = { min = 2 }` | `scale = { min = 2, max = 2 }` |
| `route = "/api"`, `domains = "a.example"`, `for = "api"` | a list of one |
| `cors = "https://shop.dev"`, or a list | `cors = { origins = ["https://shop.dev"] }` |
| `rate_limit = "100/min"` | `rate_limit = [{ limit = "100/min" }]` |
| `quota = "5/day"` | `quota = [{ limit = "5/day" }]` |
| `resources.db = "postgres:17"` | `resources.db = { engine = "postgres", version = 17 }` |
| `edge.shield = true` | `edge.shield = {}` with its defaults |
| `protect = "PREVIEW_PASSWORD"` | `protect = { password = "PREVIEW_PASSWORD" }` |
| `protect = true` | `protect = { link = true }` |
| `pool = true`, `pool = false` | `pool = {}` with its defaults; no pool |
| `env.LOG_LEVEL = "info"` | `env.LOG_LEVEL = { type = "string", default = "info" }`; the type follows the value |
| `migrations = "db/migrations"` | `migrations = { source = "db/migrations" }` |
| `hooks.pre_deploy = "./warm.sh"` | `hooks.pre_deploy = [{ run = "./warm.sh" }]` |
| `migrations = false` | no migrations, although a folder of them was found |

## Environments

`[environments.<name>]` is a partial blueprint, merged over the file for that environment: tables are merged, everything
else is replaced. `preview/<branch>` takes `[environments.preview]` and then its own. Every overlay is checked whichever
environment is asked for.
"""

_WORDS: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    timedelta: "duration",
    date: "day",
    Rate: "rate",
    Allowance: "quota",
    Any: "any",
}


def reference_page() -> str:
    """The page as Markdown."""
    sections = [_INTRODUCTION]
    for title, model in _TABLES:
        heading = title if title == "Top level" else f"`{title}`"
        sections.append(f"## {heading}\n\n{model.__doc__}\n\n" + "\n".join(_rows(model)) + "\n")
    sections.append(_given_variables())
    return "\n".join(sections)


def _rows(model: type[BaseModel]) -> Iterator[str]:
    yield "| key | type | default | |"
    yield "|---|---|---|---|"
    for name, info in model.model_fields.items():
        if (model, name) != (models.Blueprint, "environment"):
            cells = (f"`{info.alias or name}`", _type(info), _default(model, name, info), info.description or "")
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


_RULE_WORDS = {"_size": "size", "_percent": "share"}
"""Types whose plain type does not say how they are written, by the name of their validator in `models`."""


def _type(info: FieldInfo) -> str:
    marks = [*info.metadata, *(m for a in get_args(info.annotation) if get_origin(a) is Annotated for m in get_args(a))]
    rules = [m.func.__name__ for m in marks if isinstance(m, BeforeValidator)]
    return next((_RULE_WORDS[rule] for rule in rules if rule in _RULE_WORDS), None) or _words(info.annotation)


def _words(annotation: Any) -> str:
    if get_origin(annotation) in (Union, UnionType):
        return _words(next(a for a in get_args(annotation) if a is not NoneType))
    found = plain_type(annotation)
    if get_origin(found) is Literal:
        return ", ".join(f"`{word}`" for word in get_args(found))
    if get_origin(found) is tuple:
        return f"list of {_words(get_args(found)[0])}"
    if get_origin(found) is dict:
        return f"table of {_words(get_args(found)[1])}"
    if isinstance(found, type) and issubclass(found, Enum):
        return ", ".join(f"`{member.value}`" for member in found)
    if isinstance(found, type) and issubclass(found, BaseModel):
        return "table"
    return _WORDS[found]


_DETECTED: Mapping[type[BaseModel], tuple[str, ...]] = {
    models.Blueprint: ("migrations",),
    models.Service: ("kind", "command", "health"),
    models.BuildRecipe: ("builder", "framework", "python", "dependencies"),
    models.Migrations: ("tool", "source", "resource", "service"),
}


def _default(model: type[BaseModel], name: str, info: FieldInfo) -> str:
    if name in _DETECTED.get(model, ()):
        return "*detected*"
    if info.is_required():
        return "*required*"
    default = info.default
    if isinstance(default, timedelta):
        return f"`{duration_text(default)}`"
    if default is None or isinstance(default, BaseModel) or default in ((), {}):
        return ""
    return f"`{json.dumps(default)}`"


def _given_variables() -> str:
    lines = [
        "## Variables that golive gives",
        "",
        f"Every instance: {', '.join(f'`{name}`' for name in RESERVED)}. They cannot be declared or set.",
        "",
        f"The first PostgreSQL resource: `DATABASE_URL`, {_listed('DB', 'postgres')}, and `PGHOST`, `PGPORT`,",
        "`PGDATABASE`, `PGUSER`, `PGPASSWORD`; `DATABASE_DIRECT_URL` leads past its `pool`,",
        "`DATABASE_REPLICA_URL` to its `replicas`.",
        f"The first Redis resource: {_listed('REDIS', 'redis', url=True)}.",
        "Every other one, and one with a `prefix`: the same parts after its prefix or its name in capitals, such as",
        "`CACHE_URL`, `CACHE_HOST`.",
    ]
    return "\n".join(lines) + "\n"


def _listed(prefix: str, engine: str, *, url: bool = False) -> str:
    return ", ".join(f"`{prefix}_{part.upper()}`" for part in PARTS[engine] if url or not part.endswith("url"))
