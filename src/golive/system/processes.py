"""Processes: started in a session of their own so that they outlive the daemon, found again by pid and start time.

`start` and `adopt` are for what keeps running; `run` is for tools that end (builds, migrations, initdb).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from golive.errors import StartFailed
from golive.system import cgroups
from golive.system.users import User

LAUNCHER = Path(__file__).with_name("launch.py")
POLL = 0.25
"""Seconds between looks at an adopted process where the kernel has no pidfd."""


@dataclass(frozen=True)
class Limits:
    """`memory` in bytes, `cpu` in cores, `files` open at once; None means no limit. `nice` 0 to 19."""

    memory: int | None = None
    cpu: float | None = None
    files: int | None = None
    nice: int = 0


@dataclass(frozen=True)
class Spec:
    """How to start a program. `env` is the whole environment; `output` gets stdout and stderr, appended."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    output: Path | None = None
    user: User | None = None
    limits: Limits = Limits()
    name: str = ""
    """For its control group; `app/environment/service` or a tool's name."""
    private: bool = False
    """Files it makes are its own (umask 077)."""
    no_new_privileges: bool = True


@dataclass(frozen=True)
class ProcessId:
    """A process that can be recognised after a restart of the daemon, or of the machine."""

    pid: int
    started: str
    """When it started, by a clock that nobody can set: boot id and kernel ticks on Linux."""


@dataclass(frozen=True)
class Exit:
    """How a process ended. Both None: it was adopted, so nobody could ask."""

    code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False

    def __str__(self) -> str:
        if self.out_of_memory:
            return "ran out of memory"
        if self.signal:
            return f"killed by {signal.Signals(self.signal).name}"
        return "ended" if self.code is None else f"exited with {self.code}"


class Process:
    """A running program in its own session. `wait` may be awaited by several."""

    def __init__(self, id: ProcessId, popen: subprocess.Popen[bytes] | None = None, group: str | None = None) -> None:
        self.id = id
        self._popen = popen
        self._group = group
        self._exit: asyncio.Future[Exit] | None = None

    @property
    def pid(self) -> int:
        return self.id.pid

    def alive(self) -> bool:
        if self._popen is not None:
            return self._popen.poll() is None
        return _matches(self.id)

    async def wait(self) -> Exit:
        if self._exit is None:
            self._exit = asyncio.ensure_future(self._watch())
        return await asyncio.shield(self._exit)

    async def _watch(self) -> Exit:
        if not await _wait_pidfd(self.pid, self.alive):
            while self.alive():
                await asyncio.sleep(POLL)
        code = self._popen.wait() if self._popen is not None else None
        oom = cgroups.out_of_memory(self._group)
        cgroups.remove(self._group)
        if code is not None and code < 0:
            return Exit(signal=-code, out_of_memory=oom)
        return Exit(code=code, out_of_memory=oom)

    def send(self, number: int) -> None:
        """To the whole session's process group; nothing happens when it has ended."""
        if not self.alive():
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def stop(self, grace: timedelta, number: int = signal.SIGTERM) -> Exit:
        """`number`, then SIGKILL to the group after `grace`; what it left behind in its group is killed too."""
        self.send(number)
        try:
            return await asyncio.wait_for(self.wait(), grace.total_seconds())
        except TimeoutError:
            self.send(signal.SIGKILL)
            return await self.wait()
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


async def start(spec: Spec) -> Process:
    """Start it detached. StartFailed when the program is not there or may not be run."""
    return await asyncio.to_thread(_start, spec)


def _start(spec: Spec) -> Process:
    if spec.output:
        spec.output.parent.mkdir(parents=True, exist_ok=True)
        target: Any = os.open(spec.output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    else:
        target = subprocess.DEVNULL
    try:
        popen, group = _launch(spec, target, target if spec.output else subprocess.DEVNULL)
    finally:
        if spec.output:
            os.close(target)
    return Process(_identify(popen.pid), popen, group)


def _launch(spec: Spec, stdout: Any, stderr: Any, stdin: Any = subprocess.DEVNULL) -> tuple[Any, str | None]:
    """The launcher, told over a pipe what to become. Returns once the exec has happened."""
    group = cgroups.create(spec.name, spec.limits.memory, spec.limits.cpu)
    spec_read, spec_write = os.pipe()
    report_read, report_write = os.pipe()
    argv = [sys.executable, "-I", "-S", str(LAUNCHER), str(spec_read), str(report_write)]
    try:
        popen = subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env={"LC_ALL": "C.UTF-8"},
            cwd="/",
            start_new_session=True,
            pass_fds=(spec_read, report_write),
        )
    finally:
        os.close(spec_read)
        os.close(report_write)
    with os.fdopen(spec_write, "w") as pipe, contextlib.suppress(BrokenPipeError):
        json.dump(_document(spec, group), pipe)
    with os.fdopen(report_read) as pipe:
        problem = pipe.read()
    if problem:
        popen.wait()
        cgroups.remove(group)
        raise StartFailed(f"cannot start {spec.argv[0]}", why=problem, where=spec.name or None)
    return popen, group


