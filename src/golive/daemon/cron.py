"""Scheduled services: each due moment once, never two runs of one service at a time, missed ones not made up for."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import datetime
from zoneinfo import ZoneInfo

from golive.blueprint.models import Service, ServiceKind
from golive.errors import GoliveError
from golive.release.host import Host
from golive.release.instances import instance_unit
from golive.state.records import Generation, GenerationState, Instance, Place
from golive.supervise.unit import Unit
from golive.system.processes import ProcessId

log = logging.getLogger("golive.cron")
SLOT = "cron"
"""Last part of a run's unit, where instances have their number."""
LONGEST = 30.0
"""Seconds between looks at most, so that a clock that jumped is noticed."""


def next_due(service: Service, after: float) -> float:
    """Pure: see `next_moment`."""
    return next_moment(service.schedule or "@daily", service.timezone, after)


def next_moment(schedule: str, timezone: str, after: float) -> float:
    """Pure: the first moment of the schedule later than `after` (seconds since the epoch), in that zone.

    The hour that comes twice when summer time ends counts twice for schedules that run every hour or every few hours,
    and once for those that name an hour, as in Debian's cron(8).
    """
    from croniter import croniter

    zone = ZoneInfo(timezone)
    fields = schedule.split()
    every_hour = schedule == "@hourly" or (len(fields) > 1 and fields[1].startswith("*"))
    moments = croniter(schedule, datetime.fromtimestamp(after, zone))
    while True:
        moment = float(moments.get_next(float))
        if every_hour or not datetime.fromtimestamp(moment, zone).fold:
            return moment


class Cron:
    """Runs due services of every live release."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._runs: dict[tuple[Place, str], asyncio.Task[None]] = {}

    async def run(self) -> None:
        self._resume()
        looked = time.time()
        while True:
            now = time.time()
            nearest = now + LONGEST
            for generation, service in self._scheduled():
                try:
                    nearest = min(nearest, self._look(generation, service, looked, now))
                except Exception:  # one service's trouble is not the others'
                    log.exception("%s", generation.upstream)
            looked = max(now, looked) if now > looked - LONGEST else now
            await asyncio.sleep(max(0.2, min(nearest - time.time(), LONGEST)))

    def _look(self, generation: Generation, service: Service, looked: float, now: float) -> float:
        """Start it when it is due; the next moment."""
        # After a jump forwards only the moments since the last look count; backwards, nothing runs twice.
        due = next_due(service, min(looked, now))
        if due > now:
            return due
        self._start(generation, due)
        return next_due(service, now)

    async def stop(self) -> None:
        """Watch no longer: what runs goes on, and the next daemon takes it up."""
        for task in self._runs.values():
            task.cancel()
        await asyncio.gather(*self._runs.values(), return_exceptions=True)

    def _resume(self) -> None:
        """Take up the runs that an earlier daemon began; those that ended meanwhile did so unseen."""
        state = self._host.state
        for generation in state.generations(None, tuple(GenerationState)):
            process = state.process(_unit_id(generation))
            if process is not None and _key(generation) not in self._runs:
                begun = [due for *key, due in state.open_cron_runs() if tuple(key) == _key(generation)]
                due = begun[-1] if begun else None
                if due is None or not self._adopt(generation, process):
                    state.forget_process(_unit_id(generation))
                else:
                    self._runs[_key(generation)] = asyncio.create_task(self._one(generation, due, adopted=True))
        for place, service, due in state.open_cron_runs():
            if (place, service) not in self._runs:
                state.end_cron_run(place, service, due, "the daemon ended meanwhile: how it went was not seen")

    def _adopt(self, generation: Generation, process: tuple[int, str, int]) -> bool:
        try:
            unit = self._unit(generation)
        except GoliveError:
            log.exception("%s", generation.upstream)
            return False
        return self._host.supervisor.adopt(unit, ProcessId(process[0], process[1]), process[2])

    def _scheduled(self) -> list[tuple[Generation, Service]]:
        found = [pair for pair in self._host.live_services() if pair[1].kind is ServiceKind.CRON]
        return [(g, s) for g, s in found if g.service not in self._host.state.suspended(g.place)]

    def _start(self, generation: Generation, due: float) -> None:
        key = _key(generation)
        if not self._host.state.begin_cron_run(generation.place, generation.service, due):
            return
        if (running := self._runs.get(key)) and not running.done():
            self._host.state.end_cron_run(
                generation.place, generation.service, due, "skipped: the last run still goes on"
            )
            return
        self._runs[key] = asyncio.create_task(self._one(generation, due))

    async def _one(self, generation: Generation, due: float, *, adopted: bool = False) -> None:
        id = _unit_id(generation)
        try:
            if not adopted:
                await self._host.supervisor.start(self._unit(generation))
            exit = await self._host.supervisor.wait_exit(id)
            outcome = "ok" if exit.code == 0 else str(exit)
        except GoliveError as error:
            outcome = error.what
        except Exception as error:
            log.exception("%s", generation.upstream)
            outcome = f"golive itself failed: {type(error).__name__}"
        await self._host.supervisor.stop(id)
        log.info("%s: %s", generation.upstream, outcome)
        self._host.state.forget_process(id)
        self._host.state.end_cron_run(generation.place, generation.service, due, outcome)

    def _unit(self, generation: Generation) -> Unit:
        service = self._host.blueprint(generation).services[generation.service]
        instance = Instance(_unit_id(generation), generation.id, 0, None)
        unit = instance_unit(self._host, generation, service, instance)
        return Unit(id=unit.id, spec=unit.spec, restart="never", stop_timeout=unit.stop_timeout, memory=unit.memory)


def _key(generation: Generation) -> tuple[Place, str]:
    return generation.place, generation.service


def _unit_id(generation: Generation) -> str:
    return f"{generation.upstream}/{SLOT}"
