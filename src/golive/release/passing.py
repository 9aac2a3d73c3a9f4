"""How golive's own requests pass what stops strangers: a secret header of an environment, which no application sees."""

from __future__ import annotations

import hmac

from golive.blueprint.models import Blueprint
from golive.edge.shield import PROBE
from golive.release.host import Host
from golive.secret import Secret
from golive.state.records import Place
from golive.system.http import Headers


def probe(host: Host, place: Place, blueprint: Blueprint) -> Secret | None:
    """The header's value; None where nothing stops anybody. Derived from the state's key, so it is written nowhere."""
    return derived(host, f"probe {place}") if blueprint.edge.shield else None


def derived(host: Host, purpose: str) -> Secret:
    """A secret of this home's own for one purpose: 32 bytes in hex."""
    return Secret(hmac.new(host.home.key.read_bytes(), f"golive {purpose}".encode(), "sha256").hexdigest())


def headers(host: Host, place: Place) -> Headers:
    """What the live release's edge asks for."""
    app = host.state.app(place)
    if app is None or app.live is None:
        return ()
    value = probe(host, place, host.release_blueprint(place, app.live))
    return ((PROBE, value.reveal()),) if value else ()
