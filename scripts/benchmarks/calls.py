"""Calls to the example Datifyy through the edge: gRPC, unary and streaming, gRPC-web and REST, every failure counted.

The messages of its two calls have one field each and are written by hand: `match.proto` beside them says which.
"""

from __future__ import annotations

import json
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc  # type: ignore[import-untyped]

from benchmarks.load import Target

SERVICE = "/datifyy.v1.MatchService"
LIST = b"\x08\x14"  # ListMatchesRequest{limit: 20}
FOLLOW = b"\x08\x01"  # WatchMatchesRequest{follow: true}
MATCH, CAUGHT_UP, STILL_THERE, RESTARTING = 0x0A, 0x12, 0x1A, 0x22
"""First byte of a WatchMatchesResponse: which event it is."""


class WrongAnswerError(Exception):
    """An answer came, and it is not the one that is due."""


@dataclass
class Kind:
    """One sort of call: how often it was made, how long it took, and what became of those that failed."""

    name: str
    calls: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return self.failures.total()


class Site:
    """Where Datifyy answers, with the authority to trust and, once `sign_in` was called, a session to call with."""

    def __init__(self, target: Target, authority: Path) -> None:
        self.target = target
        self._authority = authority
        self.token = ""

    def sign_in(self) -> None:
        """Two people who like each other: one of them is who calls, and has one match."""
        ana, bo = self._person("ana"), self._person("bo")
        for who, other in ((ana, bo), (bo, ana)):
            self.rest("PUT", f"/api/v1/likes/{other['user']}", who["token"])
        self.token = ana["token"]

    def _person(self, name: str) -> dict[str, str]:
        account = {"email": f"{name}-{time.time_ns()}@example.com", "password": "correct horse battery"}
        self.rest("POST", "/api/v1/users", "", {**account, "name": name})
        found: dict[str, str] = self.rest("POST", "/api/v1/sessions", "", account)
        return found

    def rest(self, method: str, path: str, token: str, body: object = None) -> Any:
        http = self.connect()
        try:
            headers = {"Host": self.target.host, "Content-Type": "application/json"}
            if token:
                headers["Authorization"] = f"Bearer {token}"
            http.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = http.getresponse()
            text = answer.read()
        finally:
            http.close()
        if answer.status // 100 != 2:
            raise WrongAnswerError(f"{method} {path} answered {answer.status}: {text[:200]!r}")
        return json.loads(text) if text else None

    def connect(self) -> HTTPConnection:
        """HTTP/1.1 over TLS, kept open."""
        context = ssl.create_default_context(cafile=str(self._authority))
        made = HTTPConnection("127.0.0.1", self.target.port, timeout=20)
        made.connect()
        made.sock = context.wrap_socket(made.sock, server_hostname=self.target.host)
        return made

    def channel(self) -> Any:
        """A connection of its own for gRPC: channels of equal settings would share one."""
        options = [
            ("grpc.ssl_target_name_override", self.target.host),
            ("grpc.default_authority", f"{self.target.host}:{self.target.port}"),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0),  # a failure must be seen
        ]
        trust = grpc.ssl_channel_credentials(self._authority.read_bytes())
        return grpc.secure_channel(f"ipv4:127.0.0.1:{self.target.port}", trust, options)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"),)


