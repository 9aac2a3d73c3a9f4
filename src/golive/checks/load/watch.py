"""What a load uses of an app and of the machine, looked at while it lasts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import psutil

from golive.system import sessions

NEAR = 0.85
"""Share of what there is, from which on something counts as near its end."""
OFTEN = 0.5
"""Seconds between two looks at what is not summed up by the kernel."""
_BACKEND = re.compile(rb"^postgres: .*(\(\d+\)|\[local\])")
Kind = Literal["cpu", "memory", "connections", "pool", "machine", "machine-memory", "disk", "edge", "database", "limit"]


@dataclass(frozen=True)
class Use:
    """How much of something was used; `most` is where it ends. `unit` is cores, bytes, connections or share."""

    name: str
    kind: Kind
    used: float
    most: float
    unit: str

    @property
    def share(self) -> float:
        return self.used / self.most if self.most else 0.0


@dataclass(frozen=True)
class Part:
    """A process tree that is watched: a service's instance, a resource, the edge. `cores` and `memory` are its limits,
    where it has some; `connections` what a database has."""

    name: str
    kind: Literal["instance", "postgres", "redis", "edge"]
    pid: int
    cores: float | None = None
    memory: int | None = None
    connections: int | None = None


@dataclass
class _Look:
    """Processor seconds of each process so far, and which part it belongs to."""

    at: float
    seconds: dict[int, float]
    busy: float
    disk: dict[str, int]


@dataclass
class Watch:
    """`async with Watch(parts, cores) as watch: …; watch.uses()`. `pools` asks for those of pools; it may block."""

    parts: tuple[Part, ...]
    cores: float
    pools: Callable[[], Mapping[str, Mapping[str, int]]] | None = None
    _owner: dict[int, Part] = field(default_factory=dict)
    _began: _Look | None = None
    _ended: _Look | None = None
    _memory: Counter[str] = field(default_factory=Counter)
    _connections: Counter[str] = field(default_factory=Counter)
    _pools: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    _taken: float = 0.0
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Watch:
        self._began = await asyncio.to_thread(self._look)
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._ended = await asyncio.to_thread(self._look)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(OFTEN)
            await asyncio.to_thread(self._look)
            if self.pools:
                for name, use in (await asyncio.to_thread(self.pools)).items():
                    before = self._pools.get(name, (0, 0, 0))
                    now = (use["used"], use["used"] + use["idle"], use["waiting"])
                    self._pools[name] = max(before, now, key=lambda each: (each[2], each[0]))

    def _look(self) -> _Look:
        seconds: dict[int, float] = {}
        memory: Counter[str] = Counter()
        connections: Counter[str] = Counter()
        for pid, part, resident in trees(self.parts):
            self._owner[pid] = part
            memory[part.name] += resident
            with contextlib.suppress(psutil.Error):
                times = psutil.Process(pid).cpu_times()
                seconds[pid] = times.user + times.system
            if part.kind == "postgres" and _is_backend(pid):
                connections[part.name] += 1
        self._memory |= memory
        self._connections |= connections
        virtual = psutil.virtual_memory()
        self._taken = max(self._taken, 1 - virtual.available / virtual.total)
        whole = psutil.cpu_times()
        idle = whole.idle + sum(getattr(whole, name, 0) for name in ("iowait", "guest", "guest_nice"))
        return _Look(time.monotonic(), seconds, sum(whole) - idle, _disks())

    def uses(self) -> tuple[Use, ...]:
        """Averages of processors, the most of all else. Empty before it has ended."""
        if self._began is None or self._ended is None:
            return ()
        began, ended = self._began, self._ended
        long = max(ended.at - began.at, 1e-6)
        cores: defaultdict[str, list[float]] = defaultdict(list)
        for pid, used in ended.seconds.items():
            cores[self._owner[pid].name].append((used - began.seconds.get(pid, used)) / long)
        found: list[Use] = []
        for part in self.parts:
            found += self._of(part, cores[part.name])
        found += [Use(name, "pool", used, most, "waiting" if waits else "") for name, (used, most, waits) in
                  self._pools.items()]  # fmt: skip
        found.append(Use("machine", "machine", round((ended.busy - began.busy) / long, 3), self.cores, "cores"))
        found.append(Use("machine", "machine-memory", round(self._taken, 3), 1.0, "share"))
        busiest = max(((ended.disk[d] - began.disk.get(d, 0)) / 1000 / long for d in ended.disk), default=None)
        if busiest is not None:
            found.append(Use("disk", "disk", round(min(busiest, 1.0), 3), 1.0, "share"))
        return tuple(found)

    def _of(self, part: Part, cores: list[float]) -> list[Use]:
        kind: Kind = "cpu" if part.kind == "instance" else "edge" if part.kind == "edge" else "database"
        found = [Use(part.name, kind, round(sum(cores), 3), round(reach(part, cores, self.cores), 3), "cores")]
        if part.memory:
            found.append(Use(part.name, "memory", self._memory[part.name], part.memory, "bytes"))
        if part.connections:
            found.append(Use(part.name, "connections", self._connections[part.name], part.connections, "connections"))
        return found


def reach(part: Part, cores: Iterable[float], machine: float) -> float:
    """Pure: the cores that it can fill. A process that never used more than one is held to be unable to (Python, Node,
    Redis), and each that works has one of its own."""
    used = list(cores)
    busiest = max(used, default=0.0)
    workers = sum(each > busiest / 2 for each in used) or 1
    most = machine if part.kind in ("edge", "postgres") or busiest > 1.15 else min(float(workers), machine)
    return min(most, part.cores) if part.cores else most


def trees(parts: Iterable[Part]) -> list[tuple[int, Part, int]]:
    """Each living process below the parts' own, whatever session it made: pid, part, bytes resident."""
    roots = {part.pid: part for part in parts}
    living = {member.pid: member for member in sessions.snapshot() if not member.zombie}
    found = []
    for member in living.values():
        at = member.pid
        while at in living and at not in roots and living[at].parent != at:
            at = living[at].parent
        if at in roots:
            found.append((member.pid, roots[at], member.resident))
    return found


def _is_backend(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        words = psutil.Process(pid).cmdline()
        return bool(words and _BACKEND.match(os.fsencode(words[0])))
    return False


def _disks() -> dict[str, int]:
    """Milliseconds that each disk was busy so far, where the system says that."""
    with contextlib.suppress(OSError, RuntimeError, NotImplementedError):
        counted = psutil.disk_io_counters(perdisk=True) or {}
        return {name: int(each.busy_time) for name, each in counted.items() if hasattr(each, "busy_time")}
    return {}


def shown(use: Use) -> str:
    """`api.0: 0.98 of 1 core`."""
    from golive.units import human_size

    if use.unit == "bytes":
        return f"{use.name}: {human_size(use.used)} of {human_size(use.most)}"
    if use.unit == "cores":
        return f"{use.name}: {use.used:.2f} of {use.most:g} core{'s' * (use.most != 1)}"
    if use.kind in ("connections", "pool"):
        waiting = ", and requests wait for one" if use.unit == "waiting" else ""
        return f"{use.name}: {use.used:.0f} of {use.most:.0f} connections{waiting}"
    what = "memory" if use.kind == "machine-memory" else "busy"
    return f"{use.name}: {use.share * 100:.0f} % {what}"
