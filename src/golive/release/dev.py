"""`golive dev` as the host sees it: an environment's resources and variables, and ports for what somebody else runs.

No release, no artifact, no instance: what listens on those ports is the developer's own process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from golive.blueprint.load import Loaded, load
from golive.blueprint.models import Blueprint, ServiceKind
from golive.data.store import Report
from golive.engines.engine import Progress
from golive.errors import NotFound, nearest
from golive.release import environment, pools, resources
from golive.release.dev_site import DevSite, choose_domains
from golive.release.host import Host
from golive.secret import Secret
from golive.state.records import Place
from golive.state.vault import Environments
from golive.system import ports


@dataclass(frozen=True)
class Wanted:
    """What is asked for. `services` empty means all; `ports` and `grpc_ports` are those of a session that goes on."""

    place: Place
    checkout: Path
    actor: str
    services: tuple[str, ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    grpc_ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class DevEnvironment:
    """What the developer's processes are given. `database_url` is the one to migrate, where there are migrations."""

    site: DevSite
    environments: Environments = field(repr=False)
    secret_names: frozenset[str]
    reports: Mapping[str, Report]
    notes: tuple[str, ...]
    database_url: Secret | None = None


async def prepare(host: Host, wanted: Wanted, progress: Callable[[Progress], None]) -> DevEnvironment:
    """Variables valid, resources running. Raises what the steps `validate` and `resources` of a deploy raise."""
    place = wanted.place
    loaded = await asyncio.to_thread(load, wanted.checkout, place.environment)
    blueprint = loaded.blueprint
    site = _site(host, wanted, loaded)
    host.state.remember_app(place, str(loaded.checkout))
    made = environment.generate_missing(host, place, blueprint, wanted.actor)
    values = host.state.variables(place)
    environment.check(blueprint, values)
    values, said = environment.with_urls(blueprint, values)
    resources.require_versions(host, place, blueprint)
    stores = await resources.declare(host, place, blueprint, progress)
    reports = await resources.ensure(host, place, stores)
    reports |= await resources.check_externals(host, blueprint, values)
    injected = resources.variables(blueprint, stores, values)
    notes = [f"generated {', '.join(made)}"] if made else []
    return DevEnvironment(
        site,
        environment.environments(blueprint, values, injected, 0),
        frozenset(environment.secret_names(blueprint)),
        reports,
        (*notes, *said, *pools.notes(blueprint, stores)),
        _database_url(blueprint, injected, values),
    )


async def stop_resources(host: Host, place: Place) -> None:
    """End the environment's PostgreSQL and Redis, by whatever daemon they were started; their data stays."""
    for row in host.state.resources(place):
        await resources.stop(host, place, row.name)


def _database_url(blueprint: Blueprint, injected: Mapping[str, Secret], values: Mapping[str, Secret]) -> Secret | None:
    if blueprint.migrations is None:
        return None
    return resources.direct_url(blueprint, blueprint.migrations.resource, injected, values)


def _site(host: Host, wanted: Wanted, loaded: Loaded) -> DevSite:
    """Ports for what answers: those of before, fixed ones, else free ones that nobody was promised."""
    blueprint = loaded.blueprint
    known(blueprint, wanted.services)
    given: dict[str, int] = {}
    grpc: dict[str, int] = {}
    used = host.state.ports().union(*(site.all_ports for site in host.dev.values()))
    for name, service in blueprint.services.items():
        if wanted.services and name not in wanted.services:
            continue
        if service.kind not in (ServiceKind.WEB, ServiceKind.STATIC):
            continue
        given[name] = wanted.ports.get(name) or service.port or ports.choose(used)
        used.add(given[name])
        if service.grpc:
            grpc[name] = wanted.grpc_ports.get(name) or service.grpc.port or ports.choose(used)
            used.add(grpc[name])
    origins = (origin for key, origin in loaded.resolved.origins.items() if key.startswith("domains"))
    own = any(origin.source == "environment" for origin in origins)
    domains = choose_domains(blueprint, own=own, taken=_taken(host, wanted.place))
    return DevSite(wanted.place, blueprint, domains, given, grpc)


def _taken(host: Host, place: Place) -> frozenset[str]:
    """What other environments answer at now."""
    found = {domain for other, site in host.dev.items() if other != place for domain in site.domains}
    for app in host.state.apps():
        if app.place != place and app.live is not None:
            found |= set(host.release_blueprint(app.place, app.live).domains)
    return frozenset(found)


def known(blueprint: Blueprint, services: tuple[str, ...]) -> None:
    """NotFound for a service that the blueprint has not."""
    for name in services:
        if name not in blueprint.services:
            close = nearest(name, blueprint.services)
            hint = f"is it {close}?" if close else f"it has {', '.join(blueprint.services)}"
            raise NotFound(f"{blueprint.name} has no service {name}", hint=hint)
