"""Branches of a database that is written to meanwhile: their time and their room where files are cloned, and their time
elsewhere beside what people do by hand.

Each is made by `golive db branch create`, timed from its start to its end, and must have every row that was
acknowledged before it.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from benchmarks import loop
from benchmarks.backup import GB, SCALE
from benchmarks.command import CommandFailedError, Golive, scratch
from benchmarks.ledger import TABLE, Ledger
from benchmarks.result import Bar, Result, Table
from golive.backup.server import connect
from golive.data.postgres_plan import SUPERUSER
from golive.engines import Engines
from golive.home import Home
from golive.system import extents
from golive.units import human_size

APP = Path(__file__).with_name("app")
PLACE = ("bench", "production", "db")
LABEL = "try"
WRITERS = 2
PAUSE = 2.0
"""Seconds of writing between two rounds."""
CLONED, COPIED, HAND = "branch, files cloned (XFS)", "branch, files copied ({})", "pg_dump | psql ({})"


@dataclass
class Measured:
    seconds: list[float] = field(default_factory=list)
    stalls: list[float] = field(default_factory=list)
    """The longest wait of a writer in each."""
    rates: list[float] = field(default_factory=list)
    """Rows acknowledged a second in each."""
    shares: list[float] = field(default_factory=list)
    """Of a branch's size, what it has on the disk for itself; in percent."""


class Bench:
    """An app with a database of that size, in a home of its own."""

    def __init__(self, golive: Golive, gigabytes: float) -> None:
        self.golive = golive
        with (golive.checkout / "golive.toml").open("a") as file:
            file.write('\n[resources]\ndb = "postgres"\n')
        golive.up()
        self.url = psutil.Process(golive.status().instances[0].pid).environ()["DATABASE_URL"]
        self.engine = asyncio.run(Engines(Home(golive.home)).find("postgres"))
        self.scale = max(1, round(gigabytes * GB / SCALE))
        self.size = self._fill()
        self.missing = 0
        self.ledger = Ledger(self.url, statement=_write_of(self.scale))

    def _fill(self) -> int:
        subprocess.run([self.program("pgbench"), "-i", "-q", "-s", str(self.scale), self.url], check=True, **_QUIET)
        with psycopg.connect(self.url, autocommit=True) as db:
            db.execute("VACUUM ANALYZE")
            db.execute(TABLE)
            found = db.execute("SELECT pg_database_size(current_database())").fetchone()
        self.checkpoint()
        assert found
        return int(found[0])

    def program(self, name: str) -> str:
        return str(self.engine.program(name))

    def superuser(self, statement: str) -> None:
        lines = (Home(self.golive.home).resource(*PLACE) / "data/postmaster.pid").read_text().splitlines()
        with connect(Path(lines[4]), int(lines[3]), SUPERUSER, "postgres") as session:
            session.execute(statement)

    def checkpoint(self) -> None:
        self.superuser("CHECKPOINT")
        os.sync()

    def settled(self) -> None:
        """What was written or deleted before is no longer under way; some more is written."""
        self.checkpoint()
        time.sleep(PAUSE)

    def branch(self) -> dict[str, Any]:
        """As JSON, with its URL."""
        words = ("db", "branch", "create", LABEL, "--json", "-C", str(self.golive.checkout))
        made: dict[str, Any] = json.loads(self.golive.run(*words))
        return made

    def drop(self) -> None:
        self.golive.run("db", "branch", "drop", LABEL, "-C", str(self.golive.checkout))

    def branched(self, into: Measured) -> None:
        """One branch, measured; what it lacks of what had been acknowledged before is counted in `missing`."""
        promised, made = self.ledger.counts(), {}

        def make() -> float:
            made.update(self.branch())
            return self.golive.seconds

        self.measure(into, make)
        into.shares.append(100 * made["disk"] / made["size"])
        with psycopg.connect(made["url"]) as db:
            for writer, count in promised.items():
                row = db.execute("SELECT count(*) FROM kept WHERE writer = %s AND n <= %s", (writer, count)).fetchone()
                self.missing += count - int(row[0] if row else 0)
        self.drop()

    def by_hand(self) -> float:
        """Into another database of the same server, made for it."""
        self.superuser("CREATE DATABASE again OWNER bench TEMPLATE template0")
        url = self.url.rpartition("/")[0] + "/again"
        dump = [self.program("pg_dump"), "--no-owner", "--no-privileges", "--no-comments", "--schema=public", self.url]
        began = time.perf_counter()
        with subprocess.Popen(dump, stdout=subprocess.PIPE) as one:
            done = subprocess.run([self.program("psql"), "-X", "-q", url], stdin=one.stdout, check=False, **_QUIET)
        took = time.perf_counter() - began
        if one.returncode or done.returncode:
            raise CommandFailedError(f"pg_dump | psql ended with {one.returncode}, {done.returncode}")
        with psycopg.connect(url) as db:
            found = db.execute("SELECT count(*) FROM pgbench_accounts").fetchone()
        if found != (self.scale * 100_000,):
            raise CommandFailedError(f"pg_dump | psql brought {found} of {self.scale * 100_000} accounts")
        self.superuser("DROP DATABASE again")
        return took

    def measure(self, into: Measured, way: Callable[[], float]) -> None:
        """With what the writers saw meanwhile."""
        before, began = sum(self.ledger.counts().values()), time.monotonic()
        into.seconds.append(way())
        ended = time.monotonic()
        into.stalls.append(self.ledger.longest_wait(began, ended))
        into.rates.append((sum(self.ledger.counts().values()) - before) / (ended - began))

    def idle(self, into: Measured) -> None:
        """The writers by themselves."""

        def wait() -> float:
            time.sleep(PAUSE)
            return PAUSE

        self.measure(into, wait)


_QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def _write_of(scale: int) -> str:
    """One commit: a row that is counted, and an account anywhere in the database changed."""
    anywhere = f"(SELECT 1 + (random() * {scale * 100_000 - 1})::int)"
    changed = f"UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = {anywhere}"
    return f"WITH changed AS ({changed}) INSERT INTO kept VALUES (%s, %s, repeat('x', 100))"


def run(gigabytes: float = 1.5, rounds: int = 3) -> Result:
    result = Result("branch")
    table = Table("", ("", "median", "slowest", "own disk", "writes/s meanwhile", "longest wait of a writer"))
    result.tables.append(table)
    try:
        with loop.xfs(int(gigabytes * 2.5 * GB) + 3 * GB) as folder, scratch(APP, folder) as golive:
            _where_cloned(result, Bench(golive, gigabytes), folder, rounds * 3)
    except loop.NotAllowedError as error:
        table.note = f"not measured where files are cloned: {error}"
    with scratch(APP) as golive:
        _elsewhere(result, Bench(golive, gigabytes), rounds)
    return result


def _where_cloned(result: Result, bench: Bench, folder: Path, rounds: int) -> None:
    made, alone = Measured(), Measured()
    with bench.ledger.writing(WRITERS):
        for number in range(rounds):
            bench.idle(alone)
            bench.branched(made)
            _say(f"branch {number + 1} of {rounds}: {made.seconds[-1]:.2f} s, {made.shares[-1]:.2f} % for itself")
    freed = [_freed(bench, folder) for _ in range(3)]
    result.tables[0].title = f"{human_size(bench.size)} by pgbench, {WRITERS} writers that commit without pause"
    result.tables[0].rows += [_row("writers alone (XFS)", alone), _row(CLONED, made)]
    result.bars += [
        Bar("GB in the database", bench.size / GB, _whole(bench), at_least=True),
        Bar("a branch where files are cloned, median", statistics.median(made.seconds), 1, unit=" s"),
        Bar("the most that one has on the disk for itself", max(made.shares), 1, unit=" %"),
        Bar("room that is free again when it is dropped, as df says, median", statistics.median(freed), 1, unit=" %"),
        Bar("acknowledged rows that a branch lacks", bench.missing, 0),
    ]
    result.details["cloned"] = made.__dict__ | {"size": bench.size, "df_percent": freed}
    result.details["writers alone"] = alone.__dict__


def _freed(bench: Bench, folder: Path) -> float:
    """Of a branch's size what is free again when it is dropped, as the filesystem counts; in percent. No row is written
    meanwhile, and what others have there (the source's WAL comes and goes by 16 MB) is counted on its own."""
    bench.checkpoint()
    made = bench.branch()
    copy = Home(bench.golive.home).resource(*PLACE[:2], made["name"])
    before, others = loop.used(folder), extents.sizes(folder)[0] - extents.sizes(copy)[0]
    bench.drop()
    freed = before - loop.used(folder) - (others - extents.sizes(folder)[0])
    return 100 * freed / int(made["size"])


def _whole(bench: Bench) -> float:
    return bench.scale * SCALE / GB


def _elsewhere(result: Result, bench: Bench, rounds: int) -> None:
    made, hand = Measured(), Measured()
    ratios: list[float] = []
    """Of two that were measured one after the other: what else the machine does is in both."""
    ways: tuple[Callable[[], None], ...] = (
        lambda: bench.branched(made),
        lambda: bench.measure(hand, bench.by_hand),
    )
    kind = _filesystem(bench.golive.home)
    with bench.ledger.writing(WRITERS):
        for number in range(rounds):
            for way in ways[:: -1 if number % 2 else 1]:  # what one leaves behind meets each as often
                bench.settled()
                way()
            ratios.append(hand.seconds[-1] / made.seconds[-1])
            seen = f"branch {made.seconds[-1]:.2f} s, by hand {hand.seconds[-1]:.1f} s, {ratios[-1]:.1f} times"
            _say(f"round {number + 1} of {rounds}: {seen}")
    result.tables[0].rows += [_row(COPIED.format(kind), made), _row(HAND.format(kind), hand)]
    result.bars += [
        Bar(
            "a branch where files are copied: faster than pg_dump | psql, times, median of the rounds",
            statistics.median(ratios),
            10,
            at_least=True,
        ),
        Bar("acknowledged rows that such a branch lacks", bench.missing, 0),
    ]
    result.details |= {"copied": made.__dict__, "by hand": hand.__dict__, "times": ratios}


def _row(name: str, one: Measured) -> tuple[str, ...]:
    times = (f"{statistics.median(one.seconds):.2f} s", f"{max(one.seconds):.2f} s")
    share = f"{max(one.shares):.2f} %" if one.shares else ""
    return (name, *times, share, f"{statistics.median(one.rates):,.0f}", f"{max(one.stalls) * 1000:.0f} ms")


def _filesystem(folder: Path) -> str:
    parts = [part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)]
    return max(parts, key=lambda part: len(part.mountpoint)).fstype if parts else "?"


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
