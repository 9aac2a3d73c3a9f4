"""What the daemon does: takes deployments, one at a time per environment, and looks after all that runs."""

from __future__ import annotations

import asyncio
import glob
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from golive.daemon.backups import Backups
from golive.daemon.boot import boot, settle_interrupted
from golive.daemon.cron import Cron
from golive.daemon.dev import DEVELOPMENT, DevSessions
from golive.daemon.events import Events
from golive.daemon.host_bundles import HostBundles
from golive.daemon.moves import Moves
from golive.daemon.upkeep import Upkeep
from golive.daemon.wiring import Wires
from golive.engines.engine import Progress
from golive.errors import Cancelled, GoliveError
from golive.release import companions, reads
from golive.release.certificates import Certificates
from golive.release.deploy import Deploy
from golive.release.gateway import EDGE, QUOTA, STATIC, open_gateway
from golive.release.host import Host
from golive.release.journal import Journal
from golive.release.secrets import prepare
from golive.release.traffic import edge_config
from golive.release.undo import undo
from golive.state.records import Deployment, DeploymentState, Place
from golive.supervise.rotation import LogKeeper
from golive.supervise.unit import Status, UnitState
from golive.system import memory

log = logging.getLogger("golive.daemon")
PROTOCOL = 1
OUTPUTS = 10.0
"""Seconds between two looks for output files, while no unit changes."""
OUTPUT_FILES = ("logs/*.log", "resources/*/*.log")
"""In an environment's folder."""
REOPEN = 5.0
"""Seconds between two tries to open an edge that does not."""


