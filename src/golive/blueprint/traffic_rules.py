"""Rules about a service that takes another one's visitors over, share by share."""

from __future__ import annotations

from collections.abc import Iterator

from golive.blueprint.facts import Facts, services_of
from golive.blueprint.faults import Fault
from golive.errors import nearest


def _replaces(facts: Facts) -> Iterator[Fault]:
    services = facts.blueprint.services
    takers: dict[str, str] = {}
    for path, service in services_of(facts):
        name = service.replaces
        if name is None:
            continue
        at, other = (*path, "replaces"), services.get(name)
        if other is None or name == path[1]:
            close = nearest(name, [one for one in services if one != path[1]])
            what = f"there is no other service `{name}`"
            yield Fault(at, what, f"did you mean `{close}`?" if close else None)
        elif other.replaces is not None:
            yield Fault(at, f"`{name}` replaces `{other.replaces}` itself", "one follows the other, not three at once")
        elif name in takers:
            yield Fault(at, f"`{name}` is replaced by `{takers[name]}` already")
        elif not set(service.route) & set(other.route):
            hint = f'add `route = "{other.route[0]}"` here too' if other.route else None
            yield Fault(at, f"`{name}` answers other paths than this one", hint, also=((*path, "route"),))
        elif set(service.domains) != set(other.domains):
            yield Fault((*path, "domains"), f"are not those of `{name}`, which it replaces")
        takers.setdefault(name, str(path[1]))


TRAFFIC_RULES = (_replaces,)
