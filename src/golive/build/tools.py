"""Runs the programs of a build: niced, limited, streamed to the log, and with its own kinds of failure told apart."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from golive.errors import BuildFailed, StartFailed
from golive.secret import Mask
from golive.system import cgroups
from golive.system.processes import Completed, Limits, ProcessId, adopt, run
from golive.system.users import User
from golive.units import human_size

NICE = 10
WATCH = 0.2
"""Seconds between looks at a build's memory where the kernel does not limit it."""
PROCESS_FILE = "process.json"
LOG_TAIL = 60
_FULL = ("No space left on device", "Disk quota exceeded", "os error 28", "os error 122", "ENOSPC")


@dataclass(frozen=True)
class Tools:
    """How the programs of one build run. `place` is the build's temporary folder, `memory` its limit in bytes."""

    place: Path
    memory: int
    log: Callable[[str], None]
    user: User | None = None
    mask: Mask = field(default_factory=Mask)

    async def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        trusted: bool = False,
        input: bytes | None = None,
        no_new_privileges: bool = True,
    ) -> Completed:
        """Run one program. `trusted` runs it as golive's own user: it executes nothing of the project's, or not here.

        Raises BuildFailed when it cannot start, runs out of memory or fills the disk; other exit codes are returned.
        """
        watch = _Watch(self.memory)
        try:
            done = await run(
                argv,
                env=env,
                cwd=cwd,
                user=None if trusted else self.user,
                limits=Limits(memory=self.memory, nice=NICE),
                on_line=lambda line: self.log(self.mask(line)),
                input=input,
                name="build",
                no_new_privileges=no_new_privileges,
                on_start=lambda id: self._started(id, watch),
            )
        except StartFailed as error:
            raise BuildFailed(error.what, why=error.why) from None
        finally:
            await watch.stop()
            (self.place / PROCESS_FILE).unlink(missing_ok=True)
        output = self.mask(done.output)
        if done.code != 0 and (done.out_of_memory or watch.exceeded):
            raise out_of_memory(self.memory, output)
        if done.code != 0 and any(words in output for words in _FULL):
            raise disk_full(self.place, output)
        return Completed(done.code, output)

    async def _started(self, id: ProcessId, watch: _Watch) -> None:
        with contextlib.suppress(OSError):
            (self.place / PROCESS_FILE).write_text(json.dumps(asdict(id)))
        watch.start(id)


class _Watch:
    """Ends a build above its memory where there are no control groups (macOS, a container without them)."""

    def __init__(self, memory: int) -> None:
        self.exceeded = False
        self._memory = memory
        self._task: asyncio.Task[None] | None = None

    def start(self, id: ProcessId) -> None:
        if not cgroups.available():
            self._task = asyncio.ensure_future(self._look(id))

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _look(self, id: ProcessId) -> None:
        while process := adopt(id):
            if await asyncio.to_thread(_resident, id.pid) > self._memory:
                self.exceeded = True
                process.send(9)
                return
            await asyncio.sleep(WATCH)


def _resident(pid: int) -> int:
    """Bytes of a process and everything below it."""
    import psutil

    total = 0
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
    return total


def kill_leftover(place: Path) -> None:
    """End the program that a killed daemon left running in a build's temporary folder."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        process = adopt(ProcessId(**json.loads((place / PROCESS_FILE).read_text())))
        if process:
            process.send(9)


def tail(output: str) -> str:
    return "\n".join(output.splitlines()[-LOG_TAIL:])


def out_of_memory(limit: int, output: str) -> BuildFailed:
    return BuildFailed(
        f"the build ran out of memory: it may use {human_size(limit)}",
        hint="raise `memory` under [build] in golive.toml, or build with less at a time",
        log=tail(output),
    )


def disk_full(place: Path, output: str = "") -> BuildFailed:
    """The sentence for a full disk, with what is free now."""
    existing = next(path for path in (place, *place.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    return BuildFailed(
        f"the disk is full: {human_size(free)} free at {existing}",
        why="the build needs more room than there is",
        hint="free some space, or lower `disk` under [build] in golive.toml so that old artifacts go sooner",
        log=tail(output),
    )


def is_full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
