"""Rules about shards: every slot in exactly one database."""

from __future__ import annotations

from collections.abc import Iterator

from golive.blueprint.facts import Facts
from golive.blueprint.faults import Fault
from golive.blueprint.positions import KeyPath
from golive.blueprint.shards import owners, slots_of, variable, written
from golive.errors import nearest


def _shards(facts: Facts) -> Iterator[Fault]:
    for name, shards in facts.blueprint.shards.items():
        path: KeyPath = ("shards", name, "map")
        unread = False
        for resource, text in shards.map.items():
            yield from _database((*path, resource), resource, facts)
            if slots_of(text) is None:
                unread = True
                yield Fault((*path, resource), f"`{text}` is no list of slots", 'such as "0-127" or "0-63, 128"')
        if unread:
            continue
        found = owners(shards)
        if beyond := [slot for slot in found if slot >= shards.slots]:
            yield Fault(path, f"there is no slot {written(beyond)}", f"they are 0 to {shards.slots - 1}")
        if free := [slot for slot, names in found.items() if not names]:
            yield Fault(path, f"nobody has slot {written(free)}", "every slot belongs to one database")
        if double := [slot for slot, names in found.items() if len(names) > 1]:
            names = " and ".join(found[double[0]])
            yield Fault(path, f"slot {written(double)} belongs to {names}", "every slot belongs to one database")
        if variable(name) in facts.table("env"):
            yield Fault(("env", variable(name)), "is given by the shard map of that name", "take it out")


def _database(path: KeyPath, name: str, facts: Facts) -> Iterator[Fault]:
    resource = facts.blueprint.resources.get(name)
    known = [n for n, r in facts.blueprint.resources.items() if r.engine == "postgres"]
    if resource is None or resource.engine != "postgres":
        close = nearest(name, known)
        hint = f"did you mean `{close}`?" if close else f"there are: {', '.join(known)}" if known else None
        yield Fault(path, f"there is no PostgreSQL `{name}` among the resources", hint)


SHARD_RULES = (_shards,)
