"""Who passes what stops strangers: those whom a protected environment lets in, and golive's own requests.

The latter have a secret header of each environment, which no application sees.
"""

from __future__ import annotations

from golive.blueprint.models import Blueprint
from golive.edge.closed import ENTRANCE
from golive.edge.model import Protected
from golive.edge.protect import COOKIE
from golive.edge.shield import PROBE
from golive.errors import NotFound
from golive.release.host import Host
from golive.secret import Secret
from golive.state.records import Place
from golive.system.http import Headers


def probe(host: Host, place: Place, blueprint: Blueprint) -> Secret | None:
    """The header's value; None where nothing stops anybody. Derived from the state's key, so it is written nowhere."""
    services = blueprint.services.values()
    stops = blueprint.edge.shield or blueprint.protect or any(s.quota or s.jwt for s in services)
    return host.state.derived(f"probe {place}") if stops else None


def protected(host: Host, place: Place, blueprint: Blueprint, release: int) -> Protected | None:
    """Who is let in to a release. The key is another when the password is; without a value nobody knows either."""
    wish = blueprint.protect
    if wish is None:
        return None
    if wish.password is None:
        return Protected(host.state.derived(f"pass {place}"), link=wish.link, open=wish.open)
    values = host.state.release_environments(place, release).values()
    password = next((found[wish.password] for found in values if wish.password in found), None)
    if password is None:
        return Protected(host.state.derived(f"nobody {place}"), open=wish.open)
    key = host.state.derived(f"pass {place} {password.reveal()}")
    return Protected(key, wish.user, password, wish.link, wish.open)


def links(host: Host, place: Place) -> list[str]:
    """That open an environment; none where there is no need, or no link.

    NotFound for an app that is not live.
    """
    app = host.state.app(place)
    if app is None or app.live is None:
        raise NotFound(f"{place} has no live release", hint="golive up makes the first one")
    made = host.release_blueprint(place, app.live)
    guard = protected(host, place, made, app.live)
    if guard is None or not guard.link or host.opened is None:
        return []
    urls = [host.opened.url(d, https=made.edge.https) for d in made.domains if "*" not in d]
    return [f"{url}{ENTRANCE}?key={guard.key.reveal()}" for url in urls]


def entry(host: Host, place: Place) -> tuple[list[str], str] | None:
    """The addresses of a protected environment, and the cookie of whoever was let in: it passes the protection and
    nothing else. None where everybody is let in. NotFound for an app that is not live."""
    app = host.state.app(place)
    if app is None or app.live is None:
        raise NotFound(f"{place} has no live release", hint="golive up makes the first one")
    made = host.release_blueprint(place, app.live)
    guard = protected(host, place, made, app.live)
    if guard is None or host.opened is None:
        return None
    urls = [host.opened.url(d, https=made.edge.https) for d in made.domains if "*" not in d]
    return urls, f"{COOKIE}={guard.key.reveal()}"


def headers(host: Host, place: Place) -> Headers:
    """What the live release's edge asks for."""
    app = host.state.app(place)
    if app is None or app.live is None:
        return ()
    value = probe(host, place, host.release_blueprint(place, app.live))
    return ((PROBE, value.reveal()),) if value else ()
