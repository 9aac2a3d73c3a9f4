"""Everything that is kept running on this host, by id."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from datetime import timedelta

from golive.errors import Cancelled, Conflict, NotFound, StartFailed
from golive.supervise import explain
from golive.supervise.keeper import Adopted, Keeper
from golive.supervise.unit import Unit, UnitState
from golive.system import cgroups, processes, sessions
from golive.system.processes import Exit, ProcessId
from golive.units import human_size

MEMORY_INTERVAL = 3.0
"""Seconds between looks at the memory of units that no control group limits."""


class Supervisor:
    """Keeps units running. `on_change` is called in the event loop with every new state; it must not block.

    Lives in one event loop. Nothing it runs is its child in spirit: `release` leaves all of it running, and another
    Supervisor may `adopt` it.
    """

    def __init__(self, on_change: Callable[[UnitState], None] = lambda _: None) -> None:
        self._on_change = on_change
        self._keepers: dict[str, Keeper] = {}
        self._memory: asyncio.Task[None] | None = None

    async def start(self, unit: Unit) -> UnitState:
        """Start it and keep it running; returns once the first start was tried.

        A start that fails is not raised here: it is in the state, raised by `wait_ready` and `wait_exit`, and tried
        again as the unit's policy says. Conflict when a unit of that id is running.
        """
        old = self._keepers.get(unit.id)
        if old and not old.state.over:
            raise Conflict(f"{unit.id} is already running", where=unit.id)
        keeper = self._keepers[unit.id] = Keeper(unit, self._on_change)
        self._watch_memory()
        await keeper.launched()
        return keeper.state

    def adopt(self, unit: Unit, process: ProcessId, restarts: int = 0, *, ready: bool = True) -> bool:
        """Keep running what an earlier daemon started. False when it has ended: then `start` it.

        `ready`: it was when last seen, so it stays in the edge until its probes say otherwise.
        """
        found = processes.adopt(process)
        if found is None:
            cgroups.sweep()
            return False
        self._keepers[unit.id] = Keeper(unit, self._on_change, Adopted(found, restarts, ready))
        self._watch_memory()
        return True

    def update(self, unit: Unit) -> None:
        """New probes, policy and memory limit for what runs, without a restart."""
        keeper = self._keeper(unit.id)
        keeper.update(unit)
        limit = unit.memory or unit.spec.limits.memory
        if limit and keeper.process:
            # Refused while it uses more than the new limit: then it holds from the next start on.
            with contextlib.suppress(OSError):
                cgroups.change(keeper.process.group, limit)
        self._watch_memory()

    async def wait_ready(self, id: str, timeout: timedelta, stable: timedelta = timedelta(0)) -> None:
        """Until it is ready and stayed so for `stable`.

        Raises StartFailed with what happened, why, the last lines of its output and a hint: at once when it ends (or
        cannot be started) before it was ever ready, else at `timeout`. Cancelled when it is stopped meanwhile.
        """
        keeper = self._keeper(id)
        deadline = time.monotonic() + timeout.total_seconds()
        with keeper.eagerly(timeout):
            while (left := self._verdict(keeper, stable)) > 0:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise await self._explain(keeper, timeout)
                await keeper.news(min(left, remaining))
        if keeper.monitor:
            keeper.monitor.accept()

    def _verdict(self, keeper: Keeper, stable: timedelta) -> float:
        """Seconds for which readiness must still hold; infinite while it is not there."""
        if keeper.failure:
            raise keeper.failure
        if keeper.state.over or self._keepers.get(keeper.unit.id) is not keeper:
            raise Cancelled(f"{keeper.unit.id} was stopped before it was ready", where=keeper.unit.id)
        since = keeper.monitor.passing_since if keeper.monitor else None
        return float("inf") if since is None else since + stable.total_seconds() - time.monotonic()

    @staticmethod
    async def _explain(keeper: Keeper, timeout: timedelta) -> StartFailed:
        listening: list[sessions.Listener] = []
        if keeper.process:
            listening = await asyncio.to_thread(sessions.listening, keeper.process.pid)
        last = keeper.monitor.last if keeper.monitor else None
        facts = explain.Facts(last=last, listening=tuple(listening), log=keeper.tail())
        return explain.not_ready(keeper.unit, facts, timeout)

    async def wait_exit(self, id: str) -> Exit:
        """Until a unit that is not restarted has ended. StartFailed when it never started."""
        keeper = self._keeper(id)
        await keeper.over()
        if keeper.state.last_exit is None:
            raise keeper.failure or Cancelled(f"{id} was stopped", where=id)
        return keeper.state.last_exit

    async def stop(self, id: str) -> Exit | None:
        """End it and forget it; None when it ran no more. Nothing to do for an id that is not there."""
        keeper = self._keepers.get(id)
        if keeper is None:
            return None
        exit = await keeper.stop()
        if self._keepers.get(id) is keeper:
            del self._keepers[id]
        return exit

    async def stop_all(self, ids: Iterable[str]) -> None:
        """All at the same time."""
        await asyncio.gather(*(self.stop(id) for id in ids))

    async def release(self) -> None:
        """Supervise nothing any more, and leave everything running (the daemon ends)."""
        if self._memory:
            self._memory.cancel()
            await asyncio.wait([self._memory])
            self._memory = None
        await asyncio.gather(*(keeper.release() for keeper in self._keepers.values()))
        self._keepers.clear()

    def states(self) -> list[UnitState]:
        return [keeper.state for keeper in self._keepers.values()]

    def state(self, id: str) -> UnitState | None:
        """None when there is no such unit, or it was stopped."""
        keeper = self._keepers.get(id)
        return keeper.state if keeper else None

    def _keeper(self, id: str) -> Keeper:
        if id not in self._keepers:
            raise NotFound(f"nothing called {id} is supervised", where=id)
        return self._keepers[id]

    def _watch_memory(self) -> None:
        if self._memory is None and any(k.unit.memory for k in self._keepers.values()):
            self._memory = asyncio.ensure_future(self._check_memory())

    async def _check_memory(self) -> None:
        while True:
            await asyncio.sleep(MEMORY_INTERVAL)
            watched = {k.process.pid: k for k in self._keepers.values() if k.process and _watched(k)}
            used = await asyncio.to_thread(sessions.resident, list(watched)) if watched else {}
            for pid, count in used.items():
                limit = watched[pid].unit.memory
                monitor = watched[pid].monitor
                if limit and count > limit and monitor:
                    monitor.condemn(f"passed its memory limit of {human_size(limit)} (it had {human_size(count)})")


def _watched(keeper: Keeper) -> bool:
    return bool(keeper.unit.memory and keeper.process and not cgroups.limits_memory(keeper.process.group))
