"""Static files below a prefix: whether the folder has a folder of that name, or is itself what the prefix shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from golive.blueprint.checkout import Checkout, OutsideCheckout, join
from golive.blueprint.facts import Facts, services_of
from golive.blueprint.faults import Fault
from golive.blueprint.models import ServiceKind


def detect_strip(checkout: Checkout, service: Mapping[str, Any]) -> str | None:
    """Why `strip_prefix` is wanted for a static service that does not say: the folder that lacks its prefixes.

    What a build makes is not there to be looked at; front ends are built for a prefix without a folder of its name.
    """
    given = service.get("route")
    routes = [r for r in given if isinstance(r, str) and r != "/"] if isinstance(given, list) else []
    if service.get("kind") != "static" or "strip_prefix" in service or not routes:
        return None
    source, build = service.get("source", "."), service.get("build", {})
    if not isinstance(source, str) or not isinstance(build, Mapping):
        return None
    folder = _folder(source, build)
    if folder is None:
        return source
    return folder if len(_missing(checkout, folder, routes)) == len(routes) else None


def _folder(source: str, build: Mapping[str, Any]) -> str | None:
    """What is served as it is; None when a build makes it."""
    if build.get("command") is not None or build.get("builder", "static") != "static":
        return None
    output = build.get("output")
    return join(source, output) if isinstance(output, str) else source


def _missing(checkout: Checkout, folder: str, routes: Sequence[str]) -> list[str]:
    return [route for route in routes if route != "/" and not _has(checkout, folder, route.strip("/"))]


def _has(checkout: Checkout, folder: str, name: str) -> bool:
    try:
        return any(checkout.what_is(join(folder, place)) != "nothing" for place in (name, f"{name}.html"))
    except OutsideCheckout:
        return True  # a rule of its own says so


def _prefixes(facts: Facts) -> Iterator[Fault]:
    for path, service in services_of(facts):
        answered = service.strip_prefix or service.spa or service.rewrites or service.redirects
        folder = _folder(service.source, service.build.model_dump())
        if service.kind is not ServiceKind.STATIC or answered or folder is None:
            continue
        missing = _missing(facts.checkout, folder, service.route)
        if not missing:
            continue
        said = "strip_prefix" in facts.table(*map(str, path))
        message = (
            f"`{missing[0]}` would be 404: there is no `{missing[0].strip('/')}` in {folder}, and the prefix stays"
        )
        hint = (
            f"leave `strip_prefix` out: {missing[0]}/a is then the file a of {folder}"
            if said and len(missing) == len([r for r in service.route if r != "/"])
            else f"give {missing[0]} to a service of its own, with `strip_prefix = true`"
        )
        also = tuple((*path, key) for key in ("source", "build", "route", "kind"))
        yield Fault((*path, "strip_prefix" if said else "route"), message, hint, also=also)


STATIC_PREFIX_RULES = (_prefixes,)
