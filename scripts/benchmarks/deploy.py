"""Deploys and rollbacks of a real application under load; and instances killed under load."""

from __future__ import annotations

import os
import re
import signal
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.background import COLUMNS, Traffic
from benchmarks.command import Golive, Instance, scratch
from benchmarks.machine import require
from benchmarks.result import Bar, Result, Table
from benchmarks.sockets import Sockets, Watcher

APP = Path(__file__).with_name("app")
DRAIN = 30.0
"""Seconds; `release.drain` in app/golive.toml."""
RATE = 2000


@dataclass(frozen=True)
class Timed:
    """`total` is the whole command; `switched` from its start to the first answer of the other release."""

    total: float
    switched: float


def run(count: int = 20) -> Result:
    require("wrk", "h2load")
    result = Result("deploy")
    deploys: list[Timed] = []
    rollbacks: list[Timed] = []
    with scratch(APP) as golive:
        _change(golive, 0)
        golive.up()
        target = golive.status().target()
        with Watcher(target) as watcher, Traffic(target) as traffic, Sockets(target, watcher, DRAIN) as sockets:
            for number in range(1, count + 1):
                _change(golive, number)
                deploys.append(_timed(golive, watcher, golive.up))
                rollbacks.append(_timed(golive, watcher, golive.rollback))
                _say(f"{number} of {count}: deploy {deploys[-1].total:.2f} s, rollback {rollbacks[-1].total:.2f} s")
        held = sockets.held
        _report(result, deploys, rollbacks, traffic, watcher)
    title = "50 WebSockets and 20 event streams"
    table = Table(title, ("opened", "messages", "ended at their drain deadline", "cut before it"))
    table.rows.append((f"{held.opened}", f"{held.messages:,}", f"{held.drained}", f"{len(held.cut)}"))
    table.note = "; ".join(held.cut[:5])
    result.tables.append(table)
    result.bars.append(Bar("sockets cut inside the drain deadline", len(held.cut), 0))
    result.details["cut"] = held.cut
    return result


def _report(result: Result, deploys: list[Timed], rollbacks: list[Timed], traffic: Traffic, watcher: Watcher) -> None:
    times = Table("time, seconds", ("", "whole command p50", "max", "traffic switched p50", "max"))
    for name, timed in (("deploy", deploys), ("rollback", rollbacks)):
        totals, switched = [one.total for one in timed], [one.switched for one in timed]
        values = (statistics.median(totals), max(totals), statistics.median(switched), max(switched))
        times.rows.append((f"{len(timed)} × {name}", *(f"{value:.2f}" for value in values)))
        result.details[name] = [one.__dict__ for one in timed]
    result.tables += [times, _traffic_table(traffic, watcher)]
    result.bars += [
        Bar("requests/s during all of it", traffic.rate, RATE, at_least=True),
        Bar("failed requests", traffic.failed + len(watcher.failures), 0),
        Bar("rollback: traffic on the old release, slowest", max(one.switched for one in rollbacks), 1.0, unit=" s"),
    ]


def _traffic_table(traffic: Traffic, watcher: Watcher) -> Table:
    table = Table(f"{traffic.requests:,} requests, {traffic.rate:,.0f} a second, {traffic.failed} failed", COLUMNS)
    table.rows = traffic.rows()
    watched = "; ".join(sorted(set(watcher.failures)))
    table.rows.append(("GET /version", f"{watcher.asked:,}", f"{len(watcher.failures)}", "", "", watched))
    return table


def _timed(golive: Golive, watcher: Watcher, command: Callable[[], object]) -> Timed:
    began = time.monotonic()
    command()
    deadline = time.monotonic() + 5
    while (switched := watcher.switched_since(began)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError("the command ended, and no answer of another release came within 5 s")
        time.sleep(0.01)
    return Timed(golive.seconds, switched)


def _change(golive: Golive, number: int) -> None:
    file = golive.checkout / "main.py"
    file.write_text(re.sub(r'(?m)^RELEASE = ".*"$', f'RELEASE = "{number}"', file.read_text()))


def run_kill(seconds: float = 30) -> Result:
    """Two instances, one of them killed with -9 every second; only GETs, which a proxy may try again."""
    require("wrk", "h2load")
    result = Result("kill")
    kills = 0
    with scratch(APP) as golive:
        file = golive.checkout / "golive.toml"
        file.write_text(file.read_text().replace("[services.web]\n", "[services.web]\nscale = 2\n"))
        golive.up()
        status = golive.status()
        target = status.target()
        last: Instance | None = None
        with Watcher(target) as watcher, Traffic(target, posts=False) as traffic:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                tick = time.monotonic()
                instances = golive.status().instances
                # In turns: the one that was not killed last, as long as the other is there to answer.
                victims = [one for one in instances if last is None or one.port != last.port] or list(instances)
                if len(instances) >= 2 and victims:
                    last = victims[0]
                    _kill(last.pid)
                    kills += 1
                time.sleep(max(0.0, 1 - (time.monotonic() - tick)))
        result.tables.append(_traffic_table(traffic, watcher))
        result.bars += [
            Bar("requests/s during all of it", traffic.rate, RATE, at_least=True),
            Bar("failed GETs", traffic.failed + len(watcher.failures), 0),
            Bar(f"kills in {seconds:.0f} s", kills, seconds * 0.8, at_least=True),
        ]
    return result


def _kill(pid: int) -> None:
    """The instance's whole group, as the kernel would when memory runs out; not its golive supervisor."""
    with suppress(ProcessLookupError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
