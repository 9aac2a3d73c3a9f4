"""The health of one run of one process: startup, then readiness and liveness, until it ends."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from golive.supervise.probe import ProbeResult, probe
from golive.supervise.unit import Probe, Tcp, Unit

SETTLE = 1.0
"""Seconds after which a process without port and probe counts as ready."""
BOOT_LIMIT = 300.0
"""Seconds after which a run that never became ready is looked at by its liveness probe, or ended without one."""


def pause(interval: float, *, ready: bool | None, eager: bool, tries: int) -> float:
    """Seconds until the next look. `ready` None: it never was in this run. `eager`: somebody waits for it.

    Somebody waiting is worth a look of 0.2 ms every 50 ms, becoming 250 ms in about eight seconds.
    """
    if ready is None:
        return min(0.05 * 1.02 ** min(tries, 100), 0.25) if eager else min(0.05 * 1.25 ** min(tries, 20), 1.0)
    if eager:
        return min(interval, 0.1)
    return interval if ready else min(interval, 1.0)


def readiness(unit: Unit) -> Probe | None:
    """What says that a unit may take traffic; None when being alive is all there is to say."""
    if unit.ready or unit.port is None:
        return unit.ready
    return Probe(Tcp("127.0.0.1", unit.port))


@dataclass
class Attention:
    """How eagerly a unit is watched, shared by all its runs: `waiting` callers of wait_ready, and their patience."""

    waiting: int = 0
    boot_limit: float = BOOT_LIMIT
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever something was learnt; who waits clears it first."""


class Monitor:
    """Probes a run. `tell(ready, detail)` is called when readiness changes; `run` returns why the run must end."""

    def __init__(
        self, unit: Unit, tell: Callable[[bool, str], None], attention: Attention, *, ready: bool | None = None
    ) -> None:
        self.unit = unit
        self.ready = ready
        """None until it was ready for the first time in this run."""
        self.passing_since: float | None = None
        """Monotonic; None while the last look failed."""
        self.last: ProbeResult | None = None
        self._tell = tell
        self._attention = attention
        self._wake = asyncio.Event()
        self._once_ready = asyncio.Event()
        self._condemned: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._began = time.monotonic()
        if ready:
            self._once_ready.set()

    async def run(self) -> str:
        """Until golive has to end the run itself: the reason, in words."""
        await self._race(self._startup())
        if self._condemned.done():
            return self._condemned.result()
        return await self._race(self._readiness(), self._liveness()) or self._condemned.result()

    async def _race(self, *loops: Coroutine[Any, Any, str]) -> str:
        tasks = [asyncio.ensure_future(loop) for loop in loops]
        try:
            done, _ = await asyncio.wait([*tasks, self._condemned], return_when=asyncio.FIRST_COMPLETED)
            return next((task.result() for task in tasks if task in done), "")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def condemn(self, reason: str) -> None:
        """End the run for something seen elsewhere (memory)."""
        if not self._condemned.done():
            self._condemned.set_result(reason)

    def wake(self) -> None:
        """Look again now: the unit changed, or somebody began to wait."""
        self._wake.set()

    def accept(self) -> None:
        """Whoever waited has seen enough: it is ready."""
        self._become(True, "")

    @property
    def _eager(self) -> bool:
        return self._attention.waiting > 0

    async def _startup(self) -> str:
        tries = 0
        while self.ready is None and (startup := self.unit.startup):
            self.last = await probe(startup.target, startup.timeout)
            self._attention.news.set()
            if self.last.ok:
                break
            tries += 1
            if time.monotonic() - self._began > self._attention.boot_limit:
                self.condemn(f"its startup probe never passed: {self.last.detail}")
            await self._sleep(pause(_seconds(startup.interval), ready=None, eager=self._eager, tries=tries))
        return ""

    async def _readiness(self) -> str:
        tries = failures = 0
        up = time.monotonic()
        while True:
            rule = readiness(self.unit)
            if rule is None:
                await self._alive(up)
                continue
            self.last = await probe(rule.target, rule.timeout)
            tries += 1
            failures = 0 if self.last.ok else failures + 1
            if not self.last.ok:
                self.passing_since = None
            elif self.passing_since is None:
                self.passing_since = time.monotonic()
            if self.last.ok:
                self._become(True, "")
            elif self.ready and failures >= rule.failures:
                self._become(False, self.last.detail)
            self._attention.news.set()
            await self._sleep(pause(_seconds(rule.interval), ready=self.ready, eager=self._eager, tries=tries))

    async def _alive(self, up: float) -> None:
        if self.passing_since is None:
            self.passing_since = up
            self._attention.news.set()
        if not self.ready:
            await asyncio.sleep(max(0.0, up + SETTLE - time.monotonic()))
            self._become(True, "")
        await self._sleep(None)

    async def _liveness(self) -> str:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._attention.boot_limit):
                await self._once_ready.wait()
        failures = 0
        while True:
            rule = self.unit.live
            await asyncio.sleep(_seconds(rule.interval) if rule else 5.0)
            if rule is None:
                continue
            result = await probe(rule.target, rule.timeout)
            failures = 0 if result.ok else failures + 1
            if failures >= rule.failures:
                return f"its liveness probe failed {failures} times in a row: {result.detail}"

    def _become(self, ready: bool, detail: str) -> None:
        if self.ready is not ready:
            self.ready = ready
            self._tell(ready, detail)
        if ready:
            self._once_ready.set()

    async def _sleep(self, seconds: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()


def _seconds(value: timedelta) -> float:
    return value.total_seconds()
