"""Pure: what the edge says while services are suspended or an environment is in maintenance, from the state's rows."""

from __future__ import annotations

from collections.abc import Collection

from golive.blueprint.models import Blueprint
from golive.edge.closed import COOKIE
from golive.edge.model import Closed
from golive.state.records import Maintenance
from golive.system.http import Headers

SUSPENDED = Closed("Suspended", "This part of the site is switched off.")
TITLE = "Down for maintenance"
TEXT = "We are working on it and will be back soon."


def in_force(row: Maintenance | None, now: float) -> Maintenance | None:
    """A maintenance whose time is over is none, also when nobody has ended it yet."""
    return row if row and (row.until is None or now < row.until) else None


def answer(row: Maintenance) -> Closed:
    """What strangers get."""
    return Closed(TITLE, row.message or TEXT, row.until, row.page, row.allow, row.token)


def of_site(row: Maintenance | None) -> Closed | None:
    """In place of everything."""
    return answer(row) if row and not row.services else None


def of_service(row: Maintenance | None, name: str, suspended: Collection[str]) -> Closed | None:
    """In place of one service. Nobody passes to one that does not run."""
    if name in suspended:
        return SUSPENDED
    return answer(row) if row and name in row.services else None


def serving(blueprint: Blueprint, suspended: Collection[str]) -> Blueprint:
    """The blueprint without the routes of suspended services: what can be asked for through the edge."""
    if not suspended:
        return blueprint
    services = {n: s.model_copy(update={"route": ()}) if n in suspended else s for n, s in blueprint.services.items()}
    return blueprint.model_copy(update={"services": services})


def passing(row: Maintenance | None) -> Headers:
    """The header with which golive's own requests pass."""
    return (("Cookie", f"{COOKIE}={row.token.reveal()}"),) if row else ()
