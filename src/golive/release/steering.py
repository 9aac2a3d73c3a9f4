"""What somebody asks of the traffic by hand: the share of a release on trial, or of a service that replaces another."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from golive.blueprint.models import Blueprint
from golive.errors import Conflict, NotFound, UsageError
from golive.release.maintenance import known
from golive.release.shifts import percent_at, shifts
from golive.release.traffic import edge_config
from golive.state.records import Place, Shift

if TYPE_CHECKING:
    from golive.edge.counts import Counts
    from golive.release.host import Host
    from golive.release.trial import Trial


def view(host: Host, place: Place) -> dict[str, Any]:
    """As JSON: the live release, the one on trial or None, every service that replaces another."""
    trial = host.trials.get(place)
    blueprint, number = _live(host, place)
    return {
        "release": number,
        "canary": _trial(trial) if trial else None,
        "shifts": _shifts(host, place, blueprint),
    }


def _trial(trial: Trial) -> dict[str, Any]:
    touched, total = trial.touched
    return {
        "deployment": trial.deployment,
        "release": trial.release,
        "percent": trial.percent,
        "steps": list(trial.steps),
        "held": trial.held,
        "since": trial.since,
        "requests": {"canary": touched, "all": total},
        "services": {
            name: {"canary": _counted(new), "live": _counted(old)} for name, (new, old) in trial.window.items()
        },
    }


def _counted(counts: Counts) -> dict[str, Any]:
    p95 = round(counts.percentile(0.95), 1) if counts.timed else None
    return {"requests": counts.requests, "failed": counts.failed, "p95_ms": p95}


def _shifts(host: Host, place: Place, blueprint: Blueprint) -> list[dict[str, Any]]:
    rows = {(shift.service, shift.replaced): shift for shift in host.state.shifts(place)}
    now = time.time()
    found = []
    for name, service in blueprint.services.items():
        if service.replaces is None:
            continue
        row = rows.get((name, service.replaces))
        moves = row is not None and row.until is not None and now < row.until
        found.append(
            {
                "service": name,
                "replaces": service.replaces,
                "percent": percent_at(row, now) if row else 0,
                "goal": row.percent if row and moves else None,
                "until": row.until if row and moves else None,
            }
        )
    return found


async def shift(host: Host, place: Place, service: str, percent: int, over: float | None, actor: str) -> dict[str, Any]:
    """That share of visitors goes to a service that replaces another; evenly within so many seconds.

    `{"service": …, "replaces": …, "from": …, "percent": …, "until": …}`. NotFound for an unknown one, UsageError for
    one that replaces none. EdgeRejected when Envoy refuses: it is then as it was.
    """
    blueprint, _ = _live(host, place)
    replaced = known(blueprint, place, service).replaces
    if replaced is None:
        others = [name for name, one in blueprint.services.items() if one.replaces]
        hint = f"golive traffic {others[0]}={percent}%" if others else f'replaces = "…" in [services.{service}]'
        raise UsageError(f"{service} replaces no other service", hint=hint)
    now = time.time()
    rows = {one.service: one for one in host.state.shifts(place)}
    before = shifts(host, place).get((service, replaced), 0)
    until = now + over if over else None
    host.state.audit(actor, "traffic", place, service=service, percent=percent, until=until)
    host.state.set_shift(Shift(place, service, replaced, before, percent, now, until))
    try:
        await host.gateway.apply(edge_config(host))
    except BaseException:
        host.state.set_shift(rows.get(service, Shift(place, service, replaced, 0, 0, now)))
        raise
    return {"service": service, "replaces": replaced, "from": before, "percent": percent, "until": until}


async def hold(host: Host, place: Place, percent: int | None, actor: str) -> dict[str, Any]:
    """The canary that is under way gets that share of new visitors and keeps it: 100 makes it the live release, 0
    leaves it those who have its cookie. None: its own steps go on. As `view`; Conflict when there is none."""
    trial = host.trials.get(place)
    if trial is None:
        hint = "golive up --canary begins one; golive traffic SERVICE=SHARE is about a service that replaces another"
        raise Conflict(f"no canary of {place} is under way", hint=hint)
    host.state.audit(actor, "traffic", place, release=trial.release, percent=percent)
    before = (trial.percent, trial.held)
    trial.held = percent is not None
    if percent is not None:
        trial.percent = percent
        try:
            await host.gateway.apply(edge_config(host))
        except BaseException:
            trial.percent, trial.held = before
            raise
    trial.asked.set()
    return view(host, place)


def _live(host: Host, place: Place) -> tuple[Blueprint, int]:
    app = host.state.app(place)
    if app is None or app.live is None:
        raise NotFound(f"{place} has no live release", hint="golive up makes the first one")
    return host.release_blueprint(place, app.live), app.live
