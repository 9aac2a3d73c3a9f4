"""What each service gets as environment: values set by the user, generated secrets, defaults, connection variables."""

from __future__ import annotations

import secrets

from golive.blueprint.database_parts import wanted_parts
from golive.blueprint.env import check_environment, environment_for, resource_variables
from golive.blueprint.models import Blueprint, VariableType
from golive.blueprint.problem import blueprint_error
from golive.data import urls
from golive.release.host import Host
from golive.secret import Secret
from golive.state.records import Place
from golive.state.vault import Environments

GENERATED_BYTES = 32
PASSWORDS = ("DB_PASSWORD", "PGPASSWORD", "POSTGRES_PASSWORD")
"""Secret however they are declared: parts of a URL."""


def generate_missing(host: Host, place: Place, blueprint: Blueprint, actor: str) -> list[str]:
    """Make the secrets declared with `generate = true` that have no value yet; returns their names."""
    known = host.state.variables(place)
    made = [
        name
        for name, variable in blueprint.env.items()
        if variable.generate and variable.type is VariableType.SECRET and name not in known
    ]
    for name in made:
        host.state.set_variable(place, name, Secret(secrets.token_urlsafe(GENERATED_BYTES)), "golive")
        host.state.audit(actor, "env.generate", place, name=name)
    return made


def check(blueprint: Blueprint, values: dict[str, Secret]) -> None:
    """Every fault of the environment at once, as a BlueprintError."""
    if problems := check_environment(blueprint, values):
        raise blueprint_error(problems)


def with_urls(blueprint: Blueprint, values: dict[str, Secret]) -> tuple[dict[str, Secret], list[str]]:
    """The values with each database URL that only its parts were given of, and what there is to say about it.

    Raises ResourceFailed for parts that make no URL, and for one that forbids TLS over the open network.
    """
    found, said = dict(values), []
    for name, parts in wanted_parts(blueprint, values).items():
        if parts.missing:
            continue
        given = {part: values[variable] for part, variable in parts.given.items()}
        target = urls.compose(given, name)
        found[name] = target.url
        tls = "; sslmode=require added" if "sslmode" in target.query and "sslmode" not in given else ""
        said.append(f"{name} composed from {', '.join(parts.given.values())}{tls}")
    for resource in blueprint.resources.values():
        name = resource.url_from or ""
        if resource.engine == "postgres" and values.get(name):
            target = urls.parse("postgres", values[name], name)
            if "sslmode" not in target.query and "sslmode" in urls.secured(target, name).query:
                said.append(f"sslmode=require added to {name}")
    return found, said


def secret_names(blueprint: Blueprint) -> set[str]:
    """Variables whose value is never shown: declared secrets, and URLs and passwords of databases."""
    declared = {name for name, variable in blueprint.env.items() if variable.type is VariableType.SECRET}
    declared |= {r.url_from for r in blueprint.resources.values() if r.url_from}
    declared |= {"DATABASE_URL", *PASSWORDS} & blueprint.env.keys()
    declared |= blueprint.edge.acme.variables() if blueprint.edge.acme else set()
    injected = {
        name
        for parts in resource_variables(blueprint).values()
        for part, name in parts.items()
        if part == "password" or part.endswith("url")
    }
    if "DB_PASSWORD" in injected:
        injected.add("PGPASSWORD")
    return declared | injected


def environments(
    blueprint: Blueprint, values: dict[str, Secret], injected: dict[str, Secret], release: int
) -> Environments:
    """service → variable → value, as the release will keep it."""
    found: Environments = {}
    for name in blueprint.services:
        own = {
            "GOLIVE_APP": blueprint.name,
            "GOLIVE_ENVIRONMENT": blueprint.environment,
            "GOLIVE_SERVICE": name,
            "GOLIVE_RELEASE": str(release),
        }
        merged = {**own, **environment_for(blueprint, name, values, injected)}
        found[name] = {k: v if isinstance(v, Secret) else Secret(str(v)) for k, v in merged.items()}
    return found
