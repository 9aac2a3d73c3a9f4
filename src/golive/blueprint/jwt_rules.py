"""Rules about tokens: where the keys are, and that they are public ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from golive.blueprint.checkout import Checkout, OutsideCheckout
from golive.blueprint.facts import Facts, services_of
from golive.blueprint.faults import Fault
from golive.blueprint.jwt import Jwt
from golive.blueprint.positions import KeyPath
from golive.blueprint.proxies import CLAIMED

PRIVATE = ("d", "p", "q", "k")
"""Members of a key that nobody else may know (RFC 7518, 6)."""
NEEDED = {"RSA": ("n", "e"), "EC": ("x", "y"), "OKP": ("x",)}
CURVES = {"RSA": (None,), "EC": ("P-256", "P-384", "P-521"), "OKP": ("Ed25519",)}
"""Kinds of key that Envoy reads; it refuses a set that has none of them."""
TAKEN = ("x-forwarded-", "x-envoy-", "x-golive-", "x-request-id", "x-real-ip")
_SET = 'a JWK set (RFC 7517) of public keys: `{"keys": [{"kty": …}]}`'
_FORM = "an `https://` address, or a file of the checkout such as `keys/jwks.json`"


def fill_keys(service: dict[str, Any], checkout: Checkout) -> str | None:
    """Put the content of a service's file of keys beside its name. The file, when there is one."""
    jwt = service.get("jwt")
    if not isinstance(jwt, dict) or not isinstance(source := jwt.get("jwks"), str) or "://" in source:
        return None
    text = checkout.read(source)
    if text is None or "keys" in jwt:
        return None
    service["jwt"] = {**jwt, "keys": text}
    return source


def _jwt(facts: Facts) -> Iterator[Fault]:
    for path, service in services_of(facts):
        if service.jwt:
            yield from _source((*path, "jwt", "jwks"), service.jwt, facts.checkout)
            yield from _headers((*path, "jwt", "claims"), service.jwt)
            yield from _paths((*path, "jwt"), service.jwt, service.route)
            if "keys" in facts.table(*map(str, path), "jwt"):
                yield Fault((*path, "jwt", "keys"), "is filled in by golive", "name the file in `jwks`")


def _source(path: KeyPath, jwt: Jwt, checkout: Checkout) -> Iterator[Fault]:
    if "://" in jwt.jwks:
        try:
            parts = urlsplit(jwt.jwks)
            good = parts.scheme == "https" and bool(parts.hostname) and parts.username is None and parts.port != 0
        except ValueError:
            good = False
        if not good or any(not 33 <= ord(c) < 127 for c in jwt.jwks):
            yield Fault(path, f"`{jwt.jwks}` is not an address of keys", _FORM)
        return
    try:
        found = checkout.what_is(jwt.jwks)
    except OutsideCheckout as reason:
        yield Fault(path, f"`{jwt.jwks}` {reason}")
        return
    if found != "file" or jwt.keys is None:
        yield Fault(path, f"there is no file of keys `{jwt.jwks}`", _FORM)
        return
    if problem := _problem(jwt.keys):
        yield Fault(path, f"`{jwt.jwks}` {problem}", 'a JWK set (RFC 7517) of public keys: `{"keys": [{"kty": …}]}`')


def _problem(text: str) -> str | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return "is not JSON"
    keys = found.get("keys") if isinstance(found, Mapping) else None
    if not isinstance(keys, list) or not keys or not all(isinstance(key, Mapping) and "kty" in key for key in keys):
        return "is not a set of keys"
    if any(member in key for key in keys for member in PRIVATE):
        return "holds a private key"
    if not any(map(_is_read, keys)):
        return "has no key that the edge reads: RSA, EC (P-256, P-384, P-521) or Ed25519"
    return None


def _is_read(key: Mapping[str, Any]) -> bool:
    kind = str(key["kty"])
    return key.get("crv") in CURVES.get(kind, ()) and all(isinstance(key.get(member), str) for member in NEEDED[kind])


def _headers(path: KeyPath, jwt: Jwt) -> Iterator[Fault]:
    for name in jwt.claims:
        if name.lower().startswith(TAKEN):
            yield Fault((*path, name), "is a header that the edge sets itself", "such as `x-user-id`")
        elif name.lower() in CLAIMED:
            yield Fault((*path, name), "is a header that the edge takes from every request", "such as `x-user-id`")


def _paths(path: KeyPath, jwt: Jwt, routes: tuple[str, ...]) -> Iterator[Fault]:
    for key, listed in (("paths", jwt.paths), ("except", jwt.exempt)):
        for index, one in enumerate(listed):
            if not any(f"{one.rstrip('/')}/".startswith(f"{route.rstrip('/')}/") for route in routes):
                message = f"`{one}` is not under the service's route ({', '.join(routes) or 'nothing'})"
                yield Fault((*path, key, index), message, "paths are as the client sees them", also=(path[:-1],))


def _limits(facts: Facts) -> Iterator[Fault]:
    for path, service in services_of(facts):
        for index, limit in enumerate(service.rate_limit):
            if limit.per.startswith("claim:") and service.jwt is None:
                at = (*path, "rate_limit", index, "per")
                yield Fault(at, "needs a token to have a claim", "give the service `jwt`", also=((*path, "jwt"),))


JWT_RULES = (_jwt, _limits)
