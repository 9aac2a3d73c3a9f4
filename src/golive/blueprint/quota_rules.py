"""Rules about quotas: there is a Redis that keeps what it counts, and nothing is counted twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from golive.blueprint.facts import Facts, services_of
from golive.blueprint.faults import Fault
from golive.blueprint.models import Blueprint, Resource
from golive.blueprint.positions import KeyPath
from golive.errors import nearest


def counting_resource(blueprint: Blueprint) -> str | None:
    """The Redis in which quotas are counted: the one that is named, else the first that keeps what it holds."""
    chosen = blueprint.edge.quota_resource
    fitting = [name for name, resource in blueprint.resources.items() if keeps(resource)]
    return (chosen if chosen in fitting else None) if chosen else next(iter(fitting), None)


def keeps(resource: Resource) -> bool:
    """A Redis whose keys survive its end and a full memory; of somebody else's that cannot be told from here."""
    durable = resource.persistence == "aof" and resource.eviction == "noeviction"
    return resource.engine == "redis" and (resource.url_from is not None or durable)


def _counted_somewhere(facts: Facts) -> Iterator[Fault]:
    found = [path for path, service in services_of(facts) if service.quota]
    resources, chosen = facts.blueprint.resources, facts.blueprint.edge.quota_resource
    if chosen is not None and (chosen not in resources or not keeps(resources[chosen])):
        yield _chosen(chosen, resources)
    elif found and counting_resource(facts.blueprint) is None:
        at: KeyPath = (*found[0], "quota")
        if any(resource.engine == "redis" for resource in resources.values()):
            hint = 'one with `persistence = "aof"` and `eviction = "noeviction"`, which are the defaults'
            yield Fault(at, "is counted in Redis, and no Redis of the app keeps what it counts", hint)
        else:
            hint = 'add `counts = "redis"` under [resources]; `rate_limit` needs none, and forgets at a restart'
            yield Fault(at, "is counted in Redis, and the app has none", hint)


def _chosen(name: str, resources: Mapping[str, Resource]) -> Fault:
    at: KeyPath = ("edge", "quota_resource")
    also: tuple[KeyPath, ...] = (("resources", name),)
    if name not in resources:
        close = nearest(name, resources)
        return Fault(at, f"there is no resource `{name}`", f"did you mean `{close}`?" if close else None)
    if resources[name].engine != "redis":
        return Fault(at, f"`{name}` is {resources[name].engine}; quotas are counted in Redis", also=also)
    hint = '`persistence = "aof"` and `eviction = "noeviction"`, which are the defaults'
    return Fault(at, f"`{name}` does not keep what it counts", hint, also=also)


def _twice(facts: Facts) -> Iterator[Fault]:
    for path, service in services_of(facts):
        seen = set()
        for index, quota in enumerate(service.quota):
            what = (quota.path or "/", quota.per.lower(), quota.limit.period)
            if what in seen:
                hint = "the smaller of two such limits is the one that holds; take the other out"
                yield Fault((*path, "quota", index), "counts the same requests as one before it", hint)
            seen.add(what)


QUOTA_RULES = (_counted_somewhere, _twice)
