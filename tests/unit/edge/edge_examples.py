"""Configurations that several tests render."""

from __future__ import annotations

from pathlib import Path

from golive.blueprint.models import EdgePolicy, RateLimit
from golive.edge.model import Certificate, EdgeConfig, Endpoint, RouteRule, Site, Upstream
from golive.edge.resource import Layout
from golive.secret import Secret

LAYOUT = Layout(Path("/g/edge"), Path("/g/run/edge/envoy.sock"), 8080, 8443)
API = "threadr/production/api/d17"


def limit(**fields: object) -> RateLimit:
    return RateLimit.model_validate(fields)


def rule(prefix: str = "/", *targets: tuple[str, int], **fields: object) -> RouteRule:
    return RouteRule("api", prefix, targets or ((API, 100),), **fields)  # type: ignore[arg-type]


def config(*rules: RouteRule, domains: tuple[str, ...] = ("threadr.localhost",), **policy: object) -> EdgeConfig:
    site = Site("threadr", "production", domains, rules or (rule(),), EdgePolicy.model_validate(policy))
    names = dict.fromkeys(name for r in site.routes for name, _ in r.targets)
    ups = tuple(Upstream(n, (Endpoint(port=20001),)) for n in names)
    return EdgeConfig((site,), ups, (Certificate(domains, "CHAIN", Secret("KEY")),))
