"""A large table under writes: migrations rehearsed and deployed meanwhile, and dangerous ones refused.

Writes come as requests through the app's edge, each due at its own time (`openloop`), so that whoever waits is seen.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from benchmarks.command import CommandFailedError, Golive, scratch
from benchmarks.openloop import OpenLoop
from benchmarks.result import Bar, Result, Table
from golive.units import human_duration, human_size

APP = Path(__file__).with_name("writes")
RATE = 1000
STALL = 0.2
"""Seconds that a write may wait, at most."""
REST = 5.0
"""Seconds of writes with nothing else, for comparison."""
FILL = """
INSERT INTO entry (device, value, at, note)
SELECT n % 50000, n % 1000, now() - n * interval '1 second', 'row ' || n FROM generate_series({first}, {last}) n"""
PIECE = 500_000
SAFE = {
    "002_note.sql": "ALTER TABLE entry ADD COLUMN state text NOT NULL DEFAULT 'new';\n"
    "ALTER TABLE entry ADD CONSTRAINT entry_note CHECK (note IS NOT NULL) NOT VALID;\n",
    "003_validate.sql": "ALTER TABLE entry VALIDATE CONSTRAINT entry_note;\n",
    "004_not_null.sql": "ALTER TABLE entry ALTER COLUMN note SET NOT NULL;\n"
    "ALTER TABLE entry DROP CONSTRAINT entry_note;\n",
    "005_device.sql": "CREATE INDEX CONCURRENTLY entry_device ON entry (device);\n",
}
UNSAFE = {
    "002_device.sql": "CREATE INDEX entry_device ON entry (device);\n",
    "003_wide.sql": "ALTER TABLE entry ALTER COLUMN device TYPE bigint;\n",
}
SCHEMA = """
SELECT (SELECT json_agg(d ORDER BY d) FROM (SELECT indexdef d FROM pg_indexes WHERE schemaname = 'public') i),
    (SELECT json_agg(c ORDER BY c) FROM (SELECT column_name || data_type || is_nullable c
        FROM information_schema.columns WHERE table_name = 'entry') k),
    (SELECT json_agg(name ORDER BY name) FROM golive_migrations), pg_relation_filenode('entry')"""


@dataclass
class Bench:
    golive: Golive
    url: str
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    rehearsals: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: str = ""

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.spans[name] = (began, time.monotonic())
        _say(f"{name}: {time.monotonic() - began:.1f} s")

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.golive.checkout / "migrations" / name).write_text(text)

    def remove(self, files: dict[str, str]) -> None:
        for name in files:
            (self.golive.checkout / "migrations" / name).unlink()

    def rehearse(self, name: str, *, stops: bool) -> None:
        with self.span(f"rehearsal, {name}"):
            done = self.golive.attempt("migrate", "rehearse", "--json", "-C", str(self.golive.checkout))
        found = json.loads(done.stdout or "{}")
        if done.returncode != int(stops) or not found:
            said = "\n".join((done.stderr[-3000:], *found.get("stops", ())))
            raise CommandFailedError(f"golive migrate rehearse ended with {done.returncode}:\n{said}")
        self.rehearsals[name] = found

    def ask(self, query: str) -> tuple[Any, ...]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchone() or ()


def run(count: int = 5_000_000, rate: int = RATE) -> Result:
    result = Result("migrate")
    with scratch(APP) as golive:
        golive.up()
        status = golive.status()
        bench = Bench(golive, psutil.Process(status.instances[0].pid).environ()["DATABASE_URL"])
        _fill(bench, count)
        before = bench.ask(SCHEMA)
        with OpenLoop(status.target("/entries"), golive.home / "ca/root.crt", rate) as writes:
            time.sleep(2)  # what is cold the first time
            with bench.span("nothing else"):
                time.sleep(REST)
            bench.write(UNSAFE)
            bench.rehearse("unsafe", stops=True)
            with bench.span("deploy, unsafe"):
                refused = golive.attempt("up", str(golive.checkout))
            bench.refused = refused.stderr if refused.returncode else ""
            touched = bench.ask(SCHEMA) != before
            bench.remove(UNSAFE)
            bench.write(SAFE)
            bench.rehearse("safe", stops=False)
            with bench.span("deploy, safe"):
                golive.up()
            with bench.span("nothing else, afterwards"):
                time.sleep(REST)
        rows = bench.ask("SELECT count(*) FROM entry")[0] - count
        names = bench.ask("SELECT json_agg(name) FROM golive_migrations WHERE applied_at IS NOT NULL")[0]
        _report(result, bench, writes, (rate, rows, touched, len(set(names) & SAFE.keys())))
    return result


def _fill(bench: Bench, count: int) -> None:
    began = time.monotonic()
    with psycopg.connect(bench.url, autocommit=True) as connection:
        for first in range(1, count + 1, PIECE):
            last = min(count, first + PIECE - 1)
            connection.execute(FILL.format(first=first, last=last).encode())
        connection.execute("VACUUM ANALYZE entry")
        row = connection.execute("SELECT pg_total_relation_size('entry')").fetchone()
    size = human_size(row[0]) if row else "?"
    _say(f"{count:,} rows, {size}, after {time.monotonic() - began:.1f} s")


def _report(result: Result, bench: Bench, writes: OpenLoop, found: tuple[int, int, bool, int]) -> None:
    rate, rows, touched, applied = found
    first, last = next(iter(bench.spans.values()))[0], [*bench.spans.values()][-1][1]
    everything = writes.answers()
    measured = writes.answers(first, last)
    result.tables += [_spans(bench, writes), *(_rehearsal(name, made) for name, made in bench.rehearsals.items())]
    result.tables.append(_refusals(bench.refused))
    safe = bench.rehearsals["safe"]["account"]["longest_lock"]
    result.bars += [
        Bar("writes a second through the edge", measured.requests / (last - first), rate * 0.99, at_least=True),
        Bar("failed requests", everything.failed, 0),
        Bar("acknowledged writes that are missing", max(0, len(everything.times) - rows), 0),
        Bar("longest stall, ms", measured.share(1) * 1000, STALL * 1000),
        Bar("unsafe files refused with their safe form", _safe_forms(bench.refused), len(UNSAFE), at_least=True),
        Bar("changes to the database by the refused deploy", int(touched), 0),
        Bar("safe files applied", applied, len(SAFE), at_least=True),
        Bar("longest lock that others wait for, safe form, ms", safe["seconds"] * 1000 if safe else 0, STALL * 1000),
    ]
    result.details |= {"rehearsals": bench.rehearsals, "failures": dict(writes.failures), "refused": bench.refused}


def _spans(bench: Bench, writes: OpenLoop) -> Table:
    table = Table("writes meanwhile", ("", "seconds", "requests", "failed", "p50 ms", "p99 ms", "longest ms"))
    for name, (began, ended) in bench.spans.items():
        made = writes.answers(began, ended)
        times = [f"{made.share(part) * 1000:.1f}" for part in (0.5, 0.99, 1)]
        table.rows.append((name, f"{ended - began:.1f}", f"{made.requests:,}", f"{made.failed}", *times))
    table.note = "each from the moment at which it was due; " + (_failures(writes) or "none failed")
    return table


def _failures(writes: OpenLoop) -> str:
    return "; ".join(f"{count} × {what}" for what, count in writes.failures.most_common(4))


def _rehearsal(name: str, made: dict[str, Any]) -> Table:
    columns = ("statement", "took", "lock", "held", "others wait with", "rewritten, built")
    account = made["account"]
    took = f"copied in {made['copied']:.1f} s, ran in {account['seconds']:.1f} s"
    table = Table(f"rehearsal of the {name} form: {took}", columns)
    for step in account["steps"]:
        at = f"{step['file']}:{step['line']}"
        made_anew = ", ".join((*step["rewritten"], *step["built"]))
        locks = step["locks"] or [{"mode": "", "seconds": None, "blocks": ""}]
        for lock in locks:
            held = human_duration(lock["seconds"]) if lock["seconds"] is not None else ""
            table.rows.append((at, human_duration(step["seconds"]), lock["mode"], held, lock["blocks"], made_anew))
    grown = account["size_after"] - account["size_before"]
    table.note = f"{human_size(account['size_before'])} before, {human_size(max(0, grown))} more after"
    return table


def _refusals(text: str) -> Table:
    table = Table("what the deploy of the unsafe form said", ("",))
    table.rows = [
        (line,) for line in text.splitlines() if "migrations/" in line or "instead:" in line or "error:" in line
    ]
    return table


def _safe_forms(text: str) -> int:
    """How many of the unsafe files are named, when safe forms are shown for as many."""
    named = sum(name in text for name in UNSAFE)
    return min(named, text.count("instead:"))


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
