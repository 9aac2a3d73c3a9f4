"""Pure: which services a release changes, and which running generation may serve it as it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from golive.blueprint.models import Blueprint, Service, ServiceKind
from golive.secret import Secret
from golive.state.records import Generation, GenerationState

EDGE_ONLY = {
    "route",
    "replaces",
    "strip_prefix",
    "domains",
    "rate_limit",
    "quota",
    "cache",
    "jwt",
    "timeout",
    "idle_timeout",
    "scale",
    "schedule",
    "timezone",
    "dev",
}
"""Settings of a service that change nothing about its processes: a change in them needs no new instance."""


class Action(StrEnum):
    KEEP = "keep"
    """The live generation is what this release needs."""
    REUSE = "reuse"
    """A warm one is: traffic goes back to it at once."""
    START = "start"
    """New instances."""


@dataclass(frozen=True)
class ServicePlan:
    """What happens to one service. `generation` is the one kept or reused."""

    name: str
    service: Service
    artifact: str
    fingerprint: str
    action: Action
    generation: int | None = None


def fingerprint(service: Service, artifact: str, environment: Mapping[str, Secret]) -> str:
    """Equal fingerprints mean interchangeable instances. GOLIVE_RELEASE, which differs by design, is left out."""
    settings = service.model_dump(mode="json", exclude=EDGE_ONLY)
    values = {name: value.reveal() for name, value in sorted(environment.items()) if name != "GOLIVE_RELEASE"}
    document = json.dumps([settings, artifact, values], sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()[:32]


def plan_services(
    blueprint: Blueprint,
    artifacts: Mapping[str, str],
    environments: Mapping[str, Mapping[str, Secret]],
    running: Collection[Generation],
    force: Collection[str] = (),
) -> tuple[ServicePlan, ...]:
    """One plan per service. `force` names services that get new instances whatever their fingerprint (restart)."""
    plans = []
    for name, service in blueprint.services.items():
        print_ = fingerprint(service, artifacts[name], environments.get(name, {}))
        same = [g for g in running if g.service == name and g.fingerprint == print_]
        live = next((g for g in same if g.state is GenerationState.LIVE), None)
        # A draining one still runs, so traffic may simply return to it; the newest is the likeliest to be whole.
        spare = next((g for g in reversed(same) if _is_spare(g, service)), None)
        if name in force or not (live or spare):
            plans.append(ServicePlan(name, service, artifacts[name], print_, Action.START))
        elif live:
            plans.append(ServicePlan(name, service, artifacts[name], print_, Action.KEEP, live.id))
        elif spare:
            plans.append(ServicePlan(name, service, artifacts[name], print_, Action.REUSE, spare.id))
    return tuple(plans)


def _is_spare(generation: Generation, service: Service) -> bool:
    """Whether traffic may go back to it as it is. What cannot overlap was stopped before its successor started, a
    worker must not take work from two sides, and a warm one whose time is over is being stopped."""
    if not service.overlap or service.kind not in (ServiceKind.WEB, ServiceKind.STATIC):
        return False
    warm = generation.state is GenerationState.WARM and bool(generation.warm_until)
    return warm or generation.state is GenerationState.DRAINING


def replaced(plans: Collection[ServicePlan], running: Collection[Generation]) -> tuple[Generation, ...]:
    """Live generations that stop being live: of changed services, and of services that are gone."""
    kept = {plan.generation for plan in plans if plan.action is Action.KEEP}
    return tuple(g for g in running if g.state is GenerationState.LIVE and g.id not in kept)


def instances_wanted(service: Service, asked: int | None) -> int:
    """How many to run: what was asked for by hand or the autoscaler, inside the blueprint's bounds."""
    if service.kind in (ServiceKind.STATIC, ServiceKind.CRON):
        return 0
    low, high = service.scale.min, max(service.scale.min, service.scale.max)
    return min(max(asked if asked is not None else low, low), high)
