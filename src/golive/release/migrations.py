"""Migrations outside a deployment: where the database of what is live stands, and running what is pending now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from golive.blueprint.env import resource_variables
from golive.blueprint.models import Migrations
from golive.build.artifact import Artifact
from golive.errors import NotFound
from golive.migrate.runtime import Runtime
from golive.migrate.status import Applied, MigrationEvent
from golive.release import databases, environment, resources
from golive.release.host import Host
from golive.release.instances import process_environment
from golive.secret import Secret
from golive.state.records import Place


@dataclass(frozen=True)
class Live:
    """What migrating the live release needs: its settings, database and environment, and the files of the checkout."""

    release: int
    settings: Migrations
    checkout: Path
    url: Secret
    runtime: Runtime | None


async def live(host: Host, place: Place) -> Live:
    """NotFound when nothing is live, it has no migrations, or its checkout is gone."""
    app = host.state.app(place)
    if app is None or app.live is None:
        raise NotFound(f"{place} has no live release", hint="golive up makes the first one, and migrates")
    blueprint = host.release_blueprint(place, app.live)
    settings = blueprint.migrations
    if settings is None:
        raise NotFound(f"{place} has no migrations", hint="`migrations` in golive.toml says where they are")
    checkout = Path(app.checkout)
    if not checkout.is_dir():
        raise NotFound(f"the checkout of {place} is gone", where=str(checkout), hint="golive up from where it is now")
    values, _ = environment.with_urls(blueprint, host.state.variables(place))
    stores = await resources.declare(host, place, blueprint)
    injected = resources.variables(blueprint, stores, values)
    url = injected.get(resource_variables(blueprint)[settings.resource]["url"])
    if url is None:
        raise NotFound(f"{place} has no database {settings.resource} yet", hint="golive up makes it")
    return Live(app.live, settings, checkout, url, _live_runtime(host, place, app.live, settings))


def _live_runtime(host: Host, place: Place, number: int, settings: Migrations) -> Runtime | None:
    if settings.service is None:
        return None
    artifact = host.builder.store.get(host.state.release(place, number).artifacts[settings.service])
    values = host.state.release_environments(place, number).get(settings.service, {})
    return runtime(host, place, artifact, values) if artifact else None


def runtime(host: Host, place: Place, artifact: Artifact, values: dict[str, Secret]) -> Runtime:
    """The environment of a release for a migration tool of the project's own; no `python` where it has none."""
    env = process_environment(host, place, artifact, {name: value.reveal() for name, value in values.items()})
    home = env.get("VIRTUAL_ENV")
    python = (str(Path(home) / "bin" / "python"),) if home else ()
    return Runtime(python, env, host.app_user(place.app), artifact.app)


async def status(host: Host, place: Place, *, sql: bool) -> dict[str, Any]:
    """As JSON; changes nothing. `sql`: what would run, too."""
    found = await live(host, place)
    seen = await databases.overview(
        host.offload, found.settings, found.checkout, found.url, runtime=found.runtime, sql=sql
    )
    lines = []
    for line in seen.lines:
        at = line.applied_at.isoformat() if line.applied_at else None
        lines.append({**asdict(line), "applied_at": at, "sql": line.sql if sql else None})
    return {
        "app": place.app,
        "environment": place.environment,
        "release": found.release,
        "tool": seen.tool,
        "version": seen.version,
        "source": found.settings.source,
        "pending": [line.name for line in seen.pending],
        "stop": {"what": seen.stop[0], "hint": seen.stop[1]} if seen.stop else None,
        "migrations": lines,
        "sql": seen.sql if sql else None,
    }


async def up(host: Host, place: Place, actor: str, report: Callable[[MigrationEvent], None]) -> Applied:
    """Run what is pending, for the release that is live. In the audit log before it begins and when it has ended."""
    found = await live(host, place)
    host.state.audit(actor, "migrate", place, release=found.release, tool=found.settings.tool)
    try:
        applied = await databases.migrate(
            host.offload,
            found.settings,
            found.checkout,
            found.url,
            release=found.release,
            report=report,
            runtime=found.runtime,
        )
    except BaseException as error:
        host.state.audit(actor, "migrate.failed", place, release=found.release, error=type(error).__name__)
        raise
    host.state.set_release(place, found.release, "ready", applied.version_after)
    host.state.audit(
        actor, "migrate.done", place, release=found.release, applied=list(applied.files), schema=applied.version_after
    )
    return applied
