"""What clients may ask about domains."""

from __future__ import annotations

from typing import Any

from golive.blueprint.models import Blueprint
from golive.errors import NotFound
from golive.release import certificates
from golive.release.host import Host
from golive.state.records import Place


def listing(host: Host, place: Place) -> dict[str, Any]:
    return {"domains": certificates.view(host, live(host, place))}


def live(host: Host, place: Place) -> Blueprint:
    """NotFound when nothing of it is live."""
    app = host.state.app(place)
    if app is None or app.live is None:
        raise NotFound(f"{place} has no live release", hint="golive up makes the first one")
    return host.release_blueprint(place, app.live)
