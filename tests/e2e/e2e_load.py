"""Users who go on asking while golive works: requests, WebSockets and event streams, in a thread of their own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import httpx
import websockets
from e2e_harness import App, until


@dataclass
class Load:
    """`with Load(app, "/") as load: …; load.unharmed()`.

    `users` keep-alive connections each ask for `paths` in turn, every `pause` seconds; half of them speak HTTP/2 when
    `http2`. What is no 2xx has failed. `apart`: each comes from an address of its own, as a limit for one counts them.
    """

    app: App
    paths: tuple[str, ...] = ("/",)
    users: int = 4
    http2: bool = False
    method: str = "GET"
    pause: float = 0.03
    apart: bool = False
    requests: int = 0
    slowest: float = 0.0
    failures: list[str] = field(default_factory=list)
    seen: dict[str, float] = field(default_factory=dict)
    """Version → when it answered first."""

    def __enter__(self) -> Load:
        self._stop = threading.Event()
        users = [lambda n=n: self._user(n) for n in range(self.users)]  # type: ignore[misc]
        self._thread = _Thread(users)
        until("the load's first answers", lambda: self.requests >= self.users or self.failures)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    async def _user(self, number: int) -> None:
        http2 = self.http2 and number % 2 == 0
        app = self.app
        transport = httpx.AsyncHTTPTransport(
            verify=app.golive.tls(),
            http2=http2,
            http1=not http2,
            local_address=f"127.0.1.{number + 1}" if self.apart else None,
        )
        client = httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{app.golive.https_port}",
            headers={"host": app.domain},
            transport=transport,
            timeout=30,
        )
        async with client:
            for turn in itertools.count(number):
                if self._stop.is_set():
                    return
                await self._ask(client, self.paths[turn % len(self.paths)])
                await asyncio.sleep(self.pause)

    async def _ask(self, client: httpx.AsyncClient, path: str) -> None:
        began = time.monotonic()
        body = b"x" * 200 if self.method == "POST" else None
        try:
            extensions = {"sni_hostname": self.app.domain}
            answer = await client.request(self.method, path, content=body, extensions=extensions)
            if not answer.is_success:
                self.failures.append(f"{self.method} {path}: {answer.status_code} {answer.text[:200]}")
            elif answer.text.startswith("{"):
                self.seen.setdefault(str(answer.json().get("version")), time.monotonic())
        except httpx.HTTPError as error:
            self.failures.append(f"{self.method} {path}: {type(error).__name__} {error}")
        self.requests += 1
        self.slowest = max(self.slowest, time.monotonic() - began)

    def more(self, count: int = 20) -> None:
        """Wait for that many further answers: what just happened has been under load."""
        target = self.requests + count
        until(f"{count} more answers", lambda: self.requests >= target)

    def unharmed(self) -> None:
        assert not self.failures, f"{len(self.failures)} of {self.requests} failed: {self.failures[:5]}"
        assert self.requests > 20, f"only {self.requests} requests were sent"


@dataclass
class Streams:
    """Open WebSockets and event streams. `cut` says which ended without being closed properly, and when all ended."""

    app: App
    sockets: int = 5
    streams: int = 5
    prefix: str = ""
    opened: int = 0
    closed: list[tuple[float, str]] = field(default_factory=list)
    cut: list[tuple[float, str]] = field(default_factory=list)
    beats: dict[str, float] = field(default_factory=dict)

    def __enter__(self) -> Streams:
        self._stop = threading.Event()
        work = [lambda n=n: self._socket(n) for n in range(self.sockets)]  # type: ignore[misc]
        work += [lambda n=n: self._stream(n) for n in range(self.streams)]  # type: ignore[misc]
        self._thread = _Thread(work)
        until("every stream to open", lambda: self.opened == self.sockets + self.streams or self.cut)
        assert not self.cut
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def ended(self) -> int:
        return len(self.closed) + len(self.cut)

    def all_alive(self) -> None:
        """Each of them hears from its instance again from now on."""
        now = time.monotonic()
        everyone = self.sockets + self.streams
        until(
            "every stream to be heard again",
            lambda: self.ended or sum(beat > now for beat in self.beats.values()) == everyone,
        )
        assert not self.ended, (self.closed, self.cut)

    async def _socket(self, number: int) -> None:
        name, app = f"socket {number}", self.app
        try:
            connection = await websockets.connect(
                f"wss://{app.domain}:{app.golive.https_port}{self.prefix}/ws",
                host="127.0.0.1",
                ssl=app.golive.tls(),
                server_hostname=app.domain,
                proxy=None,
                close_timeout=2,
            )
        except (OSError, websockets.WebSocketException) as error:
            self.cut.append((time.monotonic(), f"{name}: {error}"))
            return
        async with connection:
            json.loads(await connection.recv())
            self.opened += 1
            try:
                while not self._stop.is_set():
                    await connection.send("beat")
                    assert await asyncio.wait_for(connection.recv(), 10) == "beat"
                    self.beats[name] = time.monotonic()
                    await asyncio.sleep(0.1)
            except websockets.ConnectionClosed as end:
                proper = end.rcvd is not None
                (self.closed if proper else self.cut).append((time.monotonic(), f"{name}: {end}"))

    async def _stream(self, number: int) -> None:
        name, app = f"stream {number}", self.app
        client = httpx.AsyncClient(verify=app.golive.tls(), timeout=10, http2=number % 2 == 0)
        url = f"https://127.0.0.1:{app.golive.https_port}{self.prefix}/sse"
        extensions = {"sni_hostname": app.domain}
        said = ""
        try:
            async with client, client.stream("GET", url, headers={"host": app.domain}, extensions=extensions) as answer:
                assert answer.status_code == 200
                self.opened += 1
                async for line in answer.aiter_lines():
                    said = line or said
                    self.beats[name] = time.monotonic()
                    if self._stop.is_set():
                        return
            (self.closed if said == "data: bye" else self.cut).append((time.monotonic(), f"{name}: ended at {said!r}"))
        except httpx.HTTPError as error:
            self.cut.append((time.monotonic(), f"{name}: {type(error).__name__} {error}"))


class _Thread:
    """An event loop of its own for coroutines, so that a test may block in a command meanwhile."""

    def __init__(self, work: list[Any]) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            asyncio.run(self._all([make() for make in self._work]))
        except BaseException as error:
            self._error = error

    @staticmethod
    async def _all(work: list[Coroutine[Any, Any, None]]) -> None:
        async with asyncio.TaskGroup() as group:
            for coroutine in work:
                group.create_task(coroutine)

    def join(self) -> None:
        self._thread.join(40)
        with contextlib.suppress(RuntimeError):
            assert not self._thread.is_alive(), "the load did not end"
        if self._error:
            raise self._error
