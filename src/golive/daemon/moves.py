"""Moves that are under way: a worker for each, begun again when it was lost, told which side the app reads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from golive.daemon import api
from golive.errors import GoliveError, UsageError, in_words
from golive.release import moves
from golive.release.host import Host
from golive.release.moves import Found
from golive.state.records import Place
from golive.system.offload import Offload

if TYPE_CHECKING:
    from golive.daemon.daemon import Daemon

log = logging.getLogger("golive.moves")
LOOK = 2.0
AGAIN = (1.0, 30.0)
"""Seconds until a lost worker begins again: at first, and at most."""


@dataclass
class _Worker:
    task: asyncio.Task[None]
    trouble: str = ""
    said: dict[str, Any] = field(default_factory=dict)


class Moves:
    """Runs for the daemon's life."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._workers: dict[tuple[Place, str], _Worker] = {}
        self._wake = asyncio.Event()

    async def run(self) -> None:
        while True:
            self._wake.clear()
            await self._look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._wake.wait()

    def wake(self) -> None:
        """Look now: one has begun, or ended."""
        self._wake.set()

    def trouble(self, found: Found) -> str:
        """Why its worker does not work; empty when it does."""
        worker = self._workers.get((found.place, found.name))
        return worker.trouble if worker else ""

    async def stop(self) -> None:
        for worker in self._workers.values():
            worker.task.cancel()
        await asyncio.gather(*(worker.task for worker in self._workers.values()), return_exceptions=True)

    async def _look(self) -> None:
        wanted = {(row.place, row.name) for row in self._host.state.moves()}
        for key in [key for key in self._workers if key not in wanted]:
            self._workers.pop(key).task.cancel()
        for key in wanted:
            if key not in self._workers:
                self._workers[key] = _Worker(asyncio.create_task(self._work(key)))
            else:
                await self._tell(key, self._workers[key])

    async def _work(self, key: tuple[Place, str]) -> None:
        """Until it is cancelled: what is lost is begun again."""
        offload, pause = Offload(), AGAIN[0]
        try:
            while True:
                try:
                    plan = await moves.plan_of(self._host, moves.find(self._host, *key))
                    await offload.reporting(lambda said: self._heard(key, said), moves.work, plan)
                    # It has ended, or the database was put back to a time before it.
                    self._workers[key].trouble = f"PostgreSQL knows nothing of it; golive move revert {key[1]} ends it"
                except (GoliveError, OSError, RuntimeError) as error:
                    log.warning("the move %s of %s: %s", key[1], key[0], error)
                    why = getattr(error, "why", None)
                    self._workers[key].trouble = f"{error}: {why}" if why else in_words(error)
                if self._workers[key].said:
                    pause, self._workers[key].said = AGAIN[0], {}
                await asyncio.sleep(pause)
                pause = min(pause * 2, AGAIN[1])
        finally:
            await offload.close()

    def _heard(self, key: tuple[Place, str], said: dict[str, Any]) -> None:
        if worker := self._workers.get(key):
            worker.said, worker.trouble = said, ""

    async def _tell(self, key: tuple[Place, str], worker: _Worker) -> None:
        """After a pause the side wins that the live release reads: also after a rollback, which asks nobody."""
        if not worker.said.get("both_ways"):
            return
        try:
            found = moves.find(self._host, *key)
            if found.reads != worker.said["truth"]:
                await self._host.offload.call(moves.set_truth, await moves.plan_of(self._host, found), found.reads)
        except (GoliveError, OSError, RuntimeError) as error:
            worker.trouble = in_words(error)


class MoveCalls:
    """What clients may ask of moves."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._host = daemon.host

    async def status(self, place: Place) -> dict[str, Any]:
        found = moves.listed(self._host, place)
        return {"app": place.app, "environment": place.environment, "moves": [await self._one(each) for each in found]}

    async def _one(self, found: Found) -> dict[str, Any]:
        trouble = {"trouble": self._daemon.moves.trouble(found)}
        try:
            return {**await moves.status(self._host, found), **trouble}
        except GoliveError as error:
            head = {"name": found.name, "under_way": found.under_way, "reads": found.reads, "wanted": found.wanted}
            return {**head, **trouble, "error": error.to_json()}

    async def step(self, call: api.MoveCall, actor: str) -> dict[str, Any]:
        """`deployment` is in the answer where the step goes on with one."""
        host, place = self._host, call.place
        found = moves.find(host, place, call.name)
        answer: dict[str, Any] = {"move": found.name, "step": call.step}
        if call.step == "compare":
            return {**answer, **moves.to_json(await moves.compare(host, found))}
        if call.step == "start":
            answer |= await moves.start(host, found, actor)
        elif call.step == "cutover":
            answer |= moves.to_json(await moves.prepare_cutover(host, found, actor))
            answer["deployment"] = self._deploy(place, actor)
        elif call.step == "revert":
            if await moves.revert(host, found, actor):
                answer["deployment"] = self._deploy(place, actor)
            answer["over"] = not any(row.name == found.name for row in host.state.moves(place))
        else:
            answer["deleted"] = await moves.finish(host, found, actor, delete_keys=call.delete_keys)
        self._daemon.moves.wake()
        return answer

    def _deploy(self, place: Place, actor: str) -> int:
        """The same checkout, with the switch as it is now."""
        app = self._host.state.app(place)
        if app is None:
            raise UsageError(f"{place} is gone")
        return self._daemon.submit("deploy", place, {"checkout": app.checkout}, actor)
