"""Processes: started in a session of their own so that they outlive the daemon, found again by pid and start time.

`start` and `adopt` are for what keeps running; `run` is for tools that end (builds, migrations, initdb).
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import marshal
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
from golive.system import cgroups, sessions
from golive.system.users import User

LAUNCHER = Path(__file__).with_name("launch.py")
POLL = 0.25
"""Seconds between looks at an adopted process where the kernel has no pidfd."""
LINGER = 0.5
"""Seconds for which the output of an ended tool is still read while something else holds its pipe."""


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
    orphan: bool = False
    """Made init's child, for a program that asks the kernel to end it with its parent (Envoy does). Its exit code is
    then nobody's to read."""


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

    def __init__(self, id: ProcessId, group: str | None = None) -> None:
        self.id = id
        self.group = group
        """Its control group, when it has one; `golive.system.cgroups` knows what is in force there."""
        self._status: int | None = None
        self._exit: asyncio.Future[Exit] | None = None

    @property
    def pid(self) -> int:
        return self.id.pid

    def alive(self) -> bool:
        return self._status is None and _matches(self.id)

    async def wait(self) -> Exit:
        """How it ended. What it left running in its session or control group is killed before this returns."""
        if self._exit is None or self._exit.cancelled():
            self._exit = asyncio.ensure_future(self._watch())
        return await asyncio.shield(self._exit)

    def forget(self) -> None:
        """Watch it no longer; it runs on and may be adopted."""
        if self._exit is not None:
            self._exit.cancel()

    async def _watch(self) -> Exit:
        if not await _wait_pidfd(self.pid, self.alive):
            while self.alive():
                await asyncio.sleep(POLL)
        await asyncio.to_thread(self._clear)
        self._reap()
        oom = cgroups.out_of_memory(self.group)
        await asyncio.to_thread(cgroups.remove, self.group)
        if self._status is None:
            return Exit(out_of_memory=oom)
        code = os.waitstatus_to_exitcode(self._status)
        return Exit(signal=-code, out_of_memory=oom) if code < 0 else Exit(code, out_of_memory=oom and code != 0)

    def _reap(self) -> None:
        """Read the exit of a child; for an adopted process there is none to read."""
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status

    def _clear(self) -> None:
        """Kill what the ended process left behind.

        The kernel does not give a pid to a new process while a group or session still bears it, so when another
        process has the number now, nothing of ours is left and nothing is killed.
        """
        sessions.kill(cgroups.members(self.group))
        if _start_time(self.pid) is None:
            sessions.kill(m.pid for m in sessions.members(self.pid))

    def send(self, number: int) -> None:
        """To the whole session's process group; nothing happens when it has ended."""
        if not self.alive():
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def stop(self, grace: timedelta, number: int = signal.SIGTERM) -> Exit:
        """`number`, then SIGKILL to the group after `grace`; what it left behind is killed too, see `wait`."""
        self.send(number)
        try:
            async with asyncio.timeout(grace.total_seconds()):
                return await self.wait()
        except TimeoutError:
            self.send(signal.SIGKILL)
            return await self.wait()


async def start(spec: Spec, known: Callable[[ProcessId], None] = lambda _: None) -> Process:
    """Start it detached. StartFailed when the program is not there or may not be run.

    `known` is called in the event loop before the program begins: whoever is killed after that has written down what
    to look for, and whoever is killed before has started nothing.
    """
    tell = _in_this_loop(known)
    return (await _launched(lambda spec: _start(spec, tell), spec))[0]


def _in_this_loop(known: Callable[[ProcessId], None]) -> Callable[[ProcessId], None]:
    """For a thread to call, which waits until it has happened."""
    loop = asyncio.get_running_loop()

    async def told(id: ProcessId) -> None:
        known(id)

    def tell(id: ProcessId) -> None:
        asyncio.run_coroutine_threadsafe(told(id), loop).result()

    return tell


async def _launched(launch: Callable[[Spec], _Started], spec: Spec) -> _Started:
    """Launch in a thread. Cancelled meanwhile, the process is killed: nobody would know of it."""
    task = asyncio.ensure_future(asyncio.to_thread(launch, spec))
    try:
        return await asyncio.shield(task)
    except OSError as error:  # no descriptor, no process, no memory left
        raise StartFailed(f"cannot start {spec.argv[0]}", why=error.strerror, where=spec.name or None) from error
    except asyncio.CancelledError:
        with contextlib.suppress(StartFailed, OSError):
            process, *pipes = await task
            process.send(signal.SIGKILL)
            for pipe in pipes:
                if pipe is not None:
                    pipe.close()
            await process.wait()
        raise


def _start(spec: Spec, known: Callable[[ProcessId], None]) -> _Started:
    if not spec.output:
        return _launch(spec, subprocess.DEVNULL, subprocess.DEVNULL, known=known)
    try:
        target = _open_output(spec.output, spec.user)
    except OSError as error:
        raise StartFailed(f"cannot start {spec.argv[0]}", why=f"{spec.output}: {error.strerror}") from error
    try:
        return _launch(spec, target, target, known=known)
    finally:
        os.close(target)


