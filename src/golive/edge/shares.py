"""Two ways beside each other on the same paths: each visitor takes one, and stays on it by a cookie.

Envoy draws once for each request, and compares the same number with every fraction of a route: a route that was not
drawn leaves the request to the routes behind it. Whether a site's release or one of its routes is drawn is decided by
different digits of that number, so that one says nothing about the other.
"""

from __future__ import annotations

import re
from dataclasses import replace

from golive.edge.headers import cookie_pattern
from golive.edge.model import RouteRule, Share
from golive.edge.resource import Json

RELEASE = "golive-release"
"""The cookie that says which release."""
SERVICE = "golive-traffic-"
"""The same for one service of two, before the name of the one that is replaced."""


def shared(routes: list[Json], share: Share, *, secure: bool) -> list[Json]:
    """The routes for the visitors of a share alone."""
    if not share.drawn and share.percent is None:
        return routes
    return staying(routes, share) + (drawn(routes, share, secure=secure) if share.drawn else [])


def staying(routes: list[Json], share: Share) -> list[Json]:
    """For those who belong to it already."""
    return [narrowed(route, [_brings(share.cookie, share.key)]) for route in routes]


def drawn(routes: list[Json], share: Share, *, secure: bool) -> list[Json]:
    """For those who come to belong to it, by the answer's cookie."""
    if share.percent == 0:
        return []
    strangers = [] if share.percent is None else [{**_brings(share.cookie, share.other), **_INVERTED}]
    fraction = {} if share.percent is None else {"runtime_fraction": {"default_value": _fraction(share)}}
    cookie = f"{share.cookie}={share.key}; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")
    given = {"header": {"key": "set-cookie", "value": cookie}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}
    return [
        {
            **narrowed(route, strangers, fraction),
            "response_headers_to_add": [*route.get("response_headers_to_add", ()), given],
        }
        for route in routes
    ]


def undrawn(rule: RouteRule) -> RouteRule:
    """The rule with nobody new in its share: a route is drawn once only."""
    return replace(rule, share=replace(rule.share, drawn=False)) if rule.share else rule


_INVERTED: Json = {"invert_match": True, "treat_missing_header_as_empty": True}


def narrowed(route: Json, tests: list[Json], more: Json | None = None) -> Json:
    """The route for those of its requests that pass these tests too."""
    match = route["match"]
    asked = [*match.get("headers", ()), *tests]
    return {**route, "match": {**match, **(more or {}), **({"headers": asked} if asked else {})}}


def _brings(cookie: str, value: str) -> Json:
    return {"name": "cookie", "string_match": {"safe_regex": {"regex": cookie_pattern(cookie, re.escape(value))}}}


def _fraction(share: Share) -> Json:
    percent = share.percent or 0
    if share.cookie == RELEASE:
        return {"numerator": percent, "denominator": "HUNDRED"}
    return {"numerator": percent * 100, "denominator": "TEN_THOUSAND"}
