"""Good and bad releases as canaries, under load: which are stopped, having touched how many requests, and who is moved.

What touched whom is read from the edge's access log, and not from what golive says itself.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from benchmarks.command import CommandFailedError, Golive, scratch
from benchmarks.load import Target, Wrk
from benchmarks.machine import require
from benchmarks.result import Bar, Result, Table
from benchmarks.sockets import unchecked
from golive.system.http import Connection, Streams

APP = Path(__file__).with_name("app")
POLICY = """strategy  = "canary"

[release.canary]
steps = ["5%", "25%", "50%"]
every = "6s"
"""
"""The defaults, but for shorter steps: Envoy tells times every five seconds."""
BAD = 0.05
VISITORS = 20


@dataclass(frozen=True)
class Tried:
    """`touched` of `requests` while the release had any; `failed` are 500s of it, and what the edge asked again; `live`
    says how it ended."""

    live: bool
    seconds: float
    requests: int
    touched: int
    failed: int
    said: str = ""

    @property
    def share(self) -> float:
        return self.touched / self.requests if self.requests else 0.0


@dataclass
class Visitors:
    """Keep the cookies they are given. `changes` says when each was answered by another release than before, without
    being given another cookie: that is how a canary begins, with those who come then."""

    target: Target
    changes: list[tuple[float, str, str]] = field(default_factory=list)
    asked: int = 0

    def __enter__(self) -> Visitors:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    async def _all(self) -> None:
        await asyncio.gather(*(self._visit() for _ in range(VISITORS)))

    async def _opened(self) -> Streams:
        target = self.target
        return await asyncio.open_connection("127.0.0.1", target.port, ssl=unchecked(), server_hostname=target.host)

    async def _visit(self) -> None:
        connection, cookie, before = Connection(self._opened, self.target.host), "", ""
        while not self._stopping.is_set():
            answer = await connection.get("/version", (("Cookie", cookie),) if cookie else ())
            given = answer.headers.get("set-cookie", "").partition(";")[0]
            release, cookie = str(json.loads(answer.body)["release"]), given or cookie
            if before and not given and release != before:
                self.changes.append((time.time(), before, release))
            before = release
            self.asked += 1
            await asyncio.sleep(0.2)
        await connection.close()


def run(bad: int = 4, hidden: int = 2, good: int = 2) -> Result:
    require("wrk")
    result = Result("canary")
    tries: list[Tried] = []
    with scratch(APP) as golive:
        file = golive.checkout / "golive.toml"
        file.write_text(file.read_text() + POLICY)
        golive.up()
        target = golive.status().target()
        wrk = Wrk(target, 24 * 3600, connections=20, delay_ms=25)
        try:
            with Visitors(target) as visitors:
                for number in range(1, bad + hidden + good + 1):
                    rate = BAD if number <= bad + hidden else 0.0
                    _change(golive, number, rate, hang_up=bad < number <= bad + hidden)
                    tries.append(_tried(golive, rate))
                    _say(number, rate, tries[-1])
        finally:
            load = wrk.stop()
        moved = _moved(golive, visitors)
    _report(result, (tries[:bad], tries[bad : bad + hidden], tries[bad + hidden :]), visitors, moved)
    result.details["rate"] = load.rate
    return result


def _change(golive: Golive, number: int, errors: float, *, hang_up: bool) -> None:
    file = golive.checkout / "main.py"
    text = re.sub(r'(?m)^RELEASE = ".*"$', f'RELEASE = "{number}"', file.read_text())
    text = re.sub(r"(?m)^HANG_UP = .*$", f"HANG_UP = {hang_up}", text)
    file.write_text(re.sub(r"(?m)^ERRORS = .*$", f"ERRORS = {errors}", text))


def _tried(golive: Golive, errors: float) -> Tried:
    began = time.time()
    said = ""
    try:
        golive.run("up", str(golive.checkout))
    except CommandFailedError as failure:
        said = str(failure)
        if not errors:
            raise
    time.sleep(2.5)  # Envoy writes its log every second
    return _counted(golive, began, said)


def _counted(golive: Golive, began: float, said: str) -> Tried:
    """From the first request that the newest generation answered to its last, or to when it had everything."""
    log = golive.home / "edge" / "access.log"
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(began))
    lines = [line for line in lines if line["time"] >= since and "/d" in line.get("generation", "")]
    newest = max(int(line["generation"].rpartition("/d")[2]) for line in lines)
    mine = [at for at, line in enumerate(lines) if line["generation"].endswith(f"/d{newest}")]
    others = [at for at, line in enumerate(lines) if not line["generation"].endswith(f"/d{newest}")]
    end = mine[-1] if said else others[-1]
    while_tried = lines[mine[0] : end + 1]
    touched = [line for line in while_tried if line["generation"].endswith(f"/d{newest}")]
    failed = sum(line["status"] >= 500 or line.get("attempts", 1) > 1 for line in touched)
    return Tried(not said, golive.seconds, len(while_tried), len(touched), failed, said)


def _moved(golive: Golive, visitors: Visitors) -> int:
    """Changes other than to a release that had become live, or away from one that had been stopped."""
    import sqlite3

    with sqlite3.connect(f"file:{golive.home / 'state.db'}?mode=ro", uri=True) as db:
        ends = db.execute("SELECT name, started_at, ended_at FROM step WHERE name IN ('canary', 'shift')").fetchall()
    moments = [at for name, start, end in ends for at in ((start,) if name == "shift" else (end,))]
    return sum(not any(0 <= at - moment < 2 for moment in moments) for at, _, _ in visitors.changes)


def _report(result: Result, kinds: tuple[list[Tried], ...], visitors: Visitors, moved: int) -> None:
    visible, hidden, good = kinds
    bad = [*visible, *hidden]
    columns = ("release", "ended", "after s", "requests meanwhile", "touched", "share", "failed in it")
    table = Table("canaries of 5, 25 and 50 %", columns)
    names = (f"{BAD:.0%} errors", f"{BAD:.0%} cut off, hidden by the edge", "as good as before")
    for name, tries in zip(names, kinds, strict=True):
        for one in tries:
            ended = "live" if one.live else "stopped"
            numbers = (
                f"{one.seconds:.1f}",
                f"{one.requests:,}",
                f"{one.touched:,}",
                f"{one.share:.1%}",
                f"{one.failed}",
            )
            table.rows.append((name, ended, *numbers))
    table.note = f"{VISITORS} visitors with cookies asked {visitors.asked:,} times"
    result.tables.append(table)
    result.bars += [
        Bar("bad releases that became live", sum(one.live for one in bad), 0),
        Bar("requests that a bad release touched, at most", max(one.share for one in bad) * 100, 10, unit=" %"),
        Bar("good releases that became live", sum(one.live for one in good), len(good), at_least=True),
        Bar("failed requests of good releases", sum(one.failed for one in good), 0),
        Bar("visitors moved while their release was up", moved, 0),
    ]
    result.details["tries"] = [{**one.__dict__, "share": one.share} for one in (*bad, *good)]


def _say(number: int, errors: float, one: Tried) -> None:
    kind, ended = f"{errors:.0%} errors", "live" if one.live else "stopped"
    print(
        f"  {number}, {kind}: {ended} after {one.seconds:.1f} s, {one.share:.1%} touched", file=sys.stderr, flush=True
    )
