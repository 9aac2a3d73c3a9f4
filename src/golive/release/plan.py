"""What a deploy would change, found out without changing anything (TGT-3)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from golive.blueprint.env import build_environment, check_environment, resource_variables
from golive.blueprint.load import load
from golive.blueprint.models import Blueprint
from golive.build.plan import BuildRequest
from golive.errors import GoliveError
from golive.migrate.lint import Verdict
from golive.release import databases, environment, pools, resources
from golive.release.desired import Action, plan_services
from golive.release.host import Host
from golive.release.migrations import kept, running
from golive.secret import Secret
from golive.state.records import Place


async def plan(host: Host, place: Place, checkout: Path) -> dict[str, Any]:
    """As JSON: services (what happens to each and why), resources, migrations and what they endanger, variables,
    settings, what is missing, warnings."""
    loaded = await asyncio.to_thread(load, checkout, place.environment)
    blueprint = loaded.resolved.blueprint
    given = host.state.variables(place)
    values, _ = environment.with_urls(blueprint, given)
    rows = {row.name: row for row in host.state.resources(place)}
    app = host.state.app(place)
    live = app.live if app else None
    before = host.release_blueprint(place, live) if live else None

    keys = {}
    for name, service in blueprint.services.items():
        request = BuildRequest(
            app=place.app, name=name, service=service, checkout=loaded.checkout, policy=blueprint.build,
            build_env=build_environment(blueprint, name, values), user=host.app_user(place.app),
        )  # fmt: skip
        keys[name] = await asyncio.to_thread(host.builder.key, request)
    known = all(name in rows or r.url_from for name, r in blueprint.resources.items())
    resources.require_versions(host, place, blueprint)
    stores = await resources.declare(host, place, blueprint) if known else {}
    injected = resources.variables(blueprint, stores, values) if known else {}
    environments = environment.environments(blueprint, values, injected, live or 0)
    plans = plan_services(blueprint, keys, environments, host.state.generations(place))
    services = {
        p.name: {
            "action": p.action.value,
            "artifact": "cached" if host.builder.store.get(p.artifact) else "to build",
            "overlap": p.service.overlap,
        }
        for p in plans
    }
    gone = sorted(set(before.services) - set(blueprint.services)) if before else []
    missing = [str(p) for p in check_environment(blueprint, given)]
    migrations = await _migrations(host, loaded.checkout, blueprint, injected)
    linted = await _lint(host, place, loaded.checkout, blueprint, injected) if migrations else Verdict()
    held = {one.file for one in linted.held}
    migrations = [name for name in migrations if name not in held]
    lost = await _lost(host, place, loaded.checkout, blueprint, injected) if migrations else []
    settings = (
        [] if before is None else _changed_settings(before.model_dump(mode="json"), blueprint.model_dump(mode="json"))
    )
    changes = any(p.action is not Action.KEEP for p in plans) or bool(gone or settings or migrations)
    return {
        "app": place.app,
        "environment": place.environment,
        "live": live,
        "changes": changes,
        "services": services,
        "removed_services": gone,
        "resources": {name: "keep" if name in rows else "create" for name in blueprint.resources},
        "migrations": migrations,
        "rehearsal": _rehearsal(blueprint) if migrations and before else None,
        "lint": linted.to_json(),
        "rollbacks": [one for one in lost if one["file"] not in held],
        "settings": settings,
        "missing": missing,
        "warnings": pools.warnings(blueprint, environments, stores),
    }


async def _migrations(host: Host, checkout: Path, blueprint: Blueprint, injected: dict[str, Secret]) -> list[str]:
    """By name; all of them while the database is not there yet."""
    if blueprint.migrations is None:
        return []
    name = resource_variables(blueprint)[blueprint.migrations.resource]["url"]
    try:
        return list(await databases.pending(host.offload, blueprint.migrations, checkout, injected.get(name)))
    except GoliveError as error:
        return [f"could not be asked: {error.what}"]


async def _lint(host: Host, place: Place, checkout: Path, blueprint: Blueprint, injected: dict[str, Secret]) -> Verdict:
    """On what is pending; nothing where it cannot be asked, which `_migrations` says."""
    if blueprint.migrations is None:
        return Verdict()
    name = resource_variables(blueprint)[blueprint.migrations.resource]["url"]
    try:
        return await databases.inspect(
            host.offload, blueprint.migrations, checkout, injected.get(name), running(host, place), runtime=None
        )
    except GoliveError:
        return Verdict()


def _rehearsal(blueprint: Blueprint) -> dict[str, Any] | None:
    """What of the migrations is done on a copy first, and how many seconds a lock may last there."""
    rules = blueprint.migrations.rehearse if blueprint.migrations else None
    if rules is None:
        return None
    return {"longest_lock": rules.longest_lock.total_seconds() if rules.longest_lock is not None else None}


async def _lost(
    host: Host, place: Place, checkout: Path, blueprint: Blueprint, injected: dict[str, Secret]
) -> list[dict[str, Any]]:
    """The kept releases that could not come back after what is pending, and why."""
    settings = blueprint.migrations
    url = injected.get(resource_variables(blueprint)[settings.resource]["url"]) if settings else None
    if settings is None or url is None:
        return []
    try:
        found = await databases.taken(host.offload, settings, checkout, url, kept(host, place))
    except GoliveError:
        return []
    return [{"release": number, "file": file, "what": what} for number, file, what in found]


def _changed_settings(before: Any, after: Any, path: str = "") -> list[str]:
    """Key paths whose value differs, of services and policies alike."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = [
            _changed_settings(before.get(k), after.get(k), f"{path}.{k}" if path else k) for k in {**before, **after}
        ]
        return [line for lines in found for line in lines]
    return [] if before == after else [f"{path}: {before} → {after}"]
