"""The parts of a PostgreSQL URL: which variables make one up where only they are given. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from golive.blueprint.models import Blueprint
from golive.secret import Secret

NEEDED = ("host", "user", "name")
_PARTS = ("host", "port", "user", "password", "name", "sslmode")
_OTHERS: tuple[Mapping[str, str], ...] = (
    # libpq's own, https://www.postgresql.org/docs/current/libpq-envars.html
    {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "name": "PGDATABASE"}
    | {"sslmode": "PGSSLMODE"},
    # those of the container image, and what frameworks made of them
    {part: f"POSTGRES_{part.upper()}" for part in _PARTS} | {"name": "POSTGRES_DB"},
)


@dataclass(frozen=True)
class Parts:
    """What is given of one URL: part (`host`, `port`, …) → variable, and the variables that are needed besides."""

    url: str
    given: Mapping[str, str]
    missing: tuple[str, ...]


def parts_of(url: str, values: Mapping[str, Secret | str]) -> Parts | None:
    """The variables that make up the URL of that name: the first family that is whole, else the first begun; None when
    there is none. For DATABASE_URL these are DB_HOST…, PGHOST… and POSTGRES_HOST…; for X_URL they are X_HOST…"""
    begun = None
    for family in _families(url):
        given = {part: name for part, name in family.items() if values.get(name)}
        found = Parts(url, given, tuple(family[part] for part in NEEDED if part not in given))
        if given and not found.missing:
            return found
        if "host" in given or {"user", "name"} <= given.keys():
            begun = begun or found
    return begun


def _families(url: str) -> tuple[Mapping[str, str], ...]:
    prefix = "DB" if url == "DATABASE_URL" else url.removesuffix("_URL")
    own = {part: f"{prefix}_{part.upper()}" for part in _PARTS}
    return (own, *_OTHERS) if url == "DATABASE_URL" else (own,)


def family_names(url: str) -> set[str]:
    """Every variable that may be a part of the URL of that name."""
    return {name for family in _families(url) for name in family.values()}


def wanted_parts(blueprint: Blueprint, values: Mapping[str, Secret | str]) -> dict[str, Parts]:
    """For every PostgreSQL URL that the app wants and nobody set: what is given of it in parts."""
    names = [r.url_from for r in blueprint.resources.values() if r.url_from and r.engine == "postgres"]
    owned = any(r.engine == "postgres" for r in blueprint.resources.values())
    if "DATABASE_URL" in blueprint.env and not owned:
        names.append("DATABASE_URL")
    found = {}
    for name in dict.fromkeys(names):
        variable = blueprint.env.get(name)
        if not values.get(name) and (variable is None or variable.default is None) and (own := parts_of(name, values)):
            found[name] = own
    return found
