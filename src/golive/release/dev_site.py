"""What `golive dev` has at the edge: the blueprint's own rules, each service on the developer's port. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from golive.blueprint.models import Blueprint, Service, ServiceKind
from golive.edge.model import Endpoint, RouteRule, Site, Upstream
from golive.edge.static_plan import SLASH
from golive.release.rule import rule_of
from golive.state.records import Place

HOLD = timedelta(seconds=10)
"""Requests wait this long for a server that starts again after a change."""
STATIC_ROOT = ("x-golive-root", "dev")


@dataclass(frozen=True)
class DevSite:
    """`ports` and `grpc_ports` are by service; one without a port is not run."""

    place: Place
    blueprint: Blueprint
    domains: tuple[str, ...]
    ports: Mapping[str, int]
    grpc_ports: Mapping[str, int]

    @property
    def all_ports(self) -> set[int]:
        return {*self.ports.values(), *self.grpc_ports.values()}


def serves_folder(service: Service) -> bool:
    """Whether golive itself answers from a folder: static, without a dev server of its own."""
    return service.kind is ServiceKind.STATIC and service.dev is None and service.build.builder != "node"


def choose_domains(blueprint: Blueprint, *, own: bool, taken: Collection[str] = ()) -> tuple[str, ...]:
    """Where it answers: the domains written for development, else `<app>.localhost`, else `dev.<app>.localhost` beside
    a release that has the first. Services with domains of their own get one below it."""
    if own:
        return blueprint.domains
    plain = f"{blueprint.name}.localhost"
    base = f"dev.{plain}" if plain in taken else plain
    return (base, *(f"{name}.{base}" for name, service in blueprint.services.items() if service.domains))


def dev_site(dev: DevSite) -> tuple[Site, tuple[Upstream, ...]]:
    """The site, and the upstreams behind it. Browsers are not told to remember HTTPS for a year, and nothing is
    shielded."""
    rules: list[RouteRule] = []
    upstreams: list[Upstream] = []
    for name, service in dev.blueprint.services.items():
        if name not in dev.ports or not service.route:
            continue
        upstream = f"{dev.place}/{name}/dev"
        upstreams.append(Upstream(upstream, (Endpoint(port=dev.ports[name]),)))
        rules += [_rule(dev, name, prefix, upstream) for prefix in service.route]
        if service.grpc is None:
            continue
        upstreams.append(Upstream(f"{upstream}/grpc", (Endpoint(port=dev.grpc_ports[name]),), http2=True))
        for prefix in service.grpc.route:
            rule = replace(_rule(dev, name, prefix, f"{upstream}/grpc"), strip_prefix=False, compression=False)
            rules.append(replace(rule, timeout=timedelta(0), rules=(), grpc=True))
    policy = dev.blueprint.edge.model_copy(update={"hsts": timedelta(0), "shield": None})
    return Site(*dev.place, dev.domains, tuple(rules), policy), tuple(upstreams)


def _rule(dev: DevSite, name: str, prefix: str, upstream: str) -> RouteRule:
    service = dev.blueprint.services[name]
    files = serves_folder(service)
    headers: tuple[tuple[str, str], ...] = ()
    if files:
        headers = (STATIC_ROOT, *([(SLASH, "edge")] if service.trailing_slash is not None else []))
    rule = rule_of(name, service, prefix, upstream, headers, dev.blueprint)
    # Quotas are for who pays, and what is being changed is not kept.
    rule = replace(rule, quotas=(), cache=())
    return replace(rule, hold=HOLD, domains=_domains(dev, name, service), serves_files=files, compression=False)


def _domains(dev: DevSite, name: str, service: Service) -> tuple[str, ...]:
    """Those of a service with domains of its own; empty means all."""
    return tuple(d for d in dev.domains if d in service.domains or d.startswith(f"{name}.")) if service.domains else ()
