"""Where the quotas of an environment are counted."""

from __future__ import annotations

from golive.blueprint.models import Blueprint
from golive.blueprint.quota_rules import counting_resource
from golive.data import redis_plan
from golive.data.external import target_of
from golive.edge.model import Counter
from golive.errors import ResourceFailed
from golive.release.host import Host
from golive.secret import Secret
from golive.state.records import Place

DATABASE = 15
"""Of a Redis that golive runs: the app's own FLUSHDB, by which frameworks clear their caches, does not reach it."""


def has_quotas(blueprint: Blueprint) -> bool:
    return any(service.quota for service in blueprint.services.values())


def counter(host: Host, place: Place, blueprint: Blueprint) -> Counter:
    """Where to count. One that nobody answers at, while its Redis is not known: `when_away` then holds."""
    name = counting_resource(blueprint)
    nowhere = Counter(str(place), "127.0.0.1", 0, "", Secret(""), 0)
    if name is None:
        return nowhere
    resource = blueprint.resources[name]
    if resource.url_from is None:
        row = next((row for row in host.state.resources(place) if row.name == name), None)
        if row is None:
            return nowhere
        password = host.state.resource_password(row)
        return Counter(str(place), "127.0.0.1", row.port, redis_plan.APP, password, DATABASE)
    url = host.state.variables(place).get(resource.url_from)
    try:
        target = target_of(resource, url) if url else None
    except ResourceFailed:
        return nowhere
    if target is None:
        return nowhere
    return Counter(
        str(place), target.host, target.port, target.user, target.password, int(target.name or 0), target.tls
    )
