"""Which headers an answer gets, and which it loses."""

from __future__ import annotations

from collections.abc import Iterable

from golive.blueprint.csp import Csp
from golive.blueprint.models import EdgePolicy
from golive.blueprint.proxies import CLAIMED
from golive.edge.resource import Json

POLICY = "content-security-policy"
REPORT_ONLY = f"{POLICY}-report-only"
SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "strict-origin-when-cross-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # Without a default-src: what scripts and styles an app loads is its own business.
    POLICY: "frame-ancestors 'none'; base-uri 'self'; object-src 'none'",
}
"""Sent unless the application sends its own."""

HIDDEN = ("server", "x-powered-by", "x-envoy-upstream-service-time", "x-envoy-overloaded", "x-envoy-ratelimited")
"""Taken from every answer: they say what runs, to whom it may concern."""

OURS = ("x-golive-root", "x-golive-previous", "x-golive-fallback", "x-golive-slash")
"""What the static server takes from the edge, and must not take from a client."""


def response_headers(policy: EdgePolicy, *, tls: bool, csp: bool = True) -> Json:
    """The fields of a virtual host that set an answer's headers. `policy.headers` wins over app and defaults.

    Without `csp` each route says its own policy, see `own_policies`.
    """
    chosen = {name.lower(): value for name, value in policy.headers.items()}
    defaults = {**SECURITY, **_policies(policy, None)}
    if not csp:
        defaults = {name: value for name, value in defaults.items() if not name.startswith(POLICY)}
    if tls and policy.hsts:
        defaults["strict-transport-security"] = f"max-age={policy.hsts.total_seconds():.0f}"
    adds = [_header(n, v, "ADD_IF_ABSENT") for n, v in sorted(defaults.items()) if n not in chosen]
    adds += [_header(n, v, "OVERWRITE_IF_EXISTS_OR_ADD") for n, v in sorted(chosen.items()) if v]
    removed = sorted({*HIDDEN, *(n for n, v in chosen.items() if not v)} - {n for n, v in chosen.items() if v})
    return {"response_headers_to_add": adds, "response_headers_to_remove": removed}


def own_policies(policy: EdgePolicy, csp: Csp | None) -> list[Json]:
    """A route's Content-Security-Policy: that of its service, else the site's.

    It belongs to the route's clusters: Envoy looks whether it is absent once for all headers of one place, and those of
    the route itself may have one for some paths.
    """
    chosen = {name.lower() for name in policy.headers}
    return [_header(n, v, "ADD_IF_ABSENT") for n, v in _policies(policy, csp).items() if n not in chosen]


def says_policy(added: Iterable[Json]) -> bool:
    return any(one["header"]["key"] == POLICY for one in added)


def with_policies(routes: list[Json], policies: list[Json]) -> list[Json]:
    """The routes; with a policy where they lead to no service, and so to none with a policy."""
    return [
        route
        if "weighted_clusters" in route.get("route", {}) or says_policy(route.get("response_headers_to_add", ()))
        else {**route, "response_headers_to_add": [*policies, *route.get("response_headers_to_add", ())]}
        for route in routes
    ]


def _policies(policy: EdgePolicy, csp: Csp | None) -> dict[str, str]:
    """By header name. One that is only reported stands beside the one that was in force before."""
    found = {POLICY: SECURITY[POLICY]}
    for one in (policy.csp, csp):
        if one is None:
            continue
        found.pop(REPORT_ONLY, None)
        found[REPORT_ONLY if one.report_only else POLICY] = one.text()
    return found


def local_reply_headers() -> list[Json]:
    """For answers that Envoy gives before it knows the site, such as 400 and 431."""
    return [_header(n, v, "ADD_IF_ABSENT") for n, v in sorted(SECURITY.items())]


def request_headers(extra: tuple[tuple[str, str], ...]) -> list[Json]:
    """Headers for the application, in place of anything that the client sent under these names."""
    return [_header(name, value, "OVERWRITE_IF_EXISTS_OR_ADD") for name, value in extra]


def forwarded(*removed: str) -> Json:
    """Virtual host fields: the client's address and host as the edge saw them, whatever the client claimed.

    `removed` are more headers that no application sees.
    """
    return {
        "request_headers_to_add": [
            {
                "header": {"key": "x-forwarded-for", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            },
            {
                "header": {"key": "x-forwarded-host", "value": "%REQ(:AUTHORITY)%"},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            },
        ],
        "request_headers_to_remove": [*CLAIMED, "x-envoy-external-address", *OURS, *removed],
    }


def cookie_pattern(name: str, value: str) -> str:
    """A regular expression of whole `cookie` headers in which that cookie has that value, in itself an expression."""
    return rf"(?:.*[;,]\s*)?{name}={value}(?:\s*[;,].*)?"


def _header(name: str, value: str, action: str) -> Json:
    # Envoy expands %COMMANDS% in header values; a plain percent sign is written twice.
    return {"header": {"key": name, "value": value.replace("%", "%%")}, "append_action": action}
