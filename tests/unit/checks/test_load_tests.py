"""The schedule of a load, its histogram, the search for what holds, and what is said of it. No clock, no network."""

from __future__ import annotations

import itertools
import json
import random
import re
import statistics
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from golive.checks.load import page, verdict
from golive.checks.load.generator import Measured
from golive.checks.load.histogram import Histogram
from golive.checks.load.scenario import Request, from_file, from_log, schedule
from golive.checks.load.search import CLOSE, Bar, Step, bounds, find, judged
from golive.checks.load.watch import Part, Use, reach
from golive.errors import NotFound, UsageError

BAR = Bar(0.5, 0.01)
GUIDE = Path(__file__).parents[3] / "docs/guides/load.md"


def measured(p95: float = 0.01, *, failed: int = 0, limited: int = 0, late: float = 0.0, cpu: float = 0.1) -> Measured:
    """A hundred requests in one second."""
    found = Measured(sent=100, seconds=1.0, cpu=cpu, cores=cpu)
    for _ in range(100 - failed - limited):
        found.latency.add(p95)
        found.late.add(late)
        found.statuses[200] += 1
    found.statuses[500] += failed
    found.statuses[429] += limited
    return found


def step(rate: float, *uses: Use, **settings: float) -> Step:
    return judged(rate, measured(**settings), BAR, uses)  # type: ignore[arg-type]


def test_percentiles_are_close_to_the_sorted_values() -> None:
    chance = random.Random(1)
    values = sorted(chance.lognormvariate(-4, 1.5) for _ in range(2000))
    halves = Histogram(), Histogram()
    for n, value in enumerate(values):
        halves[n % 2].add(value)
    halves[0].merge(halves[1])
    for share in (0.5, 0.95, 0.99):
        assert halves[0].percentile(share) == pytest.approx(values[int(2000 * share) - 1], rel=0.011)
    assert halves[0].percentile(1) == pytest.approx(values[-1], rel=0.011)
    assert (halves[0].largest, halves[0].total) == (values[-1], 2000)
    assert Histogram().percentile(0.5) == 0


def test_constant_arrivals_are_even_and_poisson_ones_are_not() -> None:
    even = list(schedule(50, 2, "constant", random.Random()))
    assert len(even) == 100
    assert even[0] == pytest.approx(0.02)
    chance = list(schedule(50, 100, "poisson", random.Random(7)))
    assert len(chance) == 5000
    assert chance == sorted(chance)
    assert chance[-1] <= 100
    gaps = [b - a for a, b in itertools.pairwise(chance)]
    assert statistics.mean(gaps) == pytest.approx(0.02, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(0.02, rel=0.1), (
        "a Poisson process: gaps spread as wide as their mean"
    )


def test_the_guides_scenario_is_one(tmp_path: Path) -> None:
    block = re.search(r"```toml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert block
    (tmp_path / "visit.toml").write_text(block[1])
    found = from_file(tmp_path / "visit.toml")
    assert [each.method for each in found] == ["GET", "GET", "POST"]
    assert dict(found[2].headers)["content-type"] == "application/json"
    assert json.loads(found[2].body)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("requests = []", "no requests"),
        ("[[requests]]\npath = 'items'", "no path"),
        ("[[requests]]\npath = '/'\nmethod = 'DELETE'", "no method"),
        ("[[requests]]\npath = '/'\nweight = 0", "no weight"),
        ("[[requests]]\npath = '/'\nbody = 'x'", "has no body"),
        ("[[requests]]\npath = '/'\nwait = 3", "other keys"),
        ("headers = { x = 'ä' }\n[[requests]]\npath = '/'", "cannot be sent"),
        ("[[requests", "cannot be read"),
    ],
)
def test_what_is_wrong_in_a_scenario_is_said(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "visit.toml").write_text(text)
    with pytest.raises(UsageError, match=said):
        from_file(tmp_path / "visit.toml")


def test_the_mix_of_an_access_log() -> None:
    def line(path: str, method: str = "GET", status: int = 200, host: str = "shop.localhost:8443", by: str = "") -> str:
        return json.dumps({"path": path, "method": method, "status": status, "host": host, "user_agent": by})

    lines = [line("/"), line("/"), line("/items"), line("/buy", "POST"), line("/gone", status=404), "no json", "[]"]
    lines += [line("/", host="other.localhost:8443"), line("/", by="golive-load/1")]
    assert from_log(lines, {"shop.localhost"}) == (Request("/", weight=2), Request("/items", weight=1))
    with pytest.raises(NotFound, match="no GET"):
        from_log(lines, {"nobody.localhost"})


def test_what_did_not_hold() -> None:
    full = Use("machine", "machine", 2.0, 2.0, "cores")
    assert step(10).holds
    assert judged(10, Measured(), BAR).why == "errors", "nothing was answered"
    assert step(10, late=0.4).holds, "the latency has it in it, and is below the bar"
    assert step(10, p95=0.6).why == "latency"
    assert step(10, failed=2).why == "errors"
    assert step(10, limited=2).why == "limited"
    assert step(10, p95=0.6, cpu=0.99).why == "generator"
    assert step(10, p95=0.6, late=0.5).why == "generator"
    assert step(10, full, p95=0.6, late=0.5).why == "latency", "late for want of cores that the app has taken"


