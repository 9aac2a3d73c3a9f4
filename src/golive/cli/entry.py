"""How golive's own commands get in to a protected environment that it serves here, without being told the password."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from golive.cli.place import client
from golive.errors import GoliveError

if TYPE_CHECKING:
    from golive.checks.site import Address
    from golive.checks.web import Entry
    from golive.daemon.client import Client


def of_app(daemon: Client, place: dict[str, str]) -> Entry | None:
    """Of an environment that is live here; None where everybody is let in."""
    from golive.checks.site import address
    from golive.checks.web import Entry
    from golive.secret import Secret

    found: dict[str, Any] = daemon.get("/v1/entry", **place)
    if not found["cookie"]:
        return None
    return Entry(frozenset(address(url).origin for url in found["urls"]), Secret(found["cookie"]))


def of_address(at: Address) -> Entry | None:
    """Of what answers at an address; None where golive does not serve it here, or no daemon runs."""
    from golive.checks.site import address

    with contextlib.suppress(GoliveError):
        daemon = client(start=False)
        for one in daemon.get("/v1/status")["apps"]:
            if one["release"] and any(address(url).origin == at.origin for url in one["urls"]):
                return of_app(daemon, {"app": one["app"], "environment": one["environment"]})
    return None