def _open_output(path: Path, user: User | None) -> int:
    """Owned by the program's user, which may then open /dev/stdout again, as nginx and shell scripts do."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    if user and os.geteuid() == 0:
        os.fchown(target, user.uid, user.gid)
    return target


def _launch(
    spec: Spec,
    stdout: int,
    stderr: int,
    stdin: int = subprocess.DEVNULL,
    *,
    known: Callable[[ProcessId], None] = lambda _: None,
) -> _Started:
    """The launcher, told over a pipe what to become. Returns once the exec has happened.

    It keeps its number and start time through that, so they are made known before. It ends by itself when we do.
    """
    group = cgroups.create(spec.name, spec.limits.memory, spec.limits.cpu)
    try:
        popen, spec_write, report_read = _spawn(stdin, stdout, stderr, spec.orphan)
    except OSError:
        cgroups.remove(group)
        raise
    pid = popen.pid
    if spec.orphan:
        pid = _orphan(report_read) or pid
        popen.wait()
    try:
        known(_identify(pid))
    except BaseException:
        os.close(spec_write)  # so that it ends
        os.close(report_read)
        popen.communicate()
        cgroups.remove(group)
        raise
    problem = _tell(_document(spec, group), spec_write, report_read)
    if problem:
        popen.communicate()
        cgroups.remove(group)
        raise StartFailed(f"cannot start {spec.argv[0]}", why=problem, where=spec.name or None)
    # From here Process reads the exit; Popen must neither reap it nor warn that it still runs.
    popen.returncode = 0
    return Process(_identify(pid), group), popen.stdin, popen.stdout


def _orphan(report_read: int) -> int | None:
    """The number of a launcher that has left us; None when it could not."""
    said = b""
    while not said.endswith(b"\n") and (byte := os.read(report_read, 1)):
        said += byte
    return int(said) if said else None


def _spawn(stdin: int, stdout: int, stderr: int, orphan: bool) -> tuple[subprocess.Popen[bytes], int, int]:
    """The launcher, where to write its document, and where it reports a failure."""
    with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
        spec_read, spec_write = os.pipe()
        theirs.callback(os.close, spec_read)
        ours.callback(os.close, spec_write)
        report_read, report_write = os.pipe()
        theirs.callback(os.close, report_write)
        ours.callback(os.close, report_read)
        popen = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LAUNCHER), str(spec_read), str(report_write), *["orphan"] * orphan],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env={"LC_ALL": "C.UTF-8"},
            cwd="/",
            start_new_session=True,
            pass_fds=(spec_read, report_write),
        )
        ours.pop_all()
    return popen, spec_write, report_read


def _tell(document: dict[str, Any], spec_write: int, report_read: int) -> str:
    """Hand the launcher its document; what it says went wrong, empty when the exec happened."""
    with contextlib.suppress(BrokenPipeError), os.fdopen(spec_write, "wb") as pipe:
        marshal.dump(document, pipe)
    with os.fdopen(report_read, errors="replace") as report:
        return report.read()


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
    return Process(id, cgroups.group_of(id.pid)) if _matches(id) else None


_Started = tuple[Process, Any, Any]
"""The process and the pipes to and from it, None where there are none."""


@dataclass(frozen=True)
class Completed:
    """A tool that ended; `output` is the last 64 KB of its stdout and stderr together."""

    code: int
    output: str
    out_of_memory: bool = False


class _Tail:
    """The last 64 KB of many lines."""

    def __init__(self, limit: int = 65536) -> None:
        self._lines: collections.deque[str] = collections.deque()
        self._size = 0
        self._limit = limit

    def add(self, line: str) -> None:
        self._lines.append(line)
        self._size += len(line) + 1
        while self._size - len(self._lines[0]) > self._limit:
            self._size -= len(self._lines.popleft()) + 1

    def text(self) -> str:
        return "\n".join(self._lines)[-self._limit :]


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
    no_new_privileges: bool = True,
    on_start: Callable[[ProcessId], Awaitable[None]] | None = None,
    known: Callable[[ProcessId], None] = lambda _: None,
) -> Completed:
    """Run a tool to its end. Never raises for its exit code; cancelling or `timeout` (seconds) kills its whole group.

    `known` is called before it begins, see `start`; `on_start` when it has begun. Raises StartFailed when it cannot be
    started and TimeoutError at the timeout.
    """
    spec = Spec(
        tuple(argv), env, cwd, user=user, limits=limits or Limits(), name=name, private=private,
        no_new_privileges=no_new_privileges,
    )  # fmt: skip
    stdin_mode = subprocess.PIPE if input is not None else subprocess.DEVNULL
    tell = _in_this_loop(known)
    process, stdin, stdout = await _launched(
        lambda spec: _launch(spec, subprocess.PIPE, subprocess.STDOUT, stdin_mode, known=tell), spec
    )
    tail = _Tail()
    reading = asyncio.ensure_future(_read_lines(stdout, tail, on_line))
    try:
        async with asyncio.timeout(timeout):
            if on_start:
                await on_start(process.id)
            feeding = asyncio.to_thread(_feed, stdin, input) if input is not None else asyncio.sleep(0)
            _, exit = await asyncio.gather(feeding, process.wait())
            await _finish(reading)
    finally:
        process.send(signal.SIGKILL)
        reading.cancel()
        await process.wait()
        await asyncio.wait([reading])
        for pipe in (stdin, stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
    code = exit.code if exit.code is not None else 128 + (exit.signal or 0)
    return Completed(code, tail.text(), exit.out_of_memory)


async def _finish(reading: asyncio.Task[None]) -> None:
    """The tool has ended; a daemon it left behind may hold the pipe open for ever, so the rest is read for a moment."""
    done, _ = await asyncio.wait([reading], timeout=LINGER)
    for task in done:
        task.result()


def _feed(pipe: Any, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), pipe:
        pipe.write(data)


async def _read_lines(pipe: Any, tail: _Tail, on_line: Callable[[str], None] | None) -> None:
    reader = asyncio.StreamReader(limit=2**20)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
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
            tail.add(line)
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
