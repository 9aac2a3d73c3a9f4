"""Several databases with one map: what the app is told, how full each is, and how they could be made even."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from golive.blueprint.models import Blueprint
from golive.blueprint.shards import ShardMap, owners, slots_of, written
from golive.errors import NotFound, nearest
from golive.release import databases, db
from golive.release.host import Host
from golive.state.records import Place

EVEN = 0.1
"""How far from its share a database may be, as a part of the share, before rows are worth moving."""


@dataclass(frozen=True)
class Step:
    """Slots that would go from one database to another, about so many bytes."""

    slots: str
    source: str
    target: str
    bytes: int


def moved(before: Blueprint | None, now: Blueprint) -> list[str]:
    """A sentence for every way that slots go since the release before: their rows have to be there already."""
    said = []
    for name, shards in now.shards.items():
        old = before.shards.get(name) if before else None
        if old is None:
            continue
        if old.slots != shards.slots:
            said.append(f"shards {name}: {old.slots} slots became {shards.slots}: nearly every row is elsewhere now")
            continue
        was, places = owners(old), owners(shards)
        ways: dict[tuple[str, str], list[int]] = {}
        for slot, owner in places.items():
            if owner != was[slot]:
                ways.setdefault((was[slot][0], owner[0]), []).append(slot)
        said += [
            f"shards {name}: slots {written(slots)} go from {source} to {target}; their rows have to be there already"
            for (source, target), slots in ways.items()
        ]
    return said


async def view(host: Host, place: Place, name: str | None) -> dict[str, Any]:
    """As JSON: of each map the databases with their slots and sizes in bytes, the steps that would make them even, and
    the map as it would be then. Changes nothing."""
    found = await db.live(host, place)
    app = host.state.app(place)
    blueprint = host.release_blueprint(place, app.live) if app and app.live else None
    maps = dict(blueprint.shards) if blueprint else {}
    if not maps:
        raise NotFound(f"{place} has no shards", hint="`[shards.<name>]` in golive.toml spreads rows over databases")
    if name is not None and name not in maps:
        near = nearest(name, maps)
        raise NotFound(f"there is no shard map {name!r}", hint=f"did you mean {near}?" if near else ", ".join(maps))
    seen = []
    for each, shards in maps.items():
        if name in (None, each):
            sizes = {}
            for database in shards.map:
                one = found[database]
                sizes[database] = (await databases.sizes(host.offload, one.resource, one.url, one.store))["size"]
            steps, after = plan(shards, sizes)
            parts = [{"name": n, "slots": text, "size": sizes[n]} for n, text in shards.map.items()]
            plans = {"steps": [asdict(step) for step in steps], "map": after}
            seen.append({"name": each, "key": shards.key, "slots": shards.slots, "databases": parts, "plan": plans})
    return {"app": place.app, "environment": place.environment, "shards": seen}


def plan(shards: ShardMap, sizes: Mapping[str, int]) -> tuple[list[Step], dict[str, str]]:
    """The fewest slots that make the databases even, taking slots of one database to be equally large; the map then.

    Pure. Slots leave from the end of a database's list, so that what stays is one range where it was one.
    """
    slots = {name: [s for each in slots_of(text) or [] for s in each] for name, text in shards.map.items()}
    weight = {slot: sizes[name] / len(own) for name, own in slots.items() for slot in own}
    load = {name: sum(weight[s] for s in own) for name, own in slots.items()}
    share = sum(load.values()) / len(load)
    steps: dict[tuple[str, str], list[int]] = {}
    while True:
        source = max(load, key=lambda name: (load[name], name))
        target = min(load, key=lambda name: (load[name], name))
        slot = slots[source][-1] if slots[source] else None
        near_enough = load[source] <= share * (1 + EVEN) and load[target] >= share * (1 - EVEN)
        if slot is None or near_enough or load[target] + weight[slot] >= load[source]:
            break
        slots[target].append(slots[source].pop())
        load[source] -= weight[slot]
        load[target] += weight[slot]
        steps.setdefault((source, target), []).append(slot)
    made = [
        Step(written(each), source, target, round(sum(weight[s] for s in each)))
        for (source, target), each in steps.items()
    ]
    return made, {name: written(own) for name, own in slots.items()}
