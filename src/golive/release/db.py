"""The databases of an app that is live, for whoever looks at them or works on them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from golive.blueprint.models import Resource
from golive.data.clients import PACKAGES, client
from golive.data.external import target_of
from golive.data.store import Store
from golive.errors import EngineUnavailable, NotFound, ResourceFailed, UsageError, nearest
from golive.release import copies, databases, environment, replicas, resources
from golive.release.host import Host
from golive.secret import Secret
from golive.state.records import Place

if TYPE_CHECKING:
    from golive.data.maintain import Step

Report = Callable[["Step"], None]


@dataclass(frozen=True)
class Database:
    """One resource with the app's URL for it, past any pool; `store` where golive runs it."""

    name: str
    resource: Resource
    url: Secret
    store: Store | None


async def live(host: Host, place: Place, wanted: str | None = None) -> dict[str, Database]:
    """By name, in the order of golive.toml; copies too when `wanted` is meant to be one (`db@try-1`). NotFound when
    nothing is live or it has no resource."""
    app = host.state.app(place)
    if app is None or app.live is None:
        raise NotFound(f"{place} has no live release", hint="golive up makes the first one")
    blueprint = host.release_blueprint(place, app.live)
    if not blueprint.resources:
        raise NotFound(f"{place} has no database", hint="`[resources]` in golive.toml declares them")
    values, _ = environment.with_urls(blueprint, host.state.variables(place))
    stores = await resources.declare(host, place, blueprint)
    injected = resources.variables(blueprint, stores, values)
    found = {}
    for name, resource in blueprint.resources.items():
        url = resources.direct_url(blueprint, name, injected, values)
        if url is None:
            raise ResourceFailed(
                f"resource {name} has no URL",
                why=f"{resource.url_from} has no value",
                hint=f"golive env set {resource.url_from}",
            )
        found[name] = Database(name, resource, url, stores.get(name))
    return found | (await _copies(host, place, found) if wanted and "@" in wanted else {})


async def _copies(host: Host, place: Place, of: dict[str, Database]) -> dict[str, Database]:
    """Those that run and whose resource golive.toml still has."""
    found = {}
    for copy in host.state.copies(place):
        if copy.state == "ready" and copy.resource in of:
            store = await copies.store(host, copy)
            url = store.variables()["url"]
            if isinstance(url, Secret):
                found[copy.name] = Database(copy.name, of[copy.resource].resource, url, store)
    return found


def choose(
    found: dict[str, Database], name: str | None, engine: Literal["postgres", "redis"] | None = None
) -> Database:
    """The one named, else the first PostgreSQL, else the first there is. `engine`: what it has to be."""
    if name is not None:
        if name not in found:
            near = nearest(name, found)
            hint = f"did you mean {near}?" if near else f"it has {', '.join(found)}"
            raise NotFound(f"there is no resource {name!r}", hint=hint)
        chosen = found[name]
    else:
        chosen = min(found.values(), key=lambda each: each.resource.engine != (engine or "postgres"))
    if engine and chosen.resource.engine != engine:
        title = "PostgreSQL" if engine == "postgres" else "Redis"
        if name is None:
            raise NotFound(f"the app has no {title}", hint=f"it has {', '.join(found)}")
        raise UsageError(f"{chosen.name} is no {title}", hint="golive db insight shows what there is")
    return chosen


async def insight(host: Host, place: Place, name: str | None) -> dict[str, Any]:
    """As JSON: the resource of that name, or all of them. What cannot be looked at is an `error` in its place."""
    found = await live(host, place, name)
    wanted = [choose(found, name)] if name is not None else list(found.values())
    seen = []
    for database in wanted:
        head = {"name": database.name, "engine": database.resource.engine, "external": database.store is None}
        try:
            insight = await databases.insight(host.offload, database.resource, database.url, database.store)
        except ResourceFailed as error:
            seen.append({**head, "error": error.to_json()})
        else:
            following = {copy.name: replicas.view(host, copy) for copy in replicas.of(host, place, database.name)}
            seen.append({**head, **asdict(insight), "replicas": following})
    return {"app": place.app, "environment": place.environment, "resources": seen}


async def size(host: Host, place: Place, name: str | None) -> dict[str, Any]:
    """As JSON, of every resource or the one named. ResourceFailed for the first that does not answer."""
    found = await live(host, place, name)
    wanted = [choose(found, name)] if name is not None else list(found.values())
    seen = []
    for each in wanted:
        sizes = await databases.sizes(host.offload, each.resource, each.url, each.store)
        seen.append({"name": each.name, "engine": each.resource.engine, **sizes})
    return {"app": place.app, "environment": place.environment, "resources": seen}


async def shell(host: Host, place: Place, name: str | None) -> dict[str, Any]:
    """What psql or redis-cli is started with, secrets too. `program` is its path, or its name where golive runs no
    engine that has it."""
    chosen = choose(await live(host, place, name), name)
    wanted = client(target_of(chosen.resource, chosen.url))
    env = {key: value.reveal() if isinstance(value, Secret) else value for key, value in wanted.env.items()}
    program, package = wanted.program, PACKAGES[wanted.program]
    if chosen.store is not None:
        engine = chosen.store.engine
        with contextlib.suppress(EngineUnavailable):  # a server without its client: the machine may have one
            program, env = str(engine.program(wanted.program)), {**engine.env, **env}
    return {"resource": chosen.name, "program": program, "package": package, "args": list(wanted.args), "env": env}


async def maintain(
    host: Host, place: Place, call: tuple[Literal["vacuum", "reindex"], str | None, str | None], report: Report
) -> None:
    """`call` is the work, the resource and the table or index. Cancelled, it ends on the server too."""
    work, resource, name = call
    chosen = choose(await live(host, place, resource), resource, "postgres")
    await databases.maintain(host.offload, work, chosen.resource, chosen.url, name, report)
