"""Another Python for what needs large libraries or much memory, so that the daemon stays small.

It is started at the first call, kept while there are calls, and ends by itself when none came for some seconds or when
its parent is gone. Calls, their reports, results and errors go through pipes, pickled: both ends are the same program.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import pickle
import struct
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

from golive.errors import GoliveError

P = ParamSpec("P")
T = TypeVar("T")
Report = Callable[[Any], None]

IDLE = timedelta(seconds=5)
GRACE = 10.0
"""Seconds that a call has to clean up after it was cancelled, before its process is ended."""
_HEAD = struct.Struct(">I")


@dataclass
class _Call:
    process: asyncio.subprocess.Process
    answer: asyncio.Future[Any]
    report: Report | None


@dataclass
class Offload:
    """Runs coroutine functions in the other process; one process, however many calls are under way."""

    idle: timedelta = IDLE
    _process: asyncio.subprocess.Process | None = None
    _latest: asyncio.subprocess.Process | None = None
    """That of the reader: `_process`, or one that was told to leave."""
    _reader: asyncio.Task[None] | None = None
    _calls: dict[int, _Call] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _rest: asyncio.TimerHandle | None = None

    async def call(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """`function` is found by its name over there.

        What it raises is raised here: GoliveErrors and Python's own as they are, others as RuntimeError. Cancelling
        the call cancels it there, and waits until it has cleaned up. GoliveError when the process ends in the middle.
        """
        answer: T = await self._call(None, function, args, kwargs)
        return answer

    async def reporting(
        self, report: Report, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The same for a `function` with a `report`: what it is called with there, `report` is called with here."""
        answer: T = await self._call(report, function, args, kwargs)
        return answer

    async def _call(self, report: Report | None, function: Any, args: Any, kwargs: Any) -> Any:
        number = next(self._numbers)
        async with self._starting:
            process = await self._running()
            mine = self._calls[number] = _Call(process, asyncio.get_running_loop().create_future(), report)
        try:
            _there(process.stdin).write(_packed((number, function, args, kwargs, report is not None)))
            return await self._answer(process, number, mine)
        finally:
            self._calls.pop(number, None)
            if not self._calls:
                self._rest = asyncio.get_running_loop().call_later(self.idle.total_seconds(), self._end, process)

    async def _answer(self, process: asyncio.subprocess.Process, number: int, mine: _Call) -> Any:
        try:
            return await asyncio.shield(mine.answer)
        except asyncio.CancelledError:
            _there(process.stdin).write(_packed((number, None, (), {}, False)))
            done, _ = await asyncio.wait([mine.answer], timeout=GRACE)
            if not done:
                self._end(process)
            else:
                mine.answer.exception()  # seen: it came too late for anybody
            raise

    async def _running(self) -> asyncio.subprocess.Process:
        if self._rest:
            self._rest.cancel()
            self._rest = None
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                __name__,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
            self._latest = self._process
            self._reader = asyncio.create_task(self._read(self._process))
        return self._process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        stream = _there(process.stdout)
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                self._heard(*pickle.loads(await _message(stream)))  # noqa: S301 - from our own child
        if self._process is process:
            self._process = None
        code = await process.wait()
        for call in self._calls.values():
            if call.process is process and not call.answer.done():
                call.answer.set_exception(_cut_off(code))

    def _heard(self, number: int, kind: str, value: Any) -> None:
        call = self._calls.get(number)
        if call is None or call.answer.done():
            return
        if kind == "report":
            if call.report:
                call.report(value)
        elif kind == "done":
            call.answer.set_result(value)
        elif isinstance(value, asyncio.CancelledError):  # whoever cancelled it himself hears nothing of this
            call.answer.set_exception(_cut_off(0))
        else:
            call.answer.set_exception(value)

    def _end(self, process: asyncio.subprocess.Process) -> None:
        """The end of its input is its sign to leave."""
        if self._process is process:
            self._process = None
        if process.stdin is not None:
            process.stdin.close()

    async def close(self) -> None:
        """Its calls are cancelled; returns when it has gone."""
        if self._process is not None:
            self._end(self._process)
        if self._reader and self._latest:
            await asyncio.wait([self._reader], timeout=GRACE)
            if self._latest.returncode is None:
                self._latest.kill()
            await self._reader


def _cut_off(code: int) -> GoliveError:
    """`code` as subprocess has it: below zero the signal; 0 when the process was told to leave."""
    return GoliveError(
        "the process that worked on this ended in the middle",
        why=f"signal {-code}: somebody ended it, or the kernel for want of memory" if code < 0 else f"exit code {code}",
        hint="what it had committed stands; the same command goes on from there",
    )


S = TypeVar("S")


def _there(pipe: S | None) -> S:
    """A pipe that was asked for."""
    if pipe is None:
        raise RuntimeError("the process was started without its pipes")
    return pipe


def _packed(message: Any) -> bytes:
    body = pickle.dumps(message)
    return _HEAD.pack(len(body)) + body


async def _message(stream: asyncio.StreamReader) -> bytes:
    return await stream.readexactly(_HEAD.unpack(await stream.readexactly(_HEAD.size))[0])


# The other side


async def serve(source: int, target: int) -> None:
    """Run what is asked for until the input ends; then what still runs is cancelled and cleans up."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(source, "rb")
    )
    running: dict[int, asyncio.Task[None]] = {}

    def say(number: int, kind: str, value: Any) -> None:
        data = memoryview(_packed((number, kind, value)))
        while data:
            data = data[os.write(target, data) :]

    with contextlib.suppress(asyncio.IncompleteReadError, BrokenPipeError):
        while True:
            number, function, args, kwargs, reports = pickle.loads(await _message(reader))  # noqa: S301 - our parent
            if function is None:
                if number in running:
                    running[number].cancel()
                continue
            if reports:
                kwargs["report"] = functools.partial(say, number, "report")
            running[number] = asyncio.create_task(_run(number, function(*args, **kwargs), say))
            running[number].add_done_callback(functools.partial(_forget, running, number))
    for task in [*running.values()]:
        task.cancel()
    with contextlib.suppress(BrokenPipeError):
        await asyncio.gather(*running.values(), return_exceptions=True)


def _forget(running: dict[int, asyncio.Task[None]], number: int, _: asyncio.Task[None]) -> None:
    running.pop(number, None)


async def _run(number: int, work: Awaitable[Any], say: Callable[[int, str, Any], None]) -> None:
    try:
        say(number, "done", await work)
    except asyncio.CancelledError:
        say(number, "failed", asyncio.CancelledError())
    except Exception as error:  # whatever it is, it belongs to who called
        say(number, "failed", _portable(error))


def _portable(error: Exception) -> Exception:
    """An error that the other side can have without importing what it was kept from."""
    if isinstance(error, GoliveError) or type(error).__module__ == "builtins":
        error.__cause__ = error.__context__ = None
        return error
    return RuntimeError("".join(traceback.format_exception(error)))


def main() -> None:
    out = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not end up between the messages
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(0, out))


if __name__ == "__main__":
    main()
