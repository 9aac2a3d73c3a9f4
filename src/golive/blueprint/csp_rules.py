"""Rules about the Content-Security-Policy: what browsers would read in another way than it was meant."""

from __future__ import annotations

from collections.abc import Iterator

from golive.blueprint.csp import faults_of
from golive.blueprint.facts import Facts
from golive.blueprint.faults import Fault


def _csp(facts: Facts) -> Iterator[Fault]:
    edge = facts.blueprint.edge
    if edge.csp is None:
        return
    for path, message, hint in faults_of(edge.csp):
        yield Fault(("edge", "csp", "directives", *path), message, hint)
    if "content-security-policy" in {name.lower() for name in edge.headers}:
        yield Fault(("edge", "csp"), "is replaced by `Content-Security-Policy` in `[edge] headers`", "keep one of them")


CSP_RULES = (_csp,)
