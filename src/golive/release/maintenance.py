"""Maintenance of an environment: on, off, and ended by itself. Instances go on running behind it (REL-9)."""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import dataclass, replace
from typing import Any

from golive.blueprint.models import Blueprint
from golive.edge.closed import ENTRANCE
from golive.errors import NotFound, UsageError, nearest
from golive.release import closed
from golive.release import passing as own
from golive.release.host import Host
from golive.release.traffic import edge_config
from golive.secret import Secret
from golive.state.records import Maintenance, Place
from golive.system.http import Headers

log = logging.getLogger("golive.maintenance")
TOKEN = 24
"""Random bytes of a pass."""


@dataclass(frozen=True)
class Wish:
    """What somebody asks for. `services` empty: all; `until` in seconds since 1970; `allow` are networks."""

    services: tuple[str, ...] = ()
    until: float | None = None
    message: str | None = None
    page: str | None = None
    allow: tuple[str, ...] = ()


async def turn_on(host: Host, place: Place, wish: Wish, actor: str) -> dict[str, Any]:
    """The edge answers 503 from here on; as `view`, with `changed`. What was on before is replaced, its pass stays.

    NotFound for an app that is not live or has no such service, UsageError for one that answers no requests.
    EdgeRejected when Envoy refuses: it is then as it was.
    """
    _check(host, place, wish.services)
    before = closed.in_force(host.state.maintenance(place), time.time())
    if before is None:
        row = Maintenance(place, time.time(), wish.until, actor, Secret(secrets.token_urlsafe(TOKEN)))
    else:
        row = replace(before, until=wish.until)
    row = replace(row, services=wish.services, message=wish.message, page=wish.page, allow=wish.allow)
    changed = row != before
    if changed:
        host.state.audit(actor, "maintenance.on", place, services=list(row.services), until=row.until)
        await _change(host, place, row)
    return {**(view(host, place) or {}), "changed": changed}


async def turn_off(host: Host, place: Place, actor: str) -> dict[str, Any]:
    """Requests are served again. `changed` is False when there was no maintenance."""
    if host.state.app(place) is None:
        raise NotFound(f"there is no {place}", hint="golive status lists what there is")
    changed = host.state.maintenance(place) is not None
    if changed:
        host.state.audit(actor, "maintenance.off", place)
        await _change(host, place, None)
    return {"on": False, "changed": changed}


async def _change(host: Host, place: Place, row: Maintenance | None) -> None:
    """In the state, then at the edge in one write. When that fails the state is as before."""
    before = host.state.maintenance(place)
    _store(host, place, row)
    if host.opened is None:
        return
    try:
        await host.opened.apply(edge_config(host))
    except BaseException:
        _store(host, place, before)
        raise


def _store(host: Host, place: Place, row: Maintenance | None) -> None:
    if row:
        host.state.set_maintenance(row)
    else:
        host.state.end_maintenance(place)


async def end_what_is_over(host: Host) -> None:
    """Those whose time has come."""
    now = time.time()
    for row in host.state.maintenances():
        if closed.in_force(row, now) is None:
            log.info("the maintenance of %s is over", row.place)
            host.state.audit("golive", "maintenance.off", row.place, reason="its time is over")
            await _change(host, row.place, None)


def seconds_left(host: Host) -> float:
    """Until the next one ends by itself; infinite when none does, and for one that is over and could not be ended."""
    end = host.state.next_maintenance_end()
    left = end - time.time() if end is not None else 0
    return left if left > 0 else float("inf")


def view(host: Host, place: Place, *, links: bool = True) -> dict[str, Any] | None:
    """As JSON; None when there is no maintenance. `links` let whoever has them pass."""
    row = closed.in_force(host.state.maintenance(place), time.time())
    if row is None:
        return None
    found = {
        "on": True,
        "since": row.since,
        "by": row.actor,
        "until": row.until,
        "services": list(row.services),
        "message": row.message,
        "own_page": row.page is not None,
        "allow": list(row.allow),
    }
    return {**found, "links": _links(host, place, row)} if links else found


def _links(host: Host, place: Place, row: Maintenance) -> list[str]:
    app = host.state.app(place)
    if host.opened is None or app is None or app.live is None:
        return []
    made = host.release_blueprint(place, app.live)
    urls = [host.opened.url(d, https=made.edge.https) for d in made.domains if "*" not in d]
    return [f"{url}{ENTRANCE}?key={row.token.reveal()}" for url in urls]


def passing(host: Host, place: Place) -> Headers:
    """With which golive's own requests pass, asked anew for each: it may be turned on in the middle of a deploy."""
    return (*closed.passing(host.state.maintenance(place)), *own.headers(host, place))


def _check(host: Host, place: Place, services: tuple[str, ...]) -> None:
    app = host.state.app(place)
    if app is None or app.live is None:
        raise NotFound(f"{place} has no live release", hint="golive up makes the first one")
    made = host.release_blueprint(place, app.live)
    for name in services:
        if not known(made, place, name).route:
            raise UsageError(f"{name} answers no requests", hint=f"golive suspend {name} stops it")


def known(blueprint: Blueprint, place: Place, name: str) -> Any:
    """The service of that name. NotFound names the nearest."""
    if name not in blueprint.services:
        close = nearest(name, blueprint.services)
        hint = f"did you mean {close}?" if close else f"it has {', '.join(blueprint.services)}"
        raise NotFound(f"{place} has no service {name}", hint=hint)
    return blueprint.services[name]
