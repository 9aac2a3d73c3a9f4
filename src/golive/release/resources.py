"""The resources of an environment: running, reachable with the app's own credentials, told to the app as variables."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from golive.blueprint import shards
from golive.blueprint.env import connection_variables, resource_variables
from golive.blueprint.models import Blueprint, Resource
from golive.data.external import external_variables, target_of
from golive.data.place import Placement
from golive.data.pool_plan import pool_name
from golive.data.postgres import Postgres
from golive.data.store import Report, Store, store_for
from golive.engines.engine import Engine, Progress
from golive.errors import Conflict, GoliveError, ResourceFailed
from golive.release import databases, pools, reads
from golive.release.host import Host
from golive.secret import Secret
from golive.state.records import Place, ResourceRow
from golive.supervise.unit import Unit
from golive.system import ports
from golive.system.processes import ProcessId, adopt

READY = timedelta(seconds=60)
"""PostgreSQL may replay a good deal of WAL after a kill before it accepts connections."""


def unit_name(place: Place, name: str) -> str:
    return f"{place}/resource/{name}"


async def declare(
    host: Host, place: Place, blueprint: Blueprint, progress: Callable[[Progress], None] | None = None
) -> dict[str, Store]:
    """A store for each resource that golive runs, and for each pool by its own name; ports and passwords are promised
    once and kept. Starts nothing."""
    rows = {row.name: row for row in host.state.resources(place)}
    found = {}
    for name, resource in blueprint.resources.items():
        if resource.url_from is not None:
            continue
        row = rows.get(name)
        engine = await _engine(host, resource, row or model(host, place, name, resource), progress)
        if row is None:
            row = ResourceRow(place, name, resource.engine, engine.version, ports.choose(avoid=host.state.ports()), b"")
            host.state.add_resource(row, Secret(secrets.token_urlsafe(32)))
            row = next(r for r in host.state.resources(place) if r.name == name)
        found[name] = _store(host, row, resource, engine)
    return found | await pools.declare(host, place, blueprint, found)


def model(host: Host, place: Place, name: str, resource: Resource) -> ResourceRow | None:
    """The row of production's database as which one of a preview begins; None where it begins empty."""
    if place.environment.split("/")[0] != "preview" or resource.engine != "postgres" or resource.preview == "empty":
        return None
    rows = {row.name: row for row in host.state.resources(Place(place.app, "production")) if row.engine == "postgres"}
    row = rows.get(name)
    return row if row and resource.version in (None, int(row.version.split(".")[0])) else None


async def _engine(
    host: Host, resource: Resource, row: ResourceRow | None, progress: Callable[[Progress], None] | None
) -> Engine:
    if row is None:
        return await host.engines.find(resource.engine, resource.version, progress=progress)
    major = int(row.version.split(".")[0])
    if row.engine != resource.engine:
        raise _other_engine(row, resource, f"call it {row.engine}, or add a resource under another name")
    return await host.engines.find(resource.engine, major, progress=progress)


def require_versions(host: Host, place: Place, blueprint: Blueprint) -> None:
    """Before a new release: Conflict when it asks for another version than the one that wrote the data. Releases that
    were made before an upgrade go on with what is there."""
    for row in host.state.resources(place):
        resource = blueprint.resources.get(row.name)
        major = int(row.version.split(".")[0]) if row.version else None
        if resource is None or resource.url_from is not None or resource.version in (None, major):
            continue
        upgrade = f"golive db upgrade {row.name} --to {resource.version}, then deploy"
        newer = row.engine == "postgres" == resource.engine and (resource.version or 0) > (major or 0)
        raise _other_engine(row, resource, upgrade if newer else f"set version = {major}")


def _other_engine(row: ResourceRow, resource: Resource, hint: str) -> Conflict:
    return Conflict(
        f"resource {row.name} is {row.engine} {row.version.split('.')[0]} and the blueprint asks for "
        f"{resource.engine} {resource.version or ''}".rstrip(),
        why="its data was written by the version that runs",
        hint=hint,
    )


def direct_url(
    blueprint: Blueprint, name: str, injected: Mapping[str, Secret], values: Mapping[str, Secret]
) -> Secret | None:
    """The URL of a resource past any pool, of the variables that its services get; None when there is none yet."""
    if direct := direct_external(blueprint.resources[name], values):
        return direct
    names = resource_variables(blueprint)[name]
    return injected.get(names.get("direct_url", names["url"]))


def direct_external(resource: Resource, values: Mapping[str, Secret]) -> Secret | None:
    """Of somebody else's database, as it is used, where there is a variable for it with a value."""
    url = values.get(resource.direct_from) if resource.direct_from else None
    return target_of(resource.model_copy(update={"url_from": resource.direct_from}), url).url if url else None


def _store(host: Host, row: ResourceRow, resource: Resource, engine: Engine) -> Store:
    store = store_for(
        resource, row.name, place=placement(host, row), engine=engine, password=host.state.resource_password(row)
    )
    if resource.replicas is not None and isinstance(store, Postgres):
        return replace(store, reads=reads.port(host, row.place, row.name))
    return store


