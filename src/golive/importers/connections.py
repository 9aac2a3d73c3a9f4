"""Variables that say where a database is: golive gives those of the stores it runs, so nobody has to set them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from golive.blueprint.env import injected_names
from golive.blueprint.models import Blueprint, Resource, Service, ServiceKind
from golive.importers.report import Table
from golive.importers.usage import Usage

_PARTS = r"URL|URI|DSN|HOST|HOSTNAME|PORT|NAME|DB|DATABASE|USER|USERNAME|PASS|PASSWORD|SSL|SSLMODE"
_FAMILIES: Mapping[str, re.Pattern[str]] = {
    "postgres": re.compile(
        rf"(?:DB|DATABASE|POSTGRES|POSTGRESQL|PG)_?(?:{_PARTS})|PGSSLMODE|POSTGRES_URL_NON_POOLING|POSTGRES_PRISMA_URL"
    ),
    "redis": re.compile(rf"(?:REDIS|VALKEY)_?(?:{_PARTS}|TLS|TLS_URL)"),
}
_PREFIXES = ("POSTGRES", "POSTGRESQL", "DATABASE", "PG")
_LIBPQ = ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD")


def given_names(resources: Mapping[str, Table]) -> set[str]:
    """Every variable that the resources bring."""
    if not resources:
        return set()
    made = {name: Resource.model_validate(table) for name, table in resources.items()}
    names = injected_names(Blueprint(name="app", services={"app": Service(kind=ServiceKind.STATIC)}, resources=made))
    return names | (set(_LIBPQ) if "DATABASE_URL" in names else set())


def is_connection(name: str, resources: Mapping[str, Table]) -> bool:
    """Whether a variable of this name says where one of the stores is, under a name golive may not give."""
    engines = {table["engine"] for table in resources.values()}
    return any(family.fullmatch(name) for engine, family in _FAMILIES.items() if engine in engines)


def fitting_prefix(resources: Mapping[str, Table], usage: Collection[str]) -> tuple[str, str] | None:
    """The resource and the `prefix` with which it gives the names that the code reads; None where it does without."""
    databases = [name for name, table in resources.items() if table["engine"] == "postgres"]
    if len(databases) != 1 or "prefix" in resources[databases[0]] or given_names(resources) & set(usage):
        return None
    for prefix in _PREFIXES:
        parts = {f"{prefix}_{part}" for part in ("URL", "HOST", "PORT", "USER", "PASSWORD", "NAME")}
        if f"{prefix}_URL" in usage or len(parts & set(usage)) > 2:
            return databases[0], prefix
    return None


def settle(
    variables: dict[str, Table], resources: Mapping[str, Table], usage: Mapping[str, Usage]
) -> tuple[list[str], list[str]]:
    """Take out what the resources give. What was taken out, and what the code reads under a name that nobody gives."""
    given = given_names(resources)
    gone, strange = [], []
    for name in list(variables):
        if name in given or (name not in usage and is_connection(name, resources)):
            del variables[name]
            gone.append(name)
        elif is_connection(name, resources) and name.endswith(("SSL", "SSLMODE")):
            del variables[name]  # how to reach a database elsewhere; golive's own is on this machine
        elif is_connection(name, resources):
            kept = {key: value for key, value in variables[name].items() if key in ("type", "for", "description")}
            variables[name] = kept | {"required": False}
            strange.append(name)
    return gone, strange
