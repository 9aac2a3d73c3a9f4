"""Requests at a rate that waits for nobody: each is due at its own time, and its time is counted from then, so that a
stall is seen by all who came during it and not by one alone.

Its own process, without a garbage collector: what it measures must not be its own pauses.
"""

from __future__ import annotations

import array
import asyncio
import gc
import json
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.load import Target
from benchmarks.processes import wait_for

CONNECTIONS = 200
PATIENCE = 30.0
"""Seconds for the answers that are still due when it is told to stop."""
TICK = 0.001


@dataclass(frozen=True)
class Answers:
    """Those of a span: `times` in seconds from when each was due, in order of size."""

    requests: int
    failed: int
    times: list[float]

    def share(self, part: float) -> float:
        return self.times[min(len(self.times) - 1, int(len(self.times) * part))] if self.times else 0.0


@dataclass
class OpenLoop:
    """POSTs of `{"device": n, "value": n}` while the block lasts; afterwards `answers` says what became of them."""

    target: Target
    authority: Path
    rate: int
    failures: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> OpenLoop:
        self._folder = tempfile.TemporaryDirectory(prefix="golive-openloop-")
        self._file = Path(self._folder.name) / "answers"
        told = {
            "host": self.target.host, "port": self.target.port, "path": self.target.path, "rate": self.rate,
            "authority": str(self.authority), "file": str(self._file),
        }  # fmt: skip
        words = [sys.executable, "-m", "benchmarks.openloop", json.dumps(told)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE)
        wait_for("the load to begin", self._file.with_suffix(".began").exists, 20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE + 10)
        self._process.kill()
        if error is None:
            self._read()
        self._folder.cleanup()

    def _read(self) -> None:
        found = json.loads(self._file.with_suffix(".json").read_text())
        self.failures = Counter(found["failures"])
        values = array.array("d")
        values.frombytes(self._file.read_bytes())
        self._due, self._took = values[0::2], values[1::2]

    def answers(self, began: float = 0.0, ended: float = float("inf")) -> Answers:
        """Of requests that were due between two moments (monotonic). Those that failed took forever."""
        took = [time for due, time in zip(self._due, self._took, strict=True) if began <= due < ended]
        good = sorted(time for time in took if time >= 0)
        return Answers(len(took), len(took) - len(good), good)


class _Connection(asyncio.Protocol):
    """One at a time; the whole answer is read, however it comes."""

    def __init__(self, load: _Load) -> None:
        self.load = load
        self.due: float | None = None
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, due: float, request: bytes) -> None:
        self.due, self._got = due, b""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, rest = self._got.partition(b"\r\n\r\n")
        if not end or self.due is None:
            return
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        if len(rest) < length:
            return
        status = head[9:12].decode(errors="replace")
        due, self.due = self.due, None
        self.load.answered(due, None if status == "201" else f"status {status}")
        if b"connection: close" in lines:
            self.transport.close()
        else:
            self.load.free(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self.due is not None:
            self.load.answered(self.due, f"the connection was lost: {error}")
            self.due = None
        self.load.lost(self)


class _Load:
    """The other process."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self.results = array.array("d")
        self.failures: Counter[str] = Counter()
        self._free: deque[_Connection] = deque()
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._open = 0
        self._context = ssl.create_default_context(cafile=told["authority"])
        head = f"POST {told['path']} HTTP/1.1\r\nHost: {told['host']}\r\nContent-Type: application/json\r\n"
        self._head = head.encode()

    async def run(self, stop: asyncio.Event) -> None:
        await asyncio.gather(*(self._connect() for _ in range(CONNECTIONS)))
        Path(self.told["file"]).with_suffix(".began").touch()
        gc.collect()
        gc.freeze()
        gc.disable()
        began, sent, rate = time.monotonic(), 0, self.told["rate"]
        while not stop.is_set():
            now = time.monotonic()
            while began + sent / rate <= now:
                self._send(began + sent / rate, sent)
                sent += 1
            await asyncio.sleep(TICK)
        deadline = time.monotonic() + PATIENCE
        while len(self.results) < 2 * sent and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for _ in range(sent - len(self.results) // 2):
            self.answered(time.monotonic(), "no answer")
        file = Path(self.told["file"])
        file.write_bytes(self.results.tobytes())
        file.with_suffix(".json").write_text(json.dumps({"failures": self.failures}))

    def _send(self, due: float, number: int) -> None:
        body = b'{"device": %d, "value": %d.5}' % (number % 50_000, number % 1000)
        request = self._head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        while self._free:
            connection = self._free.pop()
            if not connection.transport.is_closing():
                connection.send(due, request)
                return
        self._waiting.append((due, request))

    def answered(self, due: float, failure: str | None) -> None:
        self.results.append(due)
        self.results.append(-1.0 if failure else time.monotonic() - due)
        if failure:
            self.failures[failure] += 1

    def free(self, connection: _Connection) -> None:
        if self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self._free.append(connection)

    def lost(self, connection: _Connection) -> None:
        with suppress(ValueError):
            self._free.remove(connection)
        self._again = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(
            lambda: _Connection(self), "127.0.0.1", self.told["port"],
            ssl=self._context, server_hostname=self.told["host"],
        )  # fmt: skip
        self.free(made)


async def _main() -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), stop.set)  # its end
    await _Load(json.loads(sys.argv[1])).run(stop)


if __name__ == "__main__":
    asyncio.run(_main())
