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
from golive.state.records import Generation, GenerationState, Instance
from golive.supervise.unit import Unit

log = logging.getLogger("golive.cron")
LONGEST = 30.0
"""Seconds between looks at most, so that a clock that jumped is noticed."""


def next_due(service: Service, after: float) -> float:
    """Pure: the first moment of the schedule later than `after` (seconds since the epoch), in the service's zone."""
    from croniter import croniter

    start = datetime.fromtimestamp(after, ZoneInfo(service.timezone))
    return float(croniter(service.schedule or "@daily", start).get_next(float))


class Cron:
    """Runs due services of every live release."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._runs: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        looked = time.time()
        while True:
            now = time.time()
            nearest = now + LONGEST
            for generation, service in self._scheduled():
                # After a jump forwards only the moments since the last look count; backwards, nothing runs twice.
                due = next_due(service, min(looked, now))
                if due <= now:
                    self._start(generation, due)
                    due = next_due(service, now)
                nearest = min(nearest, due)
            looked = max(now, looked) if now > looked - LONGEST else now
            await asyncio.sleep(max(0.2, min(nearest - time.time(), LONGEST)))

    def _scheduled(self) -> list[tuple[Generation, Service]]:
        found = []
        for generation in self._host.state.generations(None, (GenerationState.LIVE,)):
            service = self._host.blueprint(generation).services[generation.service]
            if service.kind is ServiceKind.CRON:
                found.append((generation, service))
        return found

    def _start(self, generation: Generation, due: float) -> None:
        key = generation.upstream.rpartition("/")[0]
        if not self._host.state.begin_cron_run(generation.place, generation.service, due):
            return
        if (running := self._runs.get(key)) and not running.done():
            self._host.state.end_cron_run(
                generation.place, generation.service, due, "skipped: the last run still goes on"
            )
            return
        self._runs[key] = asyncio.create_task(self._one(generation, due))

    async def _one(self, generation: Generation, due: float) -> None:
        try:
            unit = self._unit(generation)
            await self._host.supervisor.start(unit)
            exit = await self._host.supervisor.wait_exit(unit.id)
            outcome = "ok" if exit.code == 0 else str(exit)
            await self._host.supervisor.stop(unit.id)
        except GoliveError as error:
            outcome = error.what
        log.info("%s: %s", generation.upstream, outcome)
        self._host.state.end_cron_run(generation.place, generation.service, due, outcome)

    def _unit(self, generation: Generation) -> Unit:
        service = self._host.blueprint(generation).services[generation.service]
        instance = Instance(f"{generation.upstream}/cron", generation.id, 0, None)
        unit = instance_unit(self._host, generation, service, instance)
        return Unit(id=unit.id, spec=unit.spec, restart="never", stop_timeout=unit.stop_timeout, memory=unit.memory)
