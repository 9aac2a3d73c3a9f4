"""Load from wrk (HTTP/1.1) and h2load (HTTP/2), over TLS, with every failure counted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

LUA = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Load:
    """`failed` counts answers outside 2xx and 3xx, connections that could not be made or broke, and time-outs."""

    requests: int
    seconds: float
    failed: int
    p50_ms: float
    p99_ms: float
    errors: str = ""

    @property
    def rate(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Target:
    """An HTTPS server on loopback; `host` is what TLS and HTTP call it, `headers` go with each request."""

    host: str
    port: int
    path: str = "/"
    accept_encoding: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.port}{self.path}"

    def options(self) -> list[str]:
        """The headers, as wrk and h2load take them."""
        asked = (("accept-encoding", self.accept_encoding),) if self.accept_encoding else ()
        return [word for name, value in (*asked, *self.headers) for word in ("-H", f"{name}: {value}")]


class Wrk:
    """wrk in the background. `delay_ms` between an answer and the next request of a connection makes the rate known."""

    def __init__(
        self, target: Target, seconds: float, *, connections: int = 64, delay_ms: int = 0, body: str = ""
    ) -> None:
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
        command += target.options()
        settings = {
            "BENCH_PORT": str(target.port),
            "BENCH_DELAY_MS": str(delay_ms),
            "BENCH_METHOD": "POST" if body else "GET",
            "BENCH_BODY": body,
        }
        self._process = subprocess.Popen(
            [*command, "-s", str(LUA), target.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **settings},
        )

    def stop(self) -> Load:
        """Ends it early; what it counted until then is its result."""
        self._process.send_signal(signal.SIGINT)
        return self.finish()

    def finish(self) -> Load:
        output, _ = self._process.communicate()
        match = re.search(r"^BENCH (\{.*\})$", output, re.MULTILINE)
        if match is None:
            raise RuntimeError(f"wrk gave no result:\n{output}")
        return parse_wrk(json.loads(match[1]))


def parse_wrk(counted: dict[str, float]) -> Load:
    kinds = ("connect", "read", "write", "status", "timeout")
    return Load(
        requests=int(counted["requests"]),
        seconds=counted["seconds"],
        failed=int(sum(counted[kind] for kind in kinds)),
        p50_ms=counted["p50_ms"],
        p99_ms=counted["p99_ms"],
        errors=", ".join(f"{kind} {counted[kind]:.0f}" for kind in kinds if counted[kind]),
    )


def wrk(target: Target, seconds: float, connections: int = 64) -> Load:
    return Wrk(target, seconds, connections=connections).finish()


class H2load:
    """h2load in the background: `connections` with up to `streams` requests at once each, `rps` per connection."""

    def __init__(
        self, target: Target, seconds: float, *, connections: int = 16, streams: int = 10, rps: int = 0
    ) -> None:
        handle, name = tempfile.mkstemp(prefix="golive-h2load-")
        os.close(handle)
        self._log = Path(name)
        self._seconds = max(1, round(seconds))
        command = ["h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{self._seconds}"]
        command += [f"--connect-to=127.0.0.1:{target.port}", f"--log-file={name}"]
        if rps:
            command.append(f"--rps={rps}")
        command += target.options()
        self._process = subprocess.Popen(
            [*command, target.url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def finish(self) -> Load:
        output, _ = self._process.communicate()
        try:
            rows = [line.split("\t") for line in self._log.read_text().splitlines()]
        finally:
            self._log.unlink(missing_ok=True)
        return parse_h2load(output, [(int(row[1]), int(row[2])) for row in rows if len(row) >= 3], self._seconds)


def parse_h2load(output: str, answers: list[tuple[int, int]], seconds: float) -> Load:
    """`answers`: status (-1 for a failed stream) and microseconds, one for each request."""
    counts = re.search(
        r"requests: (\d+) total, \d+ started, (\d+) done, \d+ succeeded, (\d+) failed, (\d+) errored, (\d+) timeout",
        output,
    )
    statuses = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output)
    if counts is None or statuses is None:
        raise RuntimeError(f"h2load gave no result:\n{output}")
    refused = int(statuses[3]) + int(statuses[4])
    # `failed` already holds the errored and timed-out ones and the answers with a bad status.
    failed = max(int(counts[3]), int(counts[4]) + int(counts[5]) + refused)
    times = sorted(micros for status, micros in answers if status >= 0)
    return Load(
        requests=int(counts[2]),
        seconds=seconds,
        failed=failed,
        p50_ms=_percentile(times, 0.50) / 1000,
        p99_ms=_percentile(times, 0.99) / 1000,
        errors=f"failed {counts[3]}, errored {counts[4]}, timeout {counts[5]}, bad status {refused}" if failed else "",
    )


def _percentile(ordered: list[int], share: float) -> float:
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * share))]) if ordered else 0.0


def h2load(target: Target, seconds: float, connections: int = 16, streams: int = 10) -> Load:
    return H2load(target, seconds, connections=connections, streams=streams).finish()