class Calls:
    """Callers in the background. Enter to begin; on leaving all have ended and `kinds` says what came of it."""

    def __init__(self, site: Site, *, unary: int = 8, streams: int = 10, pause: float = 0.01) -> None:
        self.site = site
        self.kinds = {
            name: Kind(name) for name in ("gRPC, unary", "gRPC, server stream", "gRPC-web, unary", "REST, GET")
        }
        self.held = Kind("gRPC, stream held open")
        self.drained = 0
        self._pause = pause
        self._stopping = threading.Event()
        self._ending: list[Any] = []
        callers = [(self._unary, unary), (self._short_stream, 2), (self._web, 2), (self._rest, 2)]
        self._threads = [threading.Thread(target=call, daemon=True) for call, count in callers for _ in range(count)]
        self._threads += [threading.Thread(target=self._hold, daemon=True) for _ in range(streams)]

    def __enter__(self) -> Calls:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for call in self._ending:
            call.cancel()
        for thread in self._threads:
            thread.join(30)

    @property
    def total(self) -> int:
        return sum(kind.calls for kind in self.kinds.values())

    @property
    def grpc(self) -> int:
        """Of those, the ones that are not REST."""
        return sum(kind.calls for name, kind in self.kinds.items() if "gRPC" in name)

    @property
    def failed(self) -> int:
        return sum(kind.failed for kind in self.kinds.values())

    def _unary(self) -> None:
        with self.site.channel() as channel:
            call = channel.unary_unary(f"{SERVICE}/ListMatches")

            def once() -> None:
                answer = call(LIST, metadata=self.site.metadata, timeout=20)
                if answer[:1] != b"\x0a":
                    raise WrongAnswerError("the match is missing")

            self._repeat(self.kinds["gRPC, unary"], once)

    def _short_stream(self) -> None:
        with self.site.channel() as channel:
            call = channel.unary_stream(f"{SERVICE}/WatchMatches")

            def once() -> None:
                events = [event[0] for event in call(b"", metadata=self.site.metadata, timeout=20)]
                if events != [MATCH, CAUGHT_UP]:
                    raise WrongAnswerError(f"events {events}")

            self._repeat(self.kinds["gRPC, server stream"], once)

    def _web(self) -> None:
        headers = {
            "Host": self.site.target.host,
            "Authorization": f"Bearer {self.site.token}",
            "Content-Type": "application/grpc-web+proto",
            "X-Grpc-Web": "1",
        }
        body = struct.pack(">BI", 0, len(LIST)) + LIST
        self._over_http("gRPC-web, unary", "POST", f"{SERVICE}/ListMatches", headers, body, web_answer)

    def _rest(self) -> None:
        def check(body: bytes) -> None:
            if not json.loads(body)["interests"]:
                raise WrongAnswerError("no interests")

        self._over_http("REST, GET", "GET", "/api/v1/interests", {"Host": self.site.target.host}, b"", check)

    def _over_http(
        self, name: str, method: str, path: str, headers: dict[str, str], body: bytes, check: Callable[[bytes], None]
    ) -> None:
        http: list[HTTPConnection] = []

        def once() -> None:
            if not http:
                http.append(self.site.connect())
            try:
                http[0].request(method, path, body or None, headers)
                answer = http[0].getresponse()
                content = answer.read()
            except (OSError, HTTPException):
                http.pop().close()
                raise
            if answer.status != 200:
                raise WrongAnswerError(f"status {answer.status}")
            check(content)
            if answer.will_close:  # an announced end is none of a failure
                http.pop().close()

        self._repeat(self.kinds[name], once)
        for left in http:
            left.close()

    def _repeat(self, kind: Kind, once: Callable[[], None]) -> None:
        while not self._stopping.wait(self._pause):
            began = time.monotonic()
            try:
                once()
            except grpc.RpcError as error:
                kind.failures[f"{error.code().name}: {error.details()}"] += 1
            except (OSError, HTTPException, WrongAnswerError, ValueError) as error:
                kind.failures[f"{type(error).__name__}: {error}"] += 1
            kind.calls += 1
            kind.times.append(time.monotonic() - began)

    def _hold(self) -> None:
        """A stream that follows. It may end in one way only: the server says `restarting`, and the status is OK."""
        with self.site.channel() as channel:
            call = channel.unary_stream(f"{SERVICE}/WatchMatches")
            while not self._stopping.wait(self._pause):
                began, last = time.monotonic(), 0
                events = call(FOLLOW, metadata=self.site.metadata)
                self._ending.append(events)
                self.held.calls += 1
                why = "ended with OK, without a word"
                try:
                    for event in events:
                        last = event[0]
                except grpc.RpcError as error:
                    why = f"{error.code().name}: {error.details()}"
                with suppress(ValueError):
                    self._ending.remove(events)
                if last == RESTARTING and events.code() is grpc.StatusCode.OK:
                    self.drained += 1
                elif not self._stopping.is_set():
                    self.held.failures[f"{why}, after {time.monotonic() - began:.1f} s"] += 1


def web_answer(body: bytes) -> None:
    """Frames of an answer in gRPC-web: a message with a match in it, then trailers with status 0. Pure."""
    frames: list[tuple[int, bytes]] = []
    while body:
        flag, length = struct.unpack(">BI", body[:5])
        frames.append((flag, body[5 : 5 + length]))
        body = body[5 + length :]
    trailers = frames[-1][1].decode() if frames and frames[-1][0] & 0x80 else ""
    fields = dict(line.split(":", 1) for line in trailers.splitlines() if ":" in line)
    status = fields.get("grpc-status", "missing").strip()
    if status != "0":
        raise WrongAnswerError(f"grpc-status {status}: {fields.get('grpc-message', '').strip()}")
    if frames[0][0] != 0 or frames[0][1][:1] != b"\x0a":
        raise WrongAnswerError("the match is missing")