def placement(host: Host, row: ResourceRow) -> Placement:
    """Copies take no share of the machine from the resources beside them."""
    rows = [each for app in host.state.apps() for each in host.state.resources(app.place)]
    neighbours = sum("@" not in each.name for each in rows)
    return Placement(*row.place, host.home, row.port, host.engine_user(), host.machine, max(neighbours, 1))


async def standing(host: Host, place: Place, blueprint: Blueprint) -> dict[str, Store]:
    """The stores of a release that is there, each running: of an old one, some may have been taken out since. One that
    cannot be started keeps none of the others from it; its error is raised then."""
    stores = await declare(host, place, blueprint)
    failed: GoliveError | OSError | None = None
    for name, store in stores.items():
        try:
            await keep_running(host, place, name, store)
        except (GoliveError, OSError) as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return stores


async def ensure(host: Host, place: Place, stores: dict[str, Store]) -> dict[str, Report]:
    """Every store runs, has the app's role and database, and answered a real query."""
    reports = {}
    for name, store in stores.items():
        if not await keep_running(host, place, name, store):
            await store.prepare()  # what golive.toml says by now; `bring_up` has it read
        await host.supervisor.wait_ready(unit_name(place, name), READY, timedelta(0))
        reports[name] = await databases.bring_up(host.offload, store, READY)
    return reports


async def stop(host: Host, place: Place, name: str) -> None:
    """End it, by whatever daemon it was started; its data stays."""
    unit = unit_name(place, name)
    known = host.state.process(unit)
    if host.supervisor.state(unit) is not None:
        await host.supervisor.stop(unit)
    elif known and (process := adopt(ProcessId(known[0], known[1]))):
        # SIGINT is an orderly and quick end for both engines.
        await process.stop(timedelta(seconds=10), signal.SIGINT)
    host.state.forget_process(unit)


async def keep_running(host: Host, place: Place, name: str, store: Store) -> bool:
    """Adopt it or start it; nothing when it is supervised already. Whether it was started."""
    row = next(r for r in host.state.resources(place) if r.name == name)
    unit = resource_unit(place, name, store, row.port)
    state = host.supervisor.state(unit.id)
    if state is not None and not state.over:
        return False
    known = host.state.process(unit.id)
    if known and host.supervisor.adopt(unit, ProcessId(known[0], known[1]), known[2]):
        return False
    await store.prepare()
    await host.supervisor.start(unit)
    return True


def resource_unit(place: Place, name: str, store: Store, port: int) -> Unit:
    return Unit(
        id=unit_name(place, name),
        spec=store.spec(),
        restart="always",
        port=port,
        stop_timeout=store.stop_grace,
        stop_signal=store.stop_signal,
        before_start=store.before_start,
    )


async def check_externals(host: Host, blueprint: Blueprint, values: dict[str, Secret]) -> dict[str, Report]:
    """Somebody else's stores, tried at once. ResourceFailed says which and why."""
    reports = {}
    for name, resource in blueprint.resources.items():
        if resource.url_from is not None:
            url = values.get(resource.url_from)
            if url is None:
                raise ResourceFailed(
                    f"resource {name} has no URL",
                    why=f"{resource.url_from} has no value",
                    hint=f"golive env set {resource.url_from}",
                )
            reports[name] = await databases.check_external(host.offload, resource, url)
            if direct := direct_external(resource, values):
                await _check_direct(host, resource, direct)
    return reports


async def _check_direct(host: Host, resource: Resource, url: Secret) -> None:
    """ResourceFailed when it does not answer, or is a pooler's too."""
    same = resource.model_copy(update={"url_from": resource.direct_from})
    if (await databases.check_external(host.offload, same, url)).pooled:
        raise ResourceFailed(
            f"the URL in {resource.direct_from} leads to a pooler",
            where=str(resource.direct_from),
            why="migrations need a session of their own",
            hint="take the direct one: Neon's host without -pooler, Supabase's port 5432 of db.<project>.supabase.co",
        )


def variables(blueprint: Blueprint, stores: dict[str, Store], values: dict[str, Secret]) -> dict[str, Secret]:
    """The connection variables that the services get."""
    found: dict[str, Secret] = {}
    for name, resource in blueprint.resources.items():
        if resource.url_from is None:
            parts = stores.get(pool_name(name), stores[name]).variables()
        else:
            url = values.get(resource.url_from)
            parts = external_variables(resource, url) if url else {}
        for variable, value in connection_variables(blueprint, name, parts).items():
            found[variable] = value if isinstance(value, Secret) else Secret(str(value))
    urls = {name: parts["url"] for name, parts in resource_variables(blueprint).items()}
    for name, each in blueprint.shards.items():
        found[shards.variable(name)] = Secret(shards.document(each, urls))
    return found
