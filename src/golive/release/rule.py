"""What a service's settings say about one of its prefixes, as a rule of the edge."""

from __future__ import annotations

from golive.blueprint.models import Blueprint, Service, ServiceKind
from golive.blueprint.routing import folder_rules, rules_of
from golive.edge.model import RouteRule


def rule_of(
    name: str, service: Service, prefix: str, target: str, headers: tuple[tuple[str, str], ...], blueprint: Blueprint
) -> RouteRule:
    """Everything that reaches `prefix` goes to the upstream `target`, with those request headers. Pure."""
    return RouteRule(
        service=name,
        prefix=prefix,
        targets=((target, 100),),
        strip_prefix=service.strip_prefix,
        timeout=service.timeout,
        idle_timeout=service.idle_timeout,
        rate_limits=service.rate_limit,
        quotas=service.quota,
        cache=service.cache,
        request_headers=headers,
        hold=None if service.overlap else blueprint.release.ready_timeout + blueprint.release.drain,
        domains=service.domains,
        compression=service.kind is not ServiceKind.STATIC,
        rules=(*folder_rules(service, prefix), *rules_of(service)),
        serves_files=service.kind is ServiceKind.STATIC,
    )