class Daemon:
    """One per $GOLIVE_HOME."""

    def __init__(self, host: Host, wires: Wires) -> None:
        self.host = host
        self.events = Events(host.state)
        self.cron = Cron(host)
        self.upkeep = Upkeep(host)
        self.backups = Backups(host)
        self.moves = Moves(host)
        self.certificates = Certificates(host)
        self.bundles = HostBundles(host)
        self.dev = DevSessions(self)
        self.started_at = time.time()
        self._queues: dict[Place, asyncio.Queue[int]] = {}
        self._workers: dict[Place, asyncio.Task[None]] = {}
        self._running: dict[int, asyncio.Task[dict[str, Any]]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._edge_stale: asyncio.Event = asyncio.Event()
        self._gateway = asyncio.Lock()
        self._outputs: tuple[float, list[Path]] | None = None
        wires.on_change = self._on_change

    async def start(self) -> None:
        """Adopt what runs, settle what was interrupted, take up the queue."""
        apps = self.host.state.apps()
        if self.host.state.unfinished_deployments() or any(a.live or a.place.environment != DEVELOPMENT for a in apps):
            await boot(self.host)
            await self._open_edge()
        await self.host.builder.clean()
        for row in self.host.state.unfinished_deployments():
            self._enqueue(row.place, row.id)
        keeper = LogKeeper(self._output_files)
        own = (self.cron.run, self.upkeep.run, self._keep_edge_in_line, keeper.run)
        loops = (*own, self.backups.run, self.bundles.run, self.moves.run, self.certificates.run)
        self._tasks = [asyncio.create_task(_forever(loop)) for loop in loops]
        self._tasks.append(asyncio.create_task(self.dev.sweep()))

    async def stop(self) -> None:
        """End the daemon and nothing else: all that runs goes on."""
        deployments = tuple(self._running.values())
        for task in (*self._tasks, *self._workers.values()):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._workers.values(), *deployments, return_exceptions=True)
        await self.dev.settle()
        await self.cron.stop()
        await self.upkeep.stop()
        await self.moves.stop()
        await self.certificates.stop()
        await self.backups.stop()
        await self.bundles.stop()
        await self.host.supervisor.release()
        await self.host.offload.close()
        self.host.state.close()

    async def open_gateway(self, progress: Callable[[Progress], None] | None = None) -> None:
        """Envoy and the static server run; fetched at first use."""
        async with self._gateway:
            if self.host.opened is not None:
                return
            self.host.opened = await open_gateway(
                self.host.home,
                self.host.engines,
                self.host.supervisor,
                self.host.state.process,
                self.host.engine_user(),
                progress,
            )

    async def _open_edge(self) -> None:
        """At a start, and again until it opens: the commands, and what needs no edge, work without it."""
        try:
            await self.open_gateway()
            await settle_interrupted(self.host, self._running.keys())
            self.events.wake()
        except (GoliveError, OSError) as error:
            log.error("the edge does not open, it is tried again: %s", error)  # noqa: TRY400 - said in words
            self._edge_stale.set()

    async def close_gateway(self) -> None:
        """With the last app the edge ends too: nothing of golive listens any more."""
        async with self._gateway:
            self.host.opened = None
            await self.host.supervisor.stop_all((EDGE, STATIC, QUOTA, *companions.ALL))
            for unit in (EDGE, STATIC, QUOTA, *companions.ALL):
                self.host.state.forget_process(unit)

    # Deployments

    def submit(self, kind: str, place: Place, request: dict[str, Any], actor: str) -> int:
        """Queue a deployment; its number. It runs when those before it on the same environment have ended."""
        with self.host.state.transaction():
            number = self.host.state.queue_deployment(place, kind, request, actor)
            self.host.state.audit(actor, kind, place, deployment=number, **request)
        self._enqueue(place, number)
        return number

    def _enqueue(self, place: Place, deployment: int) -> None:
        queue = self._queues.setdefault(place, asyncio.Queue())
        queue.put_nowait(deployment)
        if place not in self._workers or self._workers[place].done():
            self._workers[place] = asyncio.create_task(self._work(queue))

    async def _work(self, queue: asyncio.Queue[int]) -> None:
        while not queue.empty():
            deployment = queue.get_nowait()
            try:
                await self._take(deployment)
            except (GoliveError, OSError):  # the state cannot be written: those behind it get their turn all the same
                log.exception("deployment %s", deployment)

    async def _take(self, deployment: int) -> None:
        row = self.host.state.deployment(deployment)
        if row.state is not DeploymentState.QUEUED:
            return
        if self._superseded(row):
            self._end(deployment, DeploymentState.UNDONE, Cancelled("a newer deploy took its place in the queue"))
            return
        async with self.host.changing(row.place):
            if self.host.state.deployment(deployment).state is DeploymentState.QUEUED:
                await self._run(row)
        self.backups.wake(row.place)  # what is written from now on is received, not from the next look on
        self.upkeep.tidy(row.place)

    def _superseded(self, row: Deployment) -> bool:
        """A deploy that still waits while a newer deploy of the same checkout waits too would only be undone by it."""
        newer = [d for d in self.host.state.unfinished_deployments() if d.place == row.place and d.id > row.id]
        return row.kind == "deploy" and any(d.kind == "deploy" and d.request == row.request for d in newer)

    async def _run(self, row: Deployment) -> None:
        app = self.host.state.app(row.place)
        self.host.state.begin_deployment(row.id, app.live if app else None)
        journal = Journal(self.host.state, row.id, lambda event: self.events.publish(row.id, event))
        task = self._running[row.id] = asyncio.create_task(self._deploy(self.host.state.deployment(row.id), journal))
        try:
            result = await asyncio.shield(task)
            self.host.state.set_deployment_result(row.id, result)
            self._end(row.id, DeploymentState.DONE)
            self.certificates.wake()
        except GoliveError as error:
            await self._undo(row, journal, journal.masked(error))
        except asyncio.CancelledError:
            if not task.done():  # the daemon ends; the journal says where it stands
                task.cancel()
                raise
            await self._undo(row, journal, Cancelled("cancelled", why="it was asked to stop", hint="deploy again"))
        except Exception as error:
            log.exception("deployment %s", row.id)
            why = journal.mask(f"{type(error).__name__}: {error}")
            unexpected = GoliveError("golive itself failed", why=why, hint=f"look at {self.host.home.daemon_log}")
            await self._undo(row, journal, unexpected)
        finally:
            self._running.pop(row.id, None)
            memory.give_back()

    async def _deploy(self, row: Deployment, journal: Journal) -> dict[str, Any]:
        if self.host.opened is None:
            self._tasks.append(asyncio.create_task(prepare(self.host)))
            async with journal.step("edge") as note:
                await self.open_gateway(lambda p: journal.progress(p.name, p.done, p.total))
                await settle_interrupted(self.host, self._running.keys())
                note.detail = self.host.gateway.url("localhost")
                for line in self.host.gateway.notes:
                    journal.note(line)
        result = await Deploy(self.host, journal, row).run()
        self.upkeep.wake()
        return result

    async def _undo(self, row: Deployment, journal: Journal, error: GoliveError) -> None:
        """Take it back, or say that it stands: what is committed is live whatever came after."""
        current = self.host.state.deployment(row.id)
        if current.committed:
            self._end(row.id, DeploymentState.DONE, error)
            return
        try:
            await undo(self.host, current)
        except Exception as failure:
            log.exception("undoing deployment %s", row.id)
            journal.note(f"undoing it failed too: {journal.mask(str(failure))}; it is tried again at the next start")
        self.upkeep.wake()
        stopped = isinstance(error, Cancelled)
        self._end(row.id, DeploymentState.UNDONE if stopped else DeploymentState.FAILED, error)

    def _end(self, deployment: int, state: DeploymentState, error: GoliveError | None = None) -> None:
        self.host.state.end_deployment(deployment, state, error.to_json() if error else None)
        self.events.ended(deployment)

    async def cancel(self, deployment: int, actor: str) -> bool:
        """Stop and undo it; returns when that is done. False when it has ended or traffic has moved already."""
        row = self.host.state.deployment(deployment)
        self.host.state.audit(actor, "cancel", row.place, deployment=deployment)
        if row.state is DeploymentState.QUEUED:
            self._end(deployment, DeploymentState.UNDONE, Cancelled("cancelled while it waited"))
            return True
        task = self._running.get(deployment)
        if task is None or row.committed:
            return False
        task.cancel()
        async for _ in self.events.follow(deployment):
            pass
        return not self.host.state.deployment(deployment).committed

    def is_busy(self, place: Place) -> bool:
        return any(d.place == place for d in self.host.state.unfinished_deployments())

    # What runs

    def _on_change(self, state: UnitState) -> None:
        """Remembered, so that the next daemon finds it; a change of readiness goes to the edge."""
        self._outputs = None
        if state.process is not None:
            self.host.state.remember_process(state.id, state.process.pid, state.process.started, state.restarts)
        log.info("%s is %s%s", state.id, state.status.value, f": {state.reason}" if state.reason else "")
        if state.status in (Status.READY, Status.UNREADY) and "/d" in state.id:
            self._edge_stale.set()
        if "@replica-" in state.id and state.status is not Status.READY and reads.restarted(self.host, state.id):
            self._edge_stale.set()
            self.upkeep.wake()

    def bring_edge_in_line(self) -> None:
        """Soon: what it is told follows from something that has changed."""
        self._edge_stale.set()

    async def _keep_edge_in_line(self) -> None:
        """Instances that turn unready leave the edge while another is well, and come back."""
        while True:
            await self._edge_stale.wait()
            self._edge_stale.clear()
            if self.host.opened is None:
                await asyncio.sleep(REOPEN)
                if self.host.state.apps() and not self._running:
                    await self._open_edge()
                continue
            await asyncio.sleep(0.2)
            try:
                await self.host.gateway.apply(edge_config(self.host))
            except Exception:
                log.exception("bringing the edge in line")

    def _output_files(self) -> list[Path]:
        """What processes write themselves, for its keeper: instances, resources, the static server, this daemon."""
        if self._outputs is None or time.monotonic() > self._outputs[0]:
            root = self.host.home.root
            folders = [self.host.home.app(*app.place) for app in self.host.state.apps()]
            # Not Path.glob, which fails before Python 3.13 when a folder goes away while it looks.
            found = ((each, glob.glob(what, root_dir=each)) for each in folders for what in OUTPUT_FILES)  # noqa: PTH207
            apps = [each / name for each, names in found for name in names]
            own = [root / f"{name}.log" for name in (STATIC, QUOTA, *companions.ALL)]
            self._outputs = (time.monotonic() + OUTPUTS, [*apps, *own, self.host.home.daemon_log])
        return self._outputs[1]


async def _forever(loop: Callable[[], Awaitable[None]]) -> None:
    """A loop that fails (a full disk, a bug) is begun again: without it there would be no cron, or no draining."""
    while True:
        try:
            await loop()
        except Exception:
            log.exception("a loop of the daemon ended; it is begun again")
        await asyncio.sleep(1)
