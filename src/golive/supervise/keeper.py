"""One unit kept running: start, watch, decide, start again."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from golive.errors import GoliveError, StartFailed
from golive.supervise import explain
from golive.supervise.monitor import Attention, Monitor
from golive.supervise.restart import GiveUp, History, Run, decide
from golive.supervise.unit import Status, Unit, UnitState
from golive.system import ports, processes
from golive.system.processes import Exit, Process, ProcessId

log = logging.getLogger("golive.supervise")

PORT_PATIENCE = 10
"""Looks at a taken port, 50 ms apart, before it is somebody else's: an old run may be going away."""


@dataclass(frozen=True)
class Adopted:
    """A process that ran before this daemon did."""

    process: Process
    restarts: int
    ready: bool


class Keeper:
    """Runs a unit in a task of its own until `stop` or `release`. Made by the Supervisor."""

    def __init__(self, unit: Unit, on_change: Callable[[UnitState], None], adopted: Adopted | None = None) -> None:
        self.unit = unit
        self.monitor: Monitor | None = None
        self.process: Process | None = adopted.process if adopted else None
        self.failure: StartFailed | None = None
        """Why it never became ready; None once it was, and while it may still."""
        self.ever_ready = bool(adopted and adopted.ready)
        self._on_change = on_change
        self._attention = Attention()
        self._why = ""
        self._log_from = 0
        self._adopted = adopted
        self._launched = asyncio.Event()
        self._stopping: asyncio.Future[Exit | None] | None = None
        status = Status.READY if self.ever_ready else Status.STARTING
        id = self.process.id if self.process else None
        self.state = UnitState(unit.id, status, id, _now(), adopted.restarts if adopted else 0)
        self._emit()
        self._task = asyncio.ensure_future(self._keep())

    async def launched(self) -> None:
        """Until the first start was tried."""
        await self._launched.wait()

    async def over(self) -> None:
        """Until nothing runs and nothing will be started."""
        await asyncio.wait([self._task])
        if self._stopping:
            await asyncio.shield(self._stopping)

    @contextlib.contextmanager
    def eagerly(self, patience: timedelta) -> Iterator[None]:
        """Look often while somebody waits for it to become ready."""
        self._attention.waiting += 1
        self._attention.boot_limit = max(self._attention.boot_limit, patience.total_seconds())
        if self.monitor:
            self.monitor.wake()
        try:
            yield
        finally:
            self._attention.waiting -= 1

    async def news(self, seconds: float) -> None:
        """Until something was learnt about it, or the time passed."""
        self._attention.news.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._attention.news.wait()

    def update(self, unit: Unit) -> None:
        """New probes and policy for what runs; the rest of the spec holds from the next start on."""
        self.unit = unit
        if self.monitor:
            self.monitor.unit = unit
            self.monitor.wake()

    async def stop(self) -> Exit | None:
        """End it and start it no more. May be asked twice."""
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stop())
        return await asyncio.shield(self._stopping)

    async def release(self) -> None:
        """Look after it no longer; the process stays."""
        for task in (self._task, self._stopping):
            if task:
                task.cancel()
                await asyncio.wait([task])
        if self.process:
            self.process.forget()

    async def _stop(self) -> Exit | None:
        self._task.cancel()
        await asyncio.wait([self._task])
        self.monitor = None
        if self.process:
            self._set(Status.STOPPING, self.state.reason)
            exit = await self.process.stop(self.unit.stop_timeout, self.unit.stop_signal)
            await self._ended()
            self.process = None
            self._set(Status.STOPPED, "", last_exit=exit)
        elif not self.state.over:
            self._set(Status.STOPPED, "")
        return self.state.last_exit

    async def _keep(self) -> None:
        history = History()
        while True:
            run = await self._run()
            decision = decide(self.unit.restart, history, run)
            history = history.after(run)
            if isinstance(decision, GiveUp):
                clean = run.exit is not None and not run.failed
                self._set(Status.EXITED if clean else Status.FAILED, self._why)
                return
            self._set(Status.BACKING_OFF, self._why)
            await asyncio.sleep(decision.after.total_seconds())
            self.state = replace(self.state, restarts=self.state.restarts + 1)

    async def _run(self) -> Run:
        """One run, from its start to its end."""
        adopted, self._adopted = self._adopted, None
        if adopted is None:
            self._set(Status.STARTING, self._why)
            try:
                self.process = await self._launch()
            except StartFailed as error:
                self._fail(error)
                self._why = f"{error.what}: {error.why}" if error.why else error.what
                return Run(False, None)
            finally:
                self._launched.set()
            self._set(Status.STARTING, self._why)
        assert self.process is not None  # noqa: S101 - launched or adopted
        self._launched.set()
        known = True if adopted and adopted.ready else None
        self.monitor = Monitor(self.unit, self._tell, self._attention, ready=known)
        exit, forced = await self._watch(self.process, self.monitor)
        await self._ended()
        became_ready = self.monitor.ready is not None
        self.monitor, self.process = None, None
        if not became_ready:
            facts = explain.Facts(exit, log=self.tail())
            self._fail(explain.ended(self.unit, facts))
        self._why = forced or explain.brief(exit, self.tail(), _free(self.unit.spec.output))
        self.state = replace(self.state, process=None, last_exit=exit)
        return Run(became_ready, exit, bool(forced))

    async def _watch(self, process: Process, monitor: Monitor) -> tuple[Exit, str]:
        ending = asyncio.ensure_future(process.wait())
        watching = asyncio.ensure_future(monitor.run())
        try:
            await asyncio.wait([ending, watching], return_when=asyncio.FIRST_COMPLETED)
            forced = ""
            if not ending.done() and (bug := watching.exception()):
                log.error("the probes of %s stopped; it is watched for its exit only", self.unit.id, exc_info=bug)
            elif not ending.done():
                forced = watching.result()
                self._set(Status.STOPPING, forced)
                await process.stop(self.unit.stop_timeout, self.unit.stop_signal)
            return await ending, forced
        finally:
            ending.cancel()
            watching.cancel()
            await asyncio.wait([ending, watching])

    async def _launch(self) -> Process:
        unit = self.unit
        try:
            if unit.before_start:
                await unit.before_start()
        except GoliveError as error:
            raise StartFailed(error.what, where=unit.id, why=error.why, hint=error.hint, log=error.log) from error
        except Exception as error:
            log.exception("before_start of %s", unit.id)
            raise StartFailed(f"{unit.id} could not be prepared", where=unit.id, why=str(error)) from error
        if unit.port is not None:
            await self._expect_free(unit.port)
        self._log_from = _size(unit.spec.output)
        return await processes.start(unit.spec, self._begun)

    def _begun(self, id: ProcessId) -> None:
        """Stored before the program begins, so that a daemon that dies in between leaves nobody unknown behind."""
        self.state = replace(self.state, process=id)
        self._emit()

    async def _ended(self) -> None:
        try:
            if self.unit.after_end:
                await self.unit.after_end()
        except Exception:
            log.exception("after_end of %s", self.unit.id)

    async def _expect_free(self, port: int) -> None:
        """StartFailed, naming who has it, when the port is not free and does not become so in a moment."""
        for _ in range(PORT_PATIENCE):
            if not _taken(port):
                return
            await asyncio.sleep(0.05)
        if holder := await asyncio.to_thread(ports.holder, port):
            raise explain.taken(self.unit, holder)

    def _tell(self, ready: bool, detail: str) -> None:
        if ready:
            self.ever_ready, self.failure = True, None
        restarted = f"restarted: {self._why}" if self._why else ""
        self._set(Status.READY if ready else Status.UNREADY, restarted if ready else detail)

    def _fail(self, error: StartFailed) -> None:
        if not self.ever_ready and self.failure is None:
            self.failure = error
            self._attention.news.set()

    def _set(self, status: Status, reason: str, *, last_exit: Exit | None = None) -> None:
        process = self.process.id if self.process else None
        old = self.state
        new = replace(old, status=status, reason=reason, process=process, last_exit=last_exit or old.last_exit)
        if new != old:
            self.state = replace(new, since=_now() if status is not old.status else old.since)
            self._emit()

    def _emit(self) -> None:
        self._attention.news.set()
        try:
            self._on_change(self.state)
        except Exception:  # the daemon's storing of a state must not end the supervision of a process
            log.exception("on_change for %s", self.unit.id)

    def tail(self, lines: int = explain.LOG_LINES) -> str:
        """The last lines that this run wrote."""
        path = self.unit.spec.output
        if path is None or not path.exists():
            return ""
        with path.open("rb") as file:
            size = file.seek(0, 2)
            begin = self._log_from if self._log_from <= size else 0
            file.seek(max(begin, size - 65536))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def _taken(port: int) -> bool:
    """Binds without listening: the edge tries this port all the time, and must be refused until the instance is up."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def _free(path: Path | None) -> int:
    """Bytes on its disk; many where there is none to ask."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage(path.parent).free if path else 1 << 40
    return 1 << 40


def _size(path: Path | None) -> int:
    return path.stat().st_size if path and path.exists() else 0


def _now() -> datetime:
    return datetime.now(UTC)
