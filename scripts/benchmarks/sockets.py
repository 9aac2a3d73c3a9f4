"""WebSockets and event streams held open through deploys: none may be cut before its drain deadline."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from types import TracebackType

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from benchmarks.load import Target

SOONER = 1.0
"""Seconds of doubt about when a switch was: the deadline counts from golive's clock, not from the watcher's."""


def unchecked() -> ssl.SSLContext:
    """The certificate is of a scratch authority, as old as the benchmark; what is measured is the traffic."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Watcher:
    """Asks for the release on one keep-alive connection every few milliseconds, and notes when it changes."""

    def __init__(self, target: Target) -> None:
        self.switches: list[float] = []
        self.release = ""
        self.asked = 0
        self.failures: list[str] = []
        self._target = target
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def switched_since(self, began: float) -> float | None:
        """Seconds from `began` to the first answer of another release."""
        return next((moment - began for moment in self.switches if moment >= began), None)

    def _watch(self) -> None:
        http: HTTPConnection | None = None
        while not self._stopping.wait(0.005):
            try:
                http = http or self._connect()
                http.request("GET", "/version", headers={"Host": self._target.host})
                answer = http.getresponse()
                body = answer.read()
                self.asked += 1
                if answer.status != 200:
                    self.failures.append(f"status {answer.status}")
                    continue
                self._note(json.loads(body)["release"])
            except (OSError, HTTPException, ValueError) as error:
                self.failures.append(repr(error))
                http = None

    def _note(self, release: str) -> None:
        if self.release and release != self.release:
            self.switches.append(time.monotonic())
        self.release = release

    def _connect(self) -> HTTPConnection:
        made = HTTPConnection("127.0.0.1", self._target.port, timeout=10)
        made.connect()
        made.sock = unchecked().wrap_socket(made.sock, server_hostname=self._target.host)
        return made


@dataclass
class Held:
    """What became of the sockets."""

    opened: int = 0
    messages: int = 0
    cut: list[str] = field(default_factory=list)
    drained: int = 0


class Sockets:
    """`websockets` echo once a second, `streams` receive events; each is opened anew when it has drained."""

    def __init__(self, target: Target, watcher: Watcher, drain: float, websockets: int = 50, streams: int = 20) -> None:
        self.held = Held()
        self._target = target
        self._watcher = watcher
        self._drain = drain
        self._counts = (websockets, streams)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Sockets:
        self._thread.start()
        if not self._ready.wait(30):
            raise TimeoutError("the sockets could not be opened within 30 s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_until_complete(self._hold())
        self._loop.close()

    async def _hold(self) -> None:
        websockets, streams = self._counts
        tasks = [asyncio.create_task(self._keep("WebSocket", self._websocket)) for _ in range(websockets)]
        tasks += [asyncio.create_task(self._keep("stream", self._stream)) for _ in range(streams)]
        while self.held.opened < len(tasks) and not self._stop.is_set():
            await asyncio.sleep(0.05)
        self._ready.set()
        await self._stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, kind: str, use: Callable[[], Awaitable[str]]) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                why = await use()
            except (OSError, EOFError, TimeoutError, WebSocketException, asyncio.IncompleteReadError) as error:
                why = repr(error)
            self._ended(kind, began, why)
            await asyncio.sleep(0.05)

    def _ended(self, kind: str, began: float, why: str) -> None:
        """A socket may end when its drain deadline has passed: counted from the first switch after it was opened."""
        now = time.monotonic()
        switch = next((moment for moment in self._watcher.switches if moment >= began - SOONER), None)
        if switch is not None and now - switch >= self._drain - SOONER:
            self.held.drained += 1
            return
        after = "before any switch" if switch is None else f"{now - switch:.1f} s after the switch"
        self.held.cut.append(f"{kind} open for {now - began:.1f} s, ended {after}: {why}")

    async def _websocket(self) -> str:
        url = f"wss://{self._target.host}:{self._target.port}/ws"
        async with connect(
            url, host="127.0.0.1", port=self._target.port, ssl=unchecked(), ping_interval=None, proxy=None
        ) as socket:
            self.held.opened += 1
            number = 0
            while True:
                number += 1
                await socket.send(str(number))
                async with asyncio.timeout(10):
                    answer = await socket.recv()
                if answer != str(number):
                    return f"sent {number}, got {answer!r}"
                self.held.messages += 1
                await asyncio.sleep(1)

    async def _stream(self) -> str:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self._target.port, ssl=unchecked(), server_hostname=self._target.host
        )
        try:
            request = f"GET /events HTTP/1.1\r\nHost: {self._target.host}\r\nAccept: text/event-stream\r\n\r\n"
            writer.write(request.encode())
            status = await reader.readline()
            if b" 200 " not in status:
                return f"answered {status!r}"
            self.held.opened += 1
            expected = 0
            while True:
                async with asyncio.timeout(10):
                    line = await reader.readline()
                if not line:
                    return "closed"
                if line.startswith(b"id: "):
                    if int(line[4:]) != expected:
                        return f"event {line!r} where {expected} was due"
                    expected += 1
                    self.held.messages += 1
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
