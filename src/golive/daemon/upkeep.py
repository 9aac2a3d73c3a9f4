"""The daemon's housekeeping: draining, scaling, logs, certificates, disk. Idle, it wakes every few seconds at most."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from golive.release import copies, maintenance, shifts
from golive.release.drain import Drain
from golive.release.dumps import DailyDumps
from golive.release.host import Host
from golive.release.replicas import Replicas
from golive.release.retention import prune
from golive.release.scaling import Autoscaler
from golive.release.traffic import edge_config
from golive.state.records import Place

log = logging.getLogger("golive.upkeep")
BUSY, IDLE = 0.2, 5.0
"""Seconds between looks, while something has begun to drain and while nothing does."""
SLOWER, SLOWEST = 1.1, 1.0
"""Each look at what still drains is later than the one before by this factor, up to so many seconds: a WebSocket may
hold its generation for minutes."""
ACCESS_LOG, KEEP = 100 * 10**6, 5
HISTORY = timedelta(days=90)
"""How long ended deployments and runs of cron are remembered."""
EVERY = {
    "logs": timedelta(minutes=1),
    "certificates": timedelta(hours=6),
    "history": timedelta(days=1),
    "copies": timedelta(seconds=30),
    "scale": timedelta(seconds=10),
    "replicas": timedelta(seconds=2),
    "dumps": timedelta(minutes=5),
}


class Upkeep:
    """Runs for the daemon's life. `wake` brings the next look forward."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._drain = Drain(host)
        self._autoscaler = Autoscaler(host)
        self._replicas = Replicas(host)
        self._dumps = DailyDumps(host)
        self._wake = asyncio.Event()
        self._last: dict[str, float] = {}
        self._untidy: set[Place] = set()
        self._beside: dict[str, asyncio.Task[object]] = {}
        self._shares: dict[tuple[Place, str], int] = {}

    def tidy(self, place: Place) -> None:
        """Free what no kept release of the environment needs, beside what users wait for."""
        self._untidy.add(place)
        self.wake()

    async def stop(self) -> None:
        for task in self._beside.values():
            task.cancel()
        await asyncio.gather(*self._beside.values(), return_exceptions=True)

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        pause = BUSY
        while True:
            busy = False
            if self._host.opened is not None:
                busy = bool(await self._attempt("drain", self._drain.tick))
                await self._due("scale", lambda: self._apart("scale", self._autoscaler.tick))
                await self._due("certificates", self._renew)
                await self._attempt("maintenance", lambda: maintenance.end_what_is_over(self._host))
                await self._attempt("traffic", self._shift)
            await self._due("replicas", self._line_up_replicas)
            await self._due("dumps", lambda: self._apart("dumps", self._dumps.tick))
            await self._due("logs", self._rotate)
            await self._due("history", self._forget)
            await self._due("copies", lambda: self._apart("copies", lambda: copies.keep_in_line(self._host)))
            if self._untidy:
                await self._apart("tidy", self._prune)
            self._wake.clear()
            soon = min(maintenance.seconds_left(self._host), shifts.next_change(self._host)) + BUSY
            idle = min(IDLE, self._replicas.pause, soon)
            woken = await self._woken(pause if busy else idle)
            pause = min(pause * SLOWER, SLOWEST) if busy and not woken else BUSY

    async def _woken(self, seconds: float) -> bool:
        """After so long at the latest: whether there is something new."""
        try:
            async with asyncio.timeout(seconds):
                return await self._wake.wait()
        except TimeoutError:
            return False

    async def _due(self, name: str, action: Callable[[], Awaitable[object]]) -> None:
        now = time.monotonic()
        if now - self._last.get(name, now - 1e9) >= EVERY[name].total_seconds():
            self._last[name] = now
            await self._attempt(name, action)

    async def _attempt(self, name: str, action: Callable[[], Awaitable[object]]) -> object:
        """One chore that fails must not end the others."""
        try:
            return await action()
        except Exception:
            log.exception("%s", name)
            return None

    async def _apart(self, name: str, action: Callable[[], Awaitable[object]]) -> None:
        """Chores that may wait for long (for an instance to be ready, for a build): one of each at a time."""
        if name not in self._beside or self._beside[name].done():
            self._beside[name] = asyncio.create_task(self._attempt(name, action))

    async def _prune(self) -> None:
        while self._untidy:
            await prune(self._host, self._untidy.pop())

    async def _line_up_replicas(self) -> None:
        """Each environment apart: making a replica takes as long as its database is large."""
        for place in self._replicas.due():
            await self._apart(f"replicas of {place}", functools.partial(self._replicas.tick, place))

    async def _forget(self) -> None:
        self._host.state.forget_history(time.time() - HISTORY.total_seconds())

    async def _shift(self) -> None:
        """Shares of visitors that are on their way to another percentage."""
        shares = shifts.everywhere(self._host)
        if shares != self._shares:
            await self._host.gateway.apply(edge_config(self._host))
            self._shares = shares

    async def _rotate(self) -> None:
        """Envoy's own log; the files of instances are `LogKeeper`'s."""
        if self._host.opened is not None:
            await self._host.gateway.edge.rotate_access_log(ACCESS_LOG, KEEP)

    async def _renew(self) -> None:
        """Certificates past two thirds of their life are issued anew while the configuration is made."""
        await self._host.gateway.apply(edge_config(self._host))