def _document(spec: Spec, group: str | None) -> dict[str, Any]:
    user = spec.user
    return {
        "argv": list(spec.argv),
        "env": dict(spec.env),
        "cwd": str(spec.cwd),
        "uid": user.uid if user else None,
        "gid": user.gid if user else None,
        "groups": list(user.groups) if user else [],
        "files": spec.limits.files,
        "nice": spec.limits.nice,
        "cgroups": cgroups.task_files(group),
        "private": spec.private,
        "no_new_privileges": spec.no_new_privileges,
    }


def adopt(id: ProcessId) -> Process | None:
    """The process again, or None when it has ended or the number belongs to another now."""
    return Process(id, group=cgroups.group_of(id.pid)) if _matches(id) else None


@dataclass(frozen=True)
class Completed:
    """A tool that ended; `output` is the last 64 KB of its stdout and stderr together."""

    code: int
    output: str
    out_of_memory: bool = False


async def run(  # noqa: PLR0913
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    user: User | None = None,
    limits: Limits | None = None,
    timeout: float | None = None,
    on_line: Callable[[str], None] | None = None,
    input: bytes | None = None,
    name: str = "tool",
    private: bool = False,
    on_start: Callable[[ProcessId], Awaitable[None]] | None = None,
) -> Completed:
    """Run a tool to its end. Never raises for its exit code; cancelling or `timeout` (seconds) kills its whole group.

    Raises StartFailed when it cannot be started and TimeoutError at the timeout.
    """
    spec = Spec(tuple(argv), env, cwd, user=user, limits=limits or Limits(), name=name, private=private)
    stdin = subprocess.PIPE if input is not None else subprocess.DEVNULL
    popen, group = await asyncio.to_thread(_launch, spec, subprocess.PIPE, subprocess.STDOUT, stdin)
    process = Process(_identify(popen.pid), popen, group)
    if on_start:
        await on_start(process.id)
    tail: list[str] = []
    try:
        async with asyncio.timeout(timeout):
            if input is not None:
                await asyncio.to_thread(_feed, popen.stdin, input)
            await _read_lines(popen.stdout, tail, on_line)
            exit = await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.stdout.close()
        await process.wait()
    code = exit.code if exit.code is not None else 128 + (exit.signal or 0)
    return Completed(code, "\n".join(tail)[-65536:], exit.out_of_memory)


def _feed(pipe: Any, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), pipe:
        pipe.write(data)


async def _read_lines(pipe: Any, tail: list[str], on_line: Callable[[str], None] | None) -> None:
    reader = asyncio.StreamReader(limit=2**20)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(pipe.fileno()), "rb", buffering=0)
    )
    try:
        while True:
            try:
                raw = await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError as rest:
                raw = rest.partial
            except asyncio.LimitOverrunError:
                raw = await reader.read(2**16)
            if not raw:
                return
            line = raw.decode(errors="replace").rstrip("\r\n")
            tail.append(line)
            if len(tail) > 4000:
                del tail[:2000]
            if on_line:
                on_line(line)
    finally:
        transport.close()


async def _wait_pidfd(pid: int, alive: Callable[[], bool]) -> bool:
    """Wait for the end of any process without polling, where Linux has pidfd_open. False: not possible here."""
    if not hasattr(os, "pidfd_open"):
        return False
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    try:
        if not alive() or select.select([fd], [], [], 0)[0]:
            return True
        loop.add_reader(fd, done.set)
        try:
            await done.wait()
        finally:
            loop.remove_reader(fd)
    finally:
        os.close(fd)
    return True


def _identify(pid: int) -> ProcessId:
    return ProcessId(pid, _start_time(pid) or "")


def _matches(id: ProcessId) -> bool:
    return bool(id.started) and _start_time(id.pid) == id.started


def _start_time(pid: int) -> str | None:
    """None when there is no such process, or only its unread exit."""
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else f"{_boot_id()}:{fields[19]}"
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.0f}"
    except psutil.NoSuchProcess:
        return None


@functools.cache
def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
