"""Traffic that goes on while something else is done: keep-alive GETs and POSTs over HTTP/1.1, streams over HTTP/2."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType

from benchmarks.load import H2load, Load, Target, Wrk

SEGMENT = 10
"""Seconds of one h2load, which cannot be told to stop; two take turns so that HTTP/2 never pauses."""
LONG = 24 * 3600


@dataclass
class Traffic:
    """Loads by kind. Enter to begin; on leaving all have ended and `loads` says what they counted."""

    target: Target
    posts: bool = True
    loads: dict[str, list[Load]] = field(default_factory=dict)
    seconds: float = 0.0

    def __enter__(self) -> Traffic:
        self._began = time.monotonic()
        self._stopping = threading.Event()
        self._broken: list[BaseException] = []
        self._wrk = {"GET, HTTP/1.1": Wrk(self.target, LONG, connections=40, delay_ms=25)}
        if self.posts:
            self._wrk["POST, HTTP/1.1"] = Wrk(self.target, LONG, connections=10, delay_ms=20, body='{"n":1}' * 20)
        self._threads = [threading.Thread(target=self._repeat, args=(offset,)) for offset in (0.0, SEGMENT / 2)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for name, running in self._wrk.items():
            self.loads.setdefault(name, []).append(running.stop())
        self.seconds = time.monotonic() - self._began
        for thread in self._threads:
            thread.join()
        if self._broken and error is None:
            raise self._broken[0]

    def _repeat(self, offset: float) -> None:
        """A failed generator must not look like traffic without failures."""
        try:
            self._stopping.wait(offset)
            while not self._stopping.is_set():
                done = H2load(self.target, SEGMENT, connections=8, rps=60).finish()
                self.loads.setdefault("GET, HTTP/2", []).append(done)
        except Exception as error:
            self._broken.append(error)

    @property
    def requests(self) -> int:
        return sum(load.requests for load in self._all())

    @property
    def failed(self) -> int:
        return sum(load.failed for load in self._all())

    @property
    def rate(self) -> float:
        """Requests per second of the kinds together, each over the time that it ran."""
        total = 0.0
        for name, loads in self.loads.items():
            requests, seconds = sum(load.requests for load in loads), sum(load.seconds for load in loads)
            turns = 2 if name == "GET, HTTP/2" else 1
            total += turns * requests / seconds if seconds else 0.0
        return total

    def _all(self) -> Iterable[Load]:
        return (load for loads in self.loads.values() for load in loads)

    def rows(self) -> list[tuple[str, ...]]:
        found: list[tuple[str, ...]] = []
        for name, loads in self.loads.items():
            errors = "; ".join(sorted({load.errors for load in loads if load.errors}))
            found.append(
                (
                    name,
                    f"{sum(load.requests for load in loads):,}",
                    f"{sum(load.failed for load in loads)}",
                    f"{max(load.p50_ms for load in loads):.1f}",
                    f"{max(load.p99_ms for load in loads):.1f}",
                    errors,
                )
            )
        return found


COLUMNS = ("traffic", "requests", "failed", "worst p50 ms", "worst p99 ms", "what failed")
