"""Backups by themselves: a receiver beside each database, what it received on its way, base backups when they are due.

Idle, it looks at a folder for each database every few seconds.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from golive.backup import budget, increments, keyring, ship, work
from golive.backup.ship import Shipped
from golive.blueprint.backup_policy import BackupPolicy
from golive.daemon.cron import next_moment
from golive.errors import Conflict, GoliveError, in_words
from golive.release import backups, fence, host_bundle, resources, snapshots
from golive.release.backups import Backed, Kept
from golive.release.host import Host
from golive.release.snapshots import Snapped
from golive.state.records import BackupRun, Place
from golive.supervise.unit import Status
from golive.system.offload import Offload
from golive.system.processes import ProcessId
from golive.units import human_size

log = logging.getLogger("golive.backups")
LOOK = 5.0
"""Seconds between two looks: what a bucket lacks when this disk is lost."""
FIRST = 60.0
"""Seconds from the first start of a database to its first backup: a deploy has other things to do."""
AGAIN = (60.0, 3600.0)
"""Seconds until what failed is tried again: at first, and at most."""
FRESH = 60.0
SHIPPING = timedelta(seconds=8)
MOST = 4 << 30
"""Bytes that wait for a location that is away. Then receiving ends, and begins anew when it is back."""


@dataclass
class _Watch:
    """One database as this daemon has seen it."""

    since: float = field(default_factory=time.monotonic)
    seen: int = 0
    """Age (mtime, ns) of the part that was shipped last."""
    paused: bool = False
    failures: int = 0
    not_before: float = 0.0
    """Monotonic: what failed is left alone until then."""
    found: tuple[float, Backed] | None = None
    snapped: tuple[float, Snapped] | None = None
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)


def due(
    policy: BackupPolicy, good: Sequence[BackupRun], *, able: bool, now: float
) -> Literal["base", "increment"] | None:
    """What the schedules ask for after these backups, the newest first; increments of what is `able` to make them."""
    whole = [run for run in good if not run.detail.get("parent")]
    if whole and _is_past(policy.schedule, policy.timezone, whole[0].started_at, now):
        return "base"
    wanted = able and bool(good) and policy.increments != "never"
    return "increment" if wanted and _is_past(policy.increments, policy.timezone, good[0].started_at, now) else None


def _is_past(schedule: str, zone: str, last: float, now: float) -> bool:
    if last > now + FRESH:  # the clock was set back since, and nobody knows how long ago that was
        return True
    return next_moment(schedule, zone, last) <= now


class Backups:
    """Runs for the daemon's life."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._shipping = Offload(idle=SHIPPING)
        self._watched: dict[tuple[Place, str], _Watch] = {}
        self._snapped: dict[tuple[Place, str], _Watch] = {}
        self._stumbled: dict[tuple[Place, str], str] = {}
        """What the last look at each failed with."""
        self._wake = asyncio.Event()
        self._settled = False

    async def run(self) -> None:
        if not self._settled:  # begun again it would take what this daemon has begun for another one's
            await backups.settle_interrupted(self._host)
            self._settled = True
        await self._host.asked.wait()  # a backup of a machine that is replaced would be taken for the other's
        while True:
            self._wake.clear()
            await self._look()
            try:
                async with asyncio.timeout(LOOK):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def wake(self, place: Place | None = None) -> None:
        """Look now: a database has begun another life, or of a `place` all may be another."""
        for key, watch in (*self._watched.items(), *self._snapped.items()):
            if key[0] == place:
                watch.found = watch.snapped = None
        self._wake.set()

    def forget(self, place: Place) -> None:
        """Its databases end, receivers and all: what is begun there next is looked at as for the first time."""
        for watched in (self._watched, self._snapped):
            for key in [key for key in watched if key[0] == place]:
                self._drop(key, watched)

    async def step_aside(self, place: Place) -> None:
        """What was begun by itself waits for what somebody wants now; it is begun again afterwards."""
        tasks = [
            task
            for key, watch in (*self._watched.items(), *self._snapped.items())
            for name, task in watch.tasks.items()
            if key[0] == place and name != "ship" and not task.done()
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def begin_anew(self) -> None:
        """The receivers start once more: the streams that they had are over."""
        for key in [*self._watched]:
            await backups.stop_receiving(self._host, *key)
        self.wake()

    async def stop(self) -> None:
        tasks = [task for watch in (*self._watched.values(), *self._snapped.values()) for task in watch.tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._shipping.close()

    async def _look(self) -> None:
        apps = self._host.state.apps() if self._host.replaced is None else []
        wanted = {(app.place, name) for app in apps for name in backups.names(self._host, app.place)}
        for key, watch in [*self._watched.items()]:
            if key not in wanted:
                await self._attempt(key, self._leave(key, watch))
        await self._look_at_snapshots()
        for key in wanted:
            watch = self._watched.setdefault(key, _Watch())
            await self._attempt(key, self._tend(key, watch))

    async def _attempt(self, key: tuple[Place, str], action: Awaitable[None]) -> None:
        """One database's trouble is not the others', and is over once a look at it goes well."""
        try:
            await action
        except (GoliveError, OSError, RuntimeError) as error:
            self._stumbled[key] = in_words(error)
            self._complain(key, in_words(error))
        else:
            said = self._stumbled.pop(key, None)
            if said is not None and self._host.backup_trouble.get(key) == said:
                del self._host.backup_trouble[key]

    async def _look_at_snapshots(self) -> None:
        """Of every Redis that is backed up: no writes to receive, only the schedules."""
        apps = self._host.state.apps() if self._host.replaced is None else []
        wanted = {(app.place, name) for app in apps for name in snapshots.names(self._host, app.place)}
        for key in self._snapped.keys() - wanted:
            self._drop(key, self._snapped)
        for key in wanted:
            watch = self._snapped.setdefault(key, _Watch())
            ready = self._runs(resources.unit_name(*key)) and not self._host.changing(key[0]).locked()
            idle = not self._is_busy(watch, "base") and key not in self._host.backing_up
            if ready and idle and time.monotonic() >= watch.not_before:
                await self._attempt(key, self._keep_snapshots(key, watch))

    async def _keep_snapshots(self, key: tuple[Place, str], watch: _Watch) -> None:
        runs = self._host.state.backup_runs(*key, "base")
        if watch.snapped is None or time.monotonic() - watch.snapped[0] > FRESH:
            watch.snapped = (time.monotonic(), await snapshots.snapped(self._host, *key))
        found = watch.snapped[1]
        good = [run for run in runs if run.ended_at is not None and run.error is None]
        if not good and not runs and time.monotonic() - watch.since < FIRST:
            return
        if not good or self._is_due(found.policy.schedule, found, good[0].started_at):
            self._begin(key, watch, found, lambda: snapshots.create(self._host, found, lambda _: None))
        elif self._is_drill_due(found, runs):
            self._begin(key, watch, found, lambda: snapshots.prove(self._host, found, None, lambda _: None))

    async def _leave(self, key: tuple[Place, str], watch: _Watch) -> None:
        """Not to be backed up any more: PostgreSQL keeps nothing for a receiver then."""
        for task in watch.tasks.values():
            task.cancel()
        app = self._host.state.app(key[0])
        if app and app.live is not None and watch.found and self._runs(resources.unit_name(*key)):
            await backups.stop_receiving(self._host, *key)
            await self._host.offload.call(work.release, watch.found[1].server)
        self._drop(key, self._watched)

    def _drop(self, key: tuple[Place, str], watched: dict[tuple[Place, str], _Watch]) -> None:
        if watch := watched.pop(key, None):
            for task in watch.tasks.values():
                task.cancel()
        self._host.backup_trouble.pop(key, None)

    async def _tend(self, key: tuple[Place, str], watch: _Watch) -> None:
        place, _ = key
        busy = self._host.changing(place).locked() or self._host.copying(place).locked()
        if busy or not self._runs(resources.unit_name(*key)):
            return
        if not watch.paused and not self._runs(backups.unit_name(*key)):
            await self._receive(key, watch)
        received = self._host.home.received(*place, key[1])
        whole, tail = await asyncio.to_thread(ship.waiting, received)
        apart = tail > watch.seen and (await self._found(key, watch)).is_apart
        if (whole or apart) and not self._is_busy(watch, "ship"):
            watch.tasks["ship"] = asyncio.create_task(self._ship(key, watch, apart))
        await self._keep_room(key, watch, whole)
        if time.monotonic() >= watch.not_before and not watch.paused:
            await self._keep_schedule(key, watch)

    async def _found(self, key: tuple[Place, str], watch: _Watch) -> Backed:
        """Looked up now and then: a deploy may have changed the settings, and somebody the variables."""
        if watch.found is None or time.monotonic() - watch.found[0] > FRESH:
            watch.found = (time.monotonic(), await backups.backed(self._host, *key))
        return watch.found[1]

    def _runs(self, unit: str) -> bool:
        state = self._host.supervisor.state(unit)
        return state is not None and not state.over

    def _is_busy(self, watch: _Watch, what: str) -> bool:
        return what in watch.tasks and not watch.tasks[what].done()

    async def _receive(self, key: tuple[Place, str], watch: _Watch) -> None:
        """Adopt the receiver or start it, once the database takes connections."""
        state = self._host.supervisor.state(resources.unit_name(*key))
        if state is None or state.status is not Status.READY:
            return
        keyring.current(self._host.home.backup_keys)
        unit = backups.receiver(self._host, await self._found(key, watch))
        known = self._host.state.process(unit.id)
        if not (known and self._host.supervisor.adopt(unit, ProcessId(known[0], known[1]), known[2])):
            await self._host.supervisor.start(unit)

    async def _ship(self, key: tuple[Place, str], watch: _Watch, apart: bool) -> None:
        found = await self._found(key, watch)
        seen = watch.seen if apart else None
        try:
            guard = host_bundle.guard(self._host.home) if found.policy.to is not None else None
            shipped: Shipped = await self._shipping.call(work.send, found.repository, found.received, seen, guard)
        except Conflict as error:
            fence.note(self._host, error)
            return
        except (GoliveError, RuntimeError) as error:
            self._complain(key, f"what was received cannot be put away: {in_words(error)}")
            await asyncio.sleep(AGAIN[0] / 4)
            return
        watch.seen = max(watch.seen, shipped.tail)
        if self._host.backup_trouble.get(key, "").startswith("what was received"):
            self._host.backup_trouble.pop(key)

    async def _keep_room(self, key: tuple[Place, str], watch: _Watch, whole: int) -> None:
        """An archive that is away or a disk that fills never stops PostgreSQL: receiving ends before."""
        received = self._host.home.received(*key[0], key[1])
        if not received.exists():
            return
        free = shutil.disk_usage(received).free
        waits = whole * (16 << 20)
        if not watch.paused and (waits > MOST or free < budget.FLOOR):
            watch.paused = True
            await backups.stop_receiving(self._host, *key)
            found = await self._found(key, watch)
            await self._host.offload.call(work.release, found.server)
            full = free < budget.FLOOR
            why = f"{human_size(free)} are free" if full else f"{human_size(waits)} wait for the location"
            self._complain(key, f"writes are not received any more: {why}; PostgreSQL goes on without")
        elif watch.paused and whole == 0 and free > 2 * budget.FLOOR:
            watch.paused = False
            self._host.backup_trouble.pop(key, None)

    async def _keep_schedule(self, key: tuple[Place, str], watch: _Watch) -> None:
        """At most one at a time, and none while somebody else works on the backups of this database."""
        if self._is_busy(watch, "base") or key in self._host.backing_up:
            return
        found = await self._found(key, watch)
        runs = self._host.state.backup_runs(*key, "base")
        if backups.needs_base(self._host, found):
            if runs or time.monotonic() - watch.since >= FIRST:
                self._begin(key, watch, found, lambda: backups.create(self._host, found, lambda _: None))
            return
        if self._is_drill_due(found, runs):
            self._begin(key, watch, found, lambda: backups.prove(self._host, found, None, lambda _: None))
            return
        good = [run for run in runs if run.ended_at is not None and run.error is None]
        kind = due(found.policy, good, able=increments.is_able(found.server), now=time.time())
        if kind is not None:
            more = kind == "increment"
            self._begin(key, watch, found, lambda: backups.create(self._host, found, lambda _: None, increment=more))

    def _is_drill_due(self, found: Kept, bases: list[BackupRun]) -> bool:
        """A first one in the first night of drills after the first backup."""
        if found.policy.drill == "never" or not bases:
            return False
        drills = self._host.state.backup_runs(found.place, found.name, "drill")
        ended = [run.started_at for run in drills if (run.error or {}).get("kind") not in ("Cancelled", "GoliveError")]
        last = ended[0] if ended else min(run.started_at for run in bases)
        return self._is_due(found.policy.drill, found, last)

    def _is_due(self, schedule: str, found: Kept, last: float) -> bool:
        return _is_past(schedule, found.policy.timezone, last, time.time())

    def _begin(
        self, key: tuple[Place, str], watch: _Watch, found: Kept, action: Callable[[], Awaitable[dict[str, Any]]]
    ) -> None:
        async def work() -> None:
            try:
                done = await action()
            except Conflict:
                return
            except (GoliveError, RuntimeError, OSError) as error:
                watch.failures += 1
                pause = min(AGAIN[0] * 2 ** min(watch.failures - 1, 10), AGAIN[1])
                watch.not_before = time.monotonic() + pause
                self._complain(key, in_words(error))
                return
            watch.failures = 0
            self._host.backup_trouble.pop(key, None)
            log.info("%s of %s: backup %s", found.name, found.place, done.get("id"))

        watch.tasks["base"] = asyncio.create_task(work())

    def _complain(self, key: tuple[Place, str], text: str) -> None:
        if self._host.backup_trouble.get(key) != text:
            log.warning("%s of %s: %s", key[1], key[0], text)
        self._host.backup_trouble[key] = text
