"""Rules about what browsers are told, Content-Security-Policy and CORS: what they would read in another way than it was
meant."""

from __future__ import annotations

from collections.abc import Iterator

from golive.blueprint.cors import SAID
from golive.blueprint.csp import Csp, faults_of
from golive.blueprint.facts import Facts, services_of
from golive.blueprint.faults import Fault
from golive.blueprint.positions import KeyPath


def _csp(facts: Facts) -> Iterator[Fault]:
    edge, services = facts.blueprint.edge, facts.blueprint.services
    places: list[tuple[KeyPath, Csp | None]] = [(("edge", "csp"), edge.csp)]
    places += [(("services", name, "csp"), service.csp) for name, service in services.items()]
    replaced = "content-security-policy" in {name.lower() for name in edge.headers}
    for place, csp in places:
        if csp is None:
            continue
        for path, message, hint in faults_of(csp):
            yield Fault((*place, "directives", *path), message, hint)
        if replaced:
            yield Fault(place, "is replaced by `Content-Security-Policy` in `[edge] headers`", "keep one of them")
        if place[0] == "services" and not services[str(place[1])].route:
            yield Fault(place, "needs a route", "what the edge sends nobody to has no pages")


def _cors(facts: Facts) -> Iterator[Fault]:
    for path, service in services_of(facts):
        if service.cors is None:
            continue
        if not service.route:
            yield Fault((*path, "cors"), "needs a route", "what the edge sends nobody to is read by no page")
        named = {name.lower() for rule in service.headers for name in rule.headers}
        named |= {name.lower() for name in facts.blueprint.edge.headers}
        if named & set(SAID):
            hint = "take `Access-Control-…` out of `headers`, or `cors`"
            yield Fault((*path, "cors"), "is said twice, and a browser believes neither", hint)


CSP_RULES = (_csp, _cors)
