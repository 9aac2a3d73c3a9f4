"""CORS as routes: an answer to what a browser asks beforehand, and headers on what it then gets. Pure.

Routes and not Envoy's filter, which would have to come into the listeners with the first app that has it. Which origin
is echoed is decided for each request by an expression; a header without a value is not sent.
"""

from __future__ import annotations

from golive.blueprint.cors import ANY, Cors
from golive.edge.resource import Json

_ALLOW = "access-control-allow-"
_PREFLIGHT = "access-control-request-"


def preflight(cors: Cors, match: Json) -> Json:
    """The answer to the question whether a request may be sent; silence for strangers."""
    asks = [
        {"name": ":method", "string_match": {"exact": "OPTIONS"}},
        {"name": "origin", "present_match": True},
        {"name": f"{_PREFLIGHT}method", "present_match": True},
    ]
    told = {
        f"{_ALLOW}methods": ", ".join(cors.methods),
        f"{_ALLOW}headers": ", ".join(cors.headers),
        "access-control-max-age": f"{cors.max_age.total_seconds():.0f}",
    }
    if ANY in cors.headers:
        wanted = f"{_PREFLIGHT}headers"
        told[f"{_ALLOW}headers"] = (
            f"%CEL({_known(cors)} && '{wanted}' in request.headers ? request.headers['{wanted}'] : '')%"
        )
    made = (_said(name, value if value.startswith("%") else _if_known(cors, value)) for name, value in told.items())
    added = [*_permission(cors), *made]
    return {
        "match": {**match, "headers": [*match.get("headers", ()), *asks]},
        "direct_response": {"status": 204},
        "response_headers_to_add": [*added, _varies(f"Origin, {_PREFLIGHT.title()}Headers")],
    }


def answered(cors: Cors | None) -> list[Json]:
    """`response_headers_to_add` of a route."""
    if cors is None:
        return []
    exposed = [_said("access-control-expose-headers", _if_known(cors, ", ".join(cors.expose)))] if cors.expose else []
    return [*_permission(cors), *exposed, *([] if ANY in cors.origins else [_varies("Origin")])]


def _permission(cors: Cors) -> list[Json]:
    origin = ANY if ANY in cors.origins else f"%CEL({_known(cors)} ? request.headers['origin'] : '')%"
    made = [_said(f"{_ALLOW}origin", origin)]
    return [*made, _said(f"{_ALLOW}credentials", _if_known(cors, "true"))] if cors.credentials else made


def _if_known(cors: Cors, value: str) -> str:
    return value if ANY in cors.origins else f"%CEL({_known(cors)} ? '{value}' : '')%"


def _known(cors: Cors) -> str:
    """A CEL condition. A star stands for one label or more: an origin is scheme, host and port, and nothing else."""
    if ANY in cors.origins:
        return "'origin' in request.headers"
    tests = [_is(origin) for origin in cors.origins]
    return f"'origin' in request.headers && ({' || '.join(tests)})"


def _is(origin: str) -> str:
    scheme, star, rest = origin.partition("*")
    if not star:
        return f"request.headers['origin'] == '{origin}'"
    asks = "request.headers['origin']"
    return f"({asks}.startsWith('{scheme}') && {asks}.endsWith('{rest}') && {asks}.matches('^https?://[^/@]+$'))"


def _said(name: str, value: str) -> Json:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _varies(names: str) -> Json:
    return {"header": {"key": "vary", "value": names}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}
