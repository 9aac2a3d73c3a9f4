"""What a load test says: the rate that holds, what ends first beyond it, and how many users that is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from golive.checks.load.search import Bar, Step, bounds
from golive.checks.load.watch import NEAR, Use, shown

ORDER = ("pool", "connections", "memory", "cpu", "database", "edge", "disk", "machine-memory", "machine")
"""What is told first when several are near their end: the particular before what it is a part of."""
MEASURABLE = 0.05
"""Cores, below which the ticks that processors are counted in say nothing."""
ADVICE = {
    "cpu": "golive scale {service}=N, or more workers in its command, while the machine has cores left",
    "memory": "raise limits.memory of {service}, or find what it keeps",
    "connections": "`pool = true` on {service}, or fewer connections in each instance's own pool",
    "pool": "a larger `pool.size`, or shorter transactions",
    "database": "golive db insight says which statements cost most; a replica for what is only read",
    "edge": "`cache` for answers that are the same for everybody; then a machine with more cores",
    "disk": "fewer writes, or a faster disk",
    "machine": "a machine with more cores: more instances would not help",
    "machine-memory": "a machine with more memory, or fewer instances",
}


@dataclass(frozen=True)
class Limit:
    """What ends first. `what` has the figures, `todo` what to change; `service` is its name when it is one."""

    kind: str
    what: str
    todo: str
    service: str = ""


@dataclass(frozen=True)
class Capacity:
    """Requests a second that hold. `instance` and `machine` are None where nothing was watched; `at_least` when the
    load ended before the app did. `users` are those at `think` seconds between two requests of each."""

    rate: float
    at_least: bool
    instance: float | None
    machine: float | None
    think: float
    assumptions: tuple[str, ...] = ()

    @property
    def users(self) -> int:
        return int(self.rate * self.think)


@dataclass(frozen=True)
class Report:
    target: str
    mix: tuple[str, ...]
    bar: Bar
    steps: tuple[Step, ...]
    limit: Limit | None
    capacity: Capacity | None

    def to_json(self) -> dict[str, Any]:
        """Times in seconds, rates in requests a second, sizes in bytes."""
        capacity = {**asdict(self.capacity), "users": self.capacity.users} if self.capacity else None
        return {
            "target": self.target,
            "mix": list(self.mix),
            "bar": asdict(self.bar),
            "steps": [step.to_json() for step in self.steps],
            "limit": asdict(self.limit) if self.limit else None,
            "capacity": capacity,
        }


def knee(steps: Sequence[Step]) -> Step:
    """The lowest rate that did not hold, else the highest there was: where to look for what ends first."""
    found = bounds(steps)
    return found[1] if found else max(steps, key=lambda step: step.rate)


def limit(steps: Sequence[Step]) -> Limit | None:
    """What ends first; None when all held and nothing was near its end."""
    at = knee(steps)
    if at.why == "limited":
        what = f"rate limit: {at.limited} of {at.sent} requests were answered with 429"
        return Limit("limit", what, "`rate_limit` or `quota` in golive.toml: it ends before the app does")
    near = sorted((u for u in at.uses if _ends(u)), key=lambda use: (ORDER.index(use.kind), -use.share))
    if at.why == "generator":
        what = f"the generator: {at.generator * 100:.0f} % of its core, {at.late * 1000:.0f} ms late at p95"
        return Limit("generator", what, "the app holds at least what is said; --processes N, or load from elsewhere")
    if near:
        service = near[0].name.rpartition(".")[0] or near[0].name
        if near[0].kind == "machine":
            return _full(near[0], at)
        return Limit(near[0].kind, shown(near[0]), ADVICE[near[0].kind].format(service=service), service)
    if at.holds:
        return None
    if not at.uses:
        return Limit("unknown", "not known: only what golive runs here can be watched", "run it where the site runs")
    most = max(at.uses, key=lambda use: use.share, default=None)
    nearest = f"; the nearest is {shown(most)}" if most else ""
    todo = "it waits for something inside the app or behind it: a lock, a pool of its own, another service; golive logs"
    return Limit("unknown", f"nothing that was watched is near its end{nearest}", todo)


def _full(machine: Use, at: Step) -> Limit:
    """The machine's cores, and who has them: what else runs on it may have more than the app."""
    own = _own(at)
    rest = max(machine.used - own - at.generators, 0.0)
    what = f"{shown(machine)} (the app {own:.2f}, the load's generator {at.generators:.2f}, all else {rest:.2f})"
    other = "what else runs on this machine takes most of it: measure again when it rests"
    return Limit("machine", what, other if rest > own + at.generators else ADVICE["machine"], "machine")


def _own(step: Step) -> float:
    """Cores of the app, its databases and the edge."""
    return sum(use.used for use in step.uses if use.kind in ("cpu", "database", "edge"))


def _ends(use: Use) -> bool:
    return use.kind in ORDER and ((use.share >= NEAR and use.kind != "pool") or use.unit == "waiting")


def capacity(steps: Sequence[Step], instances: dict[str, int], think: float) -> Capacity | None:
    """None when no rate held. `instances` are those of each service that is asked."""
    ends = bounds(steps)
    held = ends[0] if ends else max((s for s in steps if s.holds), key=lambda step: step.rate, default=None)
    if held is None:
        return None
    broken = ends[1] if ends else None
    at_least = broken is None or broken.why == "generator"
    first = limit(steps)
    assumed = [f"the mix of requests stays as it was, and a user makes one each {think:g} s"]
    service = first.service if first and first.kind in ("cpu", "memory") else ""
    count = instances.get(service) or (sum(instances.values()) if len(instances) == 1 else 0)
    one = round(held.rate / count, 1) if count else None
    if one and count > 1:
        assumed.append(f"{count} instances share the load evenly")
    whole = _machine(held)
    if whole is not None:
        filled = f"instances that fill {NEAR * 100:.0f} % of its cores, nothing else at work on it"
        assumed.append(f"the machine: {filled}, and nothing else that ends before them")
    return Capacity(held.rate, at_least, one, whole, think, tuple(assumed))


def _machine(held: Step) -> float | None:
    """By the cores that a request cost the app, its databases and the edge; never less than what was seen. None where
    they used too little to tell."""
    used = _own(held)
    cores = next((use.most for use in held.uses if use.kind == "machine"), 0.0)
    if used < MEASURABLE or not cores:
        return None
    return round(max(NEAR * cores * held.rate / used, held.rate), 1)
