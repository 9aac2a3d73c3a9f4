"""gRPC, gRPC-web and REST of one service through the TLS edge, while it is deployed and rolled back."""

from __future__ import annotations

import re
import statistics
import sys
import time
from pathlib import Path

from benchmarks.calls import Calls, Kind, Site
from benchmarks.command import Golive, scratch
from benchmarks.result import Bar, Result, Table

DATIFYY = Path(__file__).parents[2] / "examples/datifyy"
CALLS = 10_000
STREAMS = 10
DRAIN = 5
"""Seconds, in place of the example's 20, so that draining ends while it is watched."""
PATIENCE = 60.0
"""Seconds, at most, for what is missing when the deploys are done."""


def run(deploys: int = 3) -> Result:
    result = Result("grpc")
    with scratch(DATIFYY) as golive:
        file = golive.checkout / "golive.toml"
        file.write_text(re.sub(r'(?m)^drain = ".*"', f'drain = "{DRAIN}s"', file.read_text()))
        golive.up()
        site = Site(golive.status().target(), golive.home / "ca/root.crt")
        site.sign_in()
        with Calls(site, streams=STREAMS) as calls:
            for number in range(1, deploys + 1):
                _change(golive, number)
                golive.up()
                _say(f"deploy {number} of {deploys}: {golive.seconds:.1f} s, {calls.total:,} calls so far")
            golive.rollback()
            _say(f"rollback: {golive.seconds:.1f} s")
            deadline = time.monotonic() + PATIENCE
            while (calls.grpc < CALLS or calls.drained < STREAMS) and time.monotonic() < deadline:
                time.sleep(0.1)
    result.tables += [_calls(calls, deploys), _held(calls)]
    result.bars += [
        Bar("calls of gRPC and gRPC-web", calls.grpc, CALLS, at_least=True),
        Bar("failed calls, REST too", calls.failed, 0),
        Bar("streams ended by draining", calls.drained, STREAMS, at_least=True),
        Bar("streams cut", calls.held.failed, 0),
    ]
    return result


def _calls(calls: Calls, deploys: int) -> Table:
    title = f"{calls.total:,} calls during {deploys} deploys and a rollback, {calls.failed} failed"
    table = Table(title, ("kind", "calls", "failed", "p50 ms", "p99 ms", "what failed"))
    for kind in calls.kinds.values():
        times = sorted(kind.times) or [0.0]
        p50, p99 = statistics.median(times) * 1e3, times[int(len(times) * 0.99)] * 1e3
        table.rows.append((kind.name, f"{kind.calls:,}", f"{kind.failed}", f"{p50:.1f}", f"{p99:.1f}", _why(kind)))
    table.note = "The interface has no bidirectional call."
    return table


def _held(calls: Calls) -> Table:
    table = Table(
        "gRPC streams held open", ("opened", "ended with `restarting` and OK", "open at the end", "cut", "how")
    )
    held = calls.held
    still = held.calls - calls.drained - held.failed
    table.rows.append((f"{held.calls}", f"{calls.drained}", f"{still}", f"{held.failed}", _why(held)))
    return table


def _why(kind: Kind) -> str:
    return "; ".join(f"{count} × {what}" for what, count in kind.failures.most_common(4))


def _change(golive: Golive, number: int) -> None:
    file = golive.checkout / "apps/backend/internal/rest/rest.go"
    text = re.sub(r'"redis": "ok"(, "line": "\d+")?', f'"redis": "ok", "line": "{number}"', file.read_text(), count=1)
    file.write_text(text)


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
