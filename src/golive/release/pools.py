"""PgBouncer before a database of the app, where the blueprint asks for it and the machine has it."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from golive.blueprint.env import connection_variables
from golive.blueprint.models import Blueprint
from golive.data.external import external_variables
from golive.data.place import Placement
from golive.data.pool import PgBouncer
from golive.data.pool_plan import ENGINE, pool_name, shortcoming
from golive.data.postgres import Postgres
from golive.data.store import Report, Store
from golive.errors import EngineUnavailable, GoliveError
from golive.release import connections, databases
from golive.release.host import Host
from golive.release.traffic import edge_config
from golive.secret import Secret
from golive.state.records import Place, ResourceRow
from golive.system import ports


async def declare(host: Host, place: Place, blueprint: Blueprint, stores: dict[str, Store]) -> dict[str, Store]:
    """A pool, by its own name, for each of these stores that wants one; none where there is no PgBouncer. Its port is
    promised once and kept, also while there is no pool: the environments of kept releases name it."""
    found: dict[str, Store] = {}
    for name, store in stores.items():
        settings = blueprint.resources[name].pool
        if settings is None or not isinstance(store, Postgres):
            continue
        try:
            engine = await host.engines.find(ENGINE)
        except EngineUnavailable:
            if any(row.name == pool_name(name) for row in host.state.resources(place)):
                host.bare.add((place, pool_name(name)))  # a release that goes on was told of the pool's port
            continue
        if (place, pool_name(name)) in host.bare:
            host.bare.discard((place, pool_name(name)))
            if host.opened is not None:
                await host.gateway.apply(edge_config(host))
        row = _row(host, place, pool_name(name), engine.version)
        at: Placement = replace(store.place, port=row.port)
        found[pool_name(name)] = PgBouncer(settings, store, at, engine, host.state.resource_password(row))
    return found


def _row(host: Host, place: Place, name: str, version: str) -> ResourceRow:
    rows = {row.name: row for row in host.state.resources(place)}
    if name not in rows:
        row = ResourceRow(place, name, ENGINE, version, ports.choose(avoid=host.state.ports()), b"")
        host.state.add_resource(row, Secret(secrets.token_urlsafe(32)))
        rows = {row.name: row for row in host.state.resources(place)}
    return rows[name]


def warnings(
    blueprint: Blueprint, environments: Mapping[str, Mapping[str, Secret]], stores: Mapping[str, Store]
) -> list[str]:
    """What there is to say about connections: that they will not suffice, and `notes`."""
    pooled = any(pool_name(name) in stores for name in blueprint.resources)
    return [*([] if pooled else connections.warnings(blueprint, environments)), *notes(blueprint, stores)]


def notes(blueprint: Blueprint, stores: Mapping[str, Store]) -> list[str]:
    """What there is to say about pools that are wanted: the one that is not there, and what its version lacks."""
    said = []
    for name, resource in blueprint.resources.items():
        pool = stores.get(pool_name(name))
        if resource.pool is None or name not in stores:
            continue
        if not isinstance(pool, PgBouncer):
            said.append(
                f"{name}: the app connects directly, without its pool: this machine has no PgBouncer "
                "(apt-get install pgbouncer, then deploy again)"
            )
        elif lacks := shortcoming(pool.settings, pool.version):
            said.append(f"{name}: {lacks}")
    return said


def past(blueprint: Blueprint, stores: dict[str, Store], values: Mapping[str, Secret]) -> dict[str, Secret]:
    """The connection variables of pooled resources as they are without the pool, for what needs its own session."""
    found: dict[str, Secret] = {}
    for name, resource in blueprint.resources.items():
        url = values.get(resource.direct_from) if resource.direct_from else None
        if url is not None and resource.url_from is not None:
            given = external_variables(resource.model_copy(update={"url_from": resource.direct_from}), url)
            found[resource.url_from] = Secret(_text(given["url"]))
            for variable, value in connection_variables(blueprint, name, given).items():
                found[variable] = Secret(_text(value))
        if pool_name(name) in stores:
            for variable, value in connection_variables(blueprint, name, stores[name].variables()).items():
                found[variable] = Secret(_text(value))
    return found


def _text(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def migrated_through(blueprint: Blueprint, reports: Mapping[str, Report]) -> str | None:
    """What there is to say of migrations that go through somebody else's pooler."""
    name = blueprint.migrations.resource if blueprint.migrations else ""
    report, resource = reports.get(name), blueprint.resources.get(name)
    if report is None or not report.pooled or resource is None or resource.url_from is None or resource.direct_from:
        return None
    return (
        f"{name}: {resource.url_from} leads through a pooler, where a migration has no session of its own; "
        f'`direct_from = "DATABASE_DIRECT_URL"` in [resources.{name}] names the variable of the direct URL'
    )


def orders(host: Host, place: Place, store: Postgres) -> Callable[[str], Awaitable[None]] | None:
    """What gives commands to the pool before a database, in transaction mode; None where there is none. In session mode
    a pool would come to rest only when every client has left."""
    pool = store.resource.pool
    rows = {row.name: row for row in host.state.resources(place)}
    row = rows.get(pool_name(store.name))
    state = host.supervisor.state(f"{place}/resource/{pool_name(store.name)}")
    if row is None or pool is None or pool.mode == "session" or state is None or state.over:
        return None
    password = host.state.resource_password(row)
    return lambda command: databases.pool_order(host.offload, row.port, password, command)


async def use(host: Host, row: ResourceRow) -> dict[str, int] | None:
    """How much of a pool is used; None when it does not say."""
    try:
        return await databases.pool_use(host.offload, row.port, host.state.resource_password(row))
    except GoliveError:
        return None
