"""What clients look at, as JSON values. The same value prints the table and answers `--json`."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psutil

from golive.blueprint.models import Blueprint, ServiceKind
from golive.data import pool_plan
from golive.errors import NotFound, nearest
from golive.release import backups, certificates, host_bundle, maintenance, pools, reads, replicas, suspension
from golive.release.host import Host
from golive.release.resources import unit_name
from golive.release.schema import Behind, behind
from golive.state.records import App, Deployment, Generation, GenerationState, Place, ResourceRow
from golive.supervise.unit import UnitState
from golive.system import sessions

if TYPE_CHECKING:
    from golive.daemon.daemon import Daemon


def trust(host: Host) -> dict[str, Any] | None:
    """The command that makes this machine trust the local CA."""
    if host.opened is None:
        return None
    found = host.gateway.authority.trust_command()
    return {"command": found.command, "notes": list(found.notes)}


def deployment(host: Host, row: Deployment) -> dict[str, Any]:
    steps = [
        {
            "name": step.name,
            "state": step.state,
            "detail": step.detail,
            "seconds": round(step.ended_at - step.started_at, 3) if step.ended_at else None,
        }
        for step in host.state.steps(row.id)
    ]
    plain = {k: v for k, v in asdict(row).items() if k not in ("place", "request")}
    return {**plain, "app": row.place.app, "environment": row.place.environment, "steps": steps}


async def status(daemon: Daemon, place: Place | None) -> dict[str, Any]:
    host = daemon.host
    apps = [app for app in host.state.apps() if place is None or app.place == place]
    states = {state.id: state for state in host.supervisor.states()}
    pids = [s.process.pid for s in states.values() if s.process]
    memory = await asyncio.to_thread(sessions.resident, pids) if pids else {}
    shown = [_app(host, app, states, memory) for app in apps]
    await asyncio.gather(*(_pools(host, app, one) for app, one in zip(apps, shown, strict=True)))
    return {
        "apps": shown,
        "edge": _unit(states.get("edge"), memory),
        "replaced": host.replaced,
        "standby": None,
        "standbys": [asdict(each) for each in host.followers],
        "bundle_trouble": sorted({t for (_, name), t in host.backup_trouble.items() if name == host_bundle.NAME}),
        "daemon": {"pid": _own_pid(), "started_at": daemon.started_at},
    }


async def _pools(host: Host, app: App, shown: dict[str, Any]) -> None:
    """How much of each pool is used, asked of those that run."""
    for row in host.state.resources(app.place):
        if row.engine == pool_plan.ENGINE and shown["resources"][row.name]["pid"]:
            shown["resources"][row.name]["use"] = await pools.use(host, row)


def _own_pid() -> int:
    import os

    return os.getpid()


def _app(host: Host, app: App, states: dict[str, UnitState], memory: dict[int, int]) -> dict[str, Any]:
    blueprint = host.release_blueprint(app.place, app.live) if app.live else None
    waiting = [d for d in host.state.unfinished_deployments() if d.place == app.place]
    found: dict[str, Any] = {
        "app": app.place.app,
        "environment": app.place.environment,
        "checkout": app.checkout,
        "release": app.live,
        "urls": [],
        "services": {},
        "resources": {},
        "copies": {},
        "reads": {},
        "deployments": [
            {"id": d.id, "kind": d.kind, "state": d.state.value, "queued_at": d.queued_at} for d in waiting
        ],
        "old": [],
        "maintenance": maintenance.view(host, app.place, links=False),
        "backups": backups.health(host, app.place),
        "domains": certificates.view(host, blueprint) if blueprint else {},
    }
    if blueprint is not None and host.opened is not None:
        found["urls"] = [host.gateway.url(d, https=blueprint.edge.https) for d in blueprint.domains if "*" not in d]
    for generation in host.state.generations(app.place):
        if generation.state is GenerationState.LIVE and blueprint is not None:
            found["services"][generation.service] = _service(host, generation, blueprint, states, memory)
        else:
            found["old"].append(_old(host, generation))
    copies = {copy.name: copy for copy in host.state.copies(app.place)}
    for row in host.state.resources(app.place):
        unit = _unit(states.get(unit_name(app.place, row.name)), memory)
        resource = {"engine": row.engine, "version": row.version, "port": row.port, **unit}
        if copy := copies.get(row.name):
            words = copy.state if copy.state != "ready" and unit["state"] == "stopped" else unit["state"]
            found["copies"][row.name] = {**resource, "state": words, "kind": copy.kind, "of": copy.resource}
            found["copies"][row.name] |= replicas.view(host, copy)
        elif row.engine == reads.ENGINE:
            found["reads"][row.name] = {"port": row.port, "served_by": list(_served_by(host, row))}
        else:
            found["resources"][row.name] = resource
    return found


def _served_by(host: Host, row: ResourceRow) -> tuple[str, ...]:
    primary = row.name.removesuffix(reads.SUFFIX)
    return reads.serving_replicas(host, row.place, primary) or (primary,)


def _service(
    host: Host, generation: Generation, blueprint: Blueprint, states: dict[str, UnitState], memory: dict[int, int]
) -> dict[str, Any]:
    service = blueprint.services.get(generation.service) or host.blueprint(generation).services[generation.service]
    instances = [
        {"slot": i.slot, "port": i.port, **_unit(states.get(i.unit), memory)}
        for i in host.state.instances(generation.id)
    ]
    found: dict[str, Any] = {
        "kind": service.kind.value,
        "route": list(service.route),
        "release": generation.release,
        "instances": instances,
        "wanted": suspension.wanted(host, generation.place, generation.service, service),
        "suspended_since": host.state.suspended(generation.place).get(generation.service),
    }
    if service.kind is ServiceKind.CRON:
        found |= {
            "schedule": service.schedule,
            "last_run": host.state.last_cron_run(generation.place, generation.service),
        }
    return found


def _old(host: Host, generation: Generation) -> dict[str, Any]:
    trial = host.trials.get(generation.place)
    tried = trial is not None and generation.id in {g.id for g in trial.generations.values()}
    until = generation.drain_until if generation.state is GenerationState.DRAINING else generation.warm_until
    return {
        "service": generation.service,
        "release": generation.release,
        "state": "canary" if tried else generation.state.value,
        "instances": len(host.state.instances(generation.id)),
        "seconds_left": round(max(until - time.time(), 0)) if until else None,
    }


def _unit(state: UnitState | None, memory: dict[int, int]) -> dict[str, Any]:
    if state is None:
        return {"state": "stopped", "pid": None, "since": None, "restarts": 0, "reason": "", "memory": None}
    pid = state.process.pid if state.process else None
    return {
        "state": state.status.value,
        "pid": pid,
        "since": _since(state),
        "restarts": state.restarts,
        "reason": state.reason,
        "memory": memory.get(pid) if pid else None,
    }


def _since(state: UnitState) -> str:
    """When the process started, also for one that was adopted; without a process, when its state began."""
    if state.process is not None:
        try:
            return datetime.fromtimestamp(psutil.Process(state.process.pid).create_time(), UTC).isoformat()
        except psutil.Error:
            pass
    return state.since.isoformat()


def releases(host: Host, place: Place) -> list[dict[str, Any]]:
    """Newest first, failed and pruned ones too. NotFound when there is no such app."""
    app = host.state.app(place)
    if app is None:
        names = sorted({a.place.app for a in host.state.apps()})
        near = nearest(place.app, names) if place.app not in names else None
        raise NotFound(f"{place} has no releases", hint=f"golive releases --app {near}" if near else "golive up")
    warm = {g.release for g in host.state.generations(place, (GenerationState.WARM, GenerationState.DRAINING))}
    schemas = host.state.release_schemas(place)
    since = {number: behind(schemas, number) or Behind() for number in schemas}
    return [
        {
            "release": r.number,
            "state": "live" if app and app.live == r.number else r.state,
            "warm": r.number in warm,
            "created_at": r.created_at,
            "by": r.actor,
            "schema": r.schema_version,
            "migrated_since": list(since.get(r.number, Behind()).since),
            "contracts_since": list(since.get(r.number, Behind()).contracts),
            "artifacts": r.artifacts,
        }
        for r in host.state.releases(place)
    ]


def audit(host: Host, place: Place | None) -> list[dict[str, Any]]:
    return [asdict(entry) for entry in host.state.audit_log(place)]


async def engines(host: Host) -> list[dict[str, Any]]:
    return [json.loads(json.dumps(asdict(item), default=str)) for item in await host.engines.list()]
