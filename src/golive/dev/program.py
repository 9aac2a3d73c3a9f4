"""One service's program while it is developed: started, started again on a change, shown when it crashes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from golive.build.command import with_port
from golive.dev.command import PROGRAM, DevCommand, Follows
from golive.dev.watch import Changes
from golive.dev.workbench import GRACE, Workbench
from golive.system.processes import Completed, ProcessId, adopt

EARLY = 5.0
"""Seconds: a program that ends sooner did not start."""
WAITS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between the tries of a program that ends by itself; a change is tried at once."""
LOOK = 0.1


@dataclass
class Program:
    """`report` gets a state and a few words, for what golive itself has to say about it."""

    bench: Workbench
    name: str
    command: DevCommand
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    changes: Changes
    report: Callable[[str, str], None]
    port: int | None = None
    grace: timedelta = GRACE
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    process: ProcessId | None = None

    async def run(self) -> None:
        """Until it is cancelled; the program has then ended."""
        failures, built = 0, False
        while True:
            if not built and not await self.build():
                await self.changes.next()
                continue
            built = False
            began = time.monotonic()
            ended = await self._once()
            if ended is None:  # what is built has been built before it was ended
                failures, built = 0, True
                continue
            failures = failures + 1 if time.monotonic() - began < EARLY else 1
            wait = WAITS[min(failures, len(WAITS)) - 1]
            self.report("failed", f"exited with {ended.code}; again on a change, or in {wait:g} s")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self.changes.next()

    async def _once(self) -> Completed | None:
        """How the program ended; None when golive ended it because of a change."""
        began = time.monotonic()
        running = asyncio.create_task(self._run(self._words(self.command.argv), self._started))
        listening = asyncio.create_task(self._until_it_listens(began))
        watching = asyncio.create_task(self._until_changed())
        try:
            await asyncio.wait([running, watching], return_when=asyncio.FIRST_COMPLETED)
            return running.result() if running.done() else None
        finally:
            for task in (listening, watching):
                task.cancel()
            await self._end(running)

    async def _until_changed(self) -> None:
        """A change that asks for a new start. What follows changes by itself is left alone; what cannot be built does
        not replace what runs."""
        while True:
            files = await self.changes.next()
            if self.command.follows is Follows.GOLIVE or (self.command.follows is Follows.BUILD and await self.build()):
                self.report("changed", f"{files}, starting again")
                return

    async def build(self) -> bool:
        """What is run before a start; whether it went well. Again when something changed meanwhile."""
        if not self.command.first:
            return True
        while True:
            began = time.monotonic()
            self.changes.forget()
            self.report("building", " ".join(self.command.first[-1:]))
            done = await self._run(self._words(self.command.first))
            if done.code == 0:
                self.report("built", f"in {time.monotonic() - began:.1f} s")
                return True
            if not self.changes.waiting():
                self.report("failed", "does not build; again on a change")
                return False

    async def _run(self, argv: tuple[str, ...], started: Callable[[ProcessId], None] = lambda _: None) -> Completed:
        return await self.bench.run(self.name, argv, self.env, self.cwd, started)

    def _started(self, id: ProcessId) -> None:
        self.process = id

    async def _end(self, running: asyncio.Task[Completed]) -> None:
        """SIGTERM, then SIGKILL to all of it; a second cancellation does not wait for the first."""
        try:
            if not running.done() and self.process and (process := adopt(self.process)):
                await process.stop(self.grace)
        finally:
            running.cancel()
            await asyncio.wait([running])

    async def _until_it_listens(self, began: float) -> None:
        if self.port is None:
            self.ready.set()
            return
        while not await _answers(self.port):
            await asyncio.sleep(LOOK)
        self.report("ready", f"in {time.monotonic() - began:.1f} s")
        self.ready.set()

    def _words(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        program = str(self.bench.place / f"{self.name}.program")
        return with_port(tuple(program if word == PROGRAM else word for word in argv), self.env)


async def _answers(port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