@pytest.mark.parametrize("holds_to", [3, 47, 163, 5000])
async def test_the_search_ends_close_to_what_holds(holds_to: float) -> None:
    asked: list[float] = []

    async def measure(rate: float) -> Step:
        asked.append(rate)
        return step(rate, p95=0.01 if rate <= holds_to else 2.0)

    ends = bounds(await find(measure, 10, 20_000))
    assert ends is not None
    assert ends[0].rate <= holds_to + 0.01 < ends[1].rate + 0.01
    assert ends[1].rate / ends[0].rate <= CLOSE + 0.01
    assert len(asked) < 16


async def test_the_search_keeps_below_what_is_allowed_and_ends_where_nothing_holds() -> None:
    async def good(rate: float) -> Step:
        return step(rate)

    async def bad(rate: float) -> Step:
        return step(rate, failed=50)

    assert [each.rate for each in await find(good, 10, 50)] == [10, 20, 40, 50]
    assert [each.rate for each in await find(bad, 10, 50)] == [10, 2.5, 1]


def test_a_full_core_is_told_before_the_machine() -> None:
    api = Use("api.0", "cpu", 0.97, 1.0, "cores")
    machine = Use("machine", "machine", 1.9, 2.0, "cores")
    edge = Use("edge", "edge", 0.2, 2.0, "cores")
    steps = [step(40, Use("api.0", "cpu", 0.5, 1.0, "cores"), edge, machine), step(50, machine, api, edge, p95=2.0)]
    found = verdict.limit(steps)
    assert found is not None
    assert (found.kind, found.service, found.what) == ("cpu", "api", "api.0: 0.97 of 1 core")
    assert found.todo.startswith("golive scale api=N")
    held = verdict.capacity(steps, {"api": 2}, think=10)
    assert held is not None
    assert (held.rate, held.at_least, held.instance, held.users) == (40, False, 20, 400)
    assert held.machine == pytest.approx(0.85 * 2 * 40 / 0.7, abs=0.1), "by the cores that a request costs"


def test_who_has_the_machines_cores() -> None:
    machine = Use("machine", "machine", 1.96, 2.0, "cores")
    ours = verdict.limit([step(9), step(20, machine, Use("api.0", "cpu", 1.5, 2.0, "cores"), p95=2.0)])
    theirs = verdict.limit([step(9), step(20, machine, Use("api.0", "cpu", 0.5, 1.0, "cores"), p95=2.0)])
    assert ours is not None
    assert theirs is not None
    assert ours.what == "machine: 1.96 of 2 cores (the app 1.50, the load's generator 0.10, all else 0.36)"
    assert ours.todo.startswith("a machine with more cores")
    assert theirs.todo.startswith("what else runs on this machine")


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (Use("db", "connections", 20, 20, "connections"), "db: 20 of 20 connections"),
        (Use("db-pool", "pool", 4, 10, "waiting"), "db-pool: 4 of 10 connections, and requests wait for one"),
        (Use("api.0", "memory", 190e6, 200e6, "bytes"), "api.0: 190.0 MB of 200.0 MB"),
        (Use("disk", "disk", 0.99, 1.0, "share"), "disk: 99 % busy"),
    ],
)
def test_what_ends_first(use: Use, said: str) -> None:
    found = verdict.limit([step(10), step(20, use, p95=2.0)])
    assert found is not None
    assert (found.kind, found.what) == (use.kind, said)


def test_what_ends_it_when_nothing_that_is_watched_does() -> None:
    idle = Use("api.0", "cpu", 0.3, 1.0, "cores")
    kinds = [
        verdict.limit([step(10, idle), step(20, idle, **settings)])
        for settings in ({"p95": 2.0}, {"limited": 50}, {"p95": 2.0, "cpu": 1.0})
    ]
    assert [found.kind if found else None for found in kinds] == ["unknown", "limit", "generator"]
    assert verdict.limit([step(10, idle)]) is None
    assert verdict.capacity([step(10, failed=50)], {"api": 1}, 10) is None


def test_the_cores_that_a_process_can_fill() -> None:
    python = Part("api.0", "instance", 1)
    assert reach(python, [0.0, 0.9], 8) == 1
    assert reach(python, [0.01, 0.9, 0.8], 8) == 2, "two workers, and what started them"
    assert reach(python, [3.2], 8) == 8, "one that uses several threads"
    assert reach(Part("api.0", "instance", 1, cores=0.5), [0.49], 8) == 0.5
    assert reach(Part("edge", "edge", 2), [0.1], 8) == 8


def test_the_report_in_both_forms() -> None:
    steps = (step(10), step(20), step(40, failed=50))
    held = verdict.capacity(steps, {"api": 1}, 10)
    report = verdict.Report("shop <b>", ("100.0 % GET /",), BAR, steps, verdict.limit(steps), held)
    made = page.html(report, datetime(2026, 1, 1, tzinfo=UTC))
    assert "shop &lt;b&gt;" in made
    assert "http" not in re.sub(r"https?://www.w3.org\S*", "", made).replace("golive load", "")
    drawn = ElementTree.fromstring(made[made.index("<svg") : made.index("</svg>") + 6])
    assert len(drawn.findall("circle")) == 2 * len(steps)
    assert "Holds 20 requests/s" in page.sentences(report)[0]
    lines = page.bars(steps, 10, "#")
    assert [line.split()[0] for line in lines] == ["10.0/s", "20.0/s", "40.0/s"]
    assert json.loads(json.dumps(report.to_json()))["capacity"]["users"] == 200
