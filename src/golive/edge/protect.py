"""A site that only those see who are let in: by a password (HTTP Basic) or by a link that sets a cookie. Pure.

Routes do it, not Envoy's basic_auth filter: a route is in force on connections that are open already, can take a cookie
in place of the password, and asks for nothing in the listeners.
"""

from __future__ import annotations

import base64
import re

from golive.edge.closed import ENTRANCE, unless
from golive.edge.headers import cookie_pattern
from golive.edge.model import Protected, Site
from golive.edge.resource import Json
from golive.edge.shield import PROBE
from golive.secret import Secret

COOKIE = "golive-key"
PRIVATE: Json = {
    "header": {"key": "cache-control", "value": "private"},
    "append_action": "APPEND_IF_EXISTS_OR_ADD",
}
"""Beside what an answer says itself: the strictest counts, and a CDN before the edge asks nobody for a password."""
TEXT = "This is not open to everybody"
_BY = {True: "Give the name and password that you were told.", False: "Open it by the link that you were given."}


def routes(site: Site, *, secure: bool) -> list[Json]:
    """The entrance, then the answer to all who are not let in; none where everybody is."""
    guard = site.protected
    if guard is None:
        return []
    strangers = [unless("cookie", cookie_pattern(COOKIE, guard.key.reveal()))]
    if guard.password is not None:
        strangers.append(unless("authorization", _credentials(guard.user, guard.password)))
    if site.probe is not None:
        strangers.append(unless(PROBE, re.escape(site.probe.reveal())))
    strangers += [unless(":path", f"{re.escape(path.rstrip('/'))}(?:[/?].*)?") for path in guard.open]
    made = [_entrance(guard, secure=secure)] if guard.link else []
    return [*made, _refusal(site, guard, strangers)]


def admitted(site: Site, made: list[Json], *, secure: bool) -> list[Json]:
    """The site's own routes, each also for who comes with the password: they get the cookie, so that a page may use
    Authorization for itself, and the application does not see what was for the edge."""
    guard = site.protected
    if guard is None or guard.password is None:
        return made
    known = {
        "name": "authorization",
        "string_match": {"safe_regex": {"regex": _credentials(guard.user, guard.password)}},
    }
    cookie = {"header": _set_cookie(guard, secure=secure), "append_action": "APPEND_IF_EXISTS_OR_ADD"}
    found = []
    for route in made:
        match = {**route["match"], "headers": [*route["match"].get("headers", ()), known]}
        added = [*route.get("response_headers_to_add", ()), cookie]
        removed = [*route.get("request_headers_to_remove", ()), "authorization"]
        found += [
            {**route, "match": match, "response_headers_to_add": added, "request_headers_to_remove": removed},
            route,
        ]
    return found


def _entrance(guard: Protected, *, secure: bool) -> Json:
    key = {"name": "key", "string_match": {"exact": guard.key.reveal()}}
    return {
        "match": {"path": ENTRANCE, "query_parameters": [key]},
        "direct_response": {"status": 303},
        "response_headers_to_add": [
            _header("location", "/"),
            _header(**_set_cookie(guard, secure=secure)),
            _header("cache-control", "no-store"),
            _header("referrer-policy", "no-referrer"),
        ],
    }


def _refusal(site: Site, guard: Protected, strangers: list[Json]) -> Json:
    basic = guard.password is not None
    added = [_header("cache-control", "no-store"), _header("x-robots-tag", "noindex")]
    if basic:
        added.append(_header("www-authenticate", f'Basic realm="{site.app} ({site.environment})", charset="UTF-8"'))
    return {
        "match": {"prefix": "/", "headers": strangers},
        "direct_response": {"status": 401 if basic else 403, "body": {"inline_string": f"{TEXT}. {_BY[basic]}\n"}},
        "response_headers_to_add": added,
    }


def _credentials(user: str, password: Secret) -> str:
    """RFC 7617: the scheme in any case of letters, name and password as UTF-8."""
    text = base64.b64encode(f"{user}:{password.reveal()}".encode()).decode()
    return f"(?i:basic) +{re.escape(text)}"


def _set_cookie(guard: Protected, *, secure: bool) -> dict[str, str]:
    value = f"{COOKIE}={guard.key.reveal()}; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")
    return {"key": "set-cookie", "value": value}


def _header(key: str, value: str) -> Json:
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
