"""What `scripts/bench policies` makes of its measurements; integration/edge/test_policy_proof.py runs its edges."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def policies(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import benchmarks.policies

    return benchmarks.policies


def test_a_policy_is_compared_with_the_nearest_measurement_without_it(policies: ModuleType) -> None:
    case = sys.modules["benchmarks.policy_cases"].Case
    load = sys.modules["benchmarks.load"].Load
    cases = [
        case("plain", "plain", base=""),
        case("slow", "slow"),
        case("log", "silent", left_out=True),
        *(case(f"more {n}", "more") for n in range(5)),
    ]
    rates = {"plain": 1000, "slow": 250, "silent": 1250, "more": 1000}
    asked: list[str] = []

    class Meter:
        rounds = 0

        def __call__(self, one: object) -> object:
            asked.append(one.name)
            rate = rates[one.site] + len(asked) / 10  # the machine becomes faster
            return policies.Measured(load(rate * 2, 2, 0, 1, 4000 / rate), 1e6 / rate)

        def end_round(self) -> None:
            self.rounds += 1

    meter = Meter()
    slow, log, *more = policies.measured(cases, meter, 2)
    assert meter.rounds == 2
    assert asked[:3] == ["plain", "slow", "log"]
    assert 2 < asked.count("plain") < len(more) * 2, "its measurements are shared, and made anew"
    assert slow.ratio(lambda one: one.rate) == pytest.approx(0.25, abs=0.01)
    assert slow.ratio(lambda one: one.p99_ms) == pytest.approx(4, abs=0.1)
    assert slow.micros == pytest.approx(3000, abs=100)
    assert slow.share == pytest.approx(0.25, abs=0.01)
    assert log.ratio(lambda one: one.rate) == pytest.approx(0.8, abs=0.01), "it is what was left out"
    assert log.micros == pytest.approx(200, abs=20)
    assert slow.row()[0] == "slow"
    assert slow.row()[2] == "0.25×"
    assert log.row()[1] == "1,001", "requests with the log"
    only = policies.measured(cases, meter, 1, ("slow",))
    assert [cost.case.name for cost in only] == ["slow"]


def test_an_answer_that_does_not_show_the_policy_is_told(policies: ModuleType) -> None:
    ask = sys.modules["benchmarks.policy_cases"].Ask("/", shows={"ratelimit": "day"}, hides=("server",))
    wrong = sys.modules["benchmarks.policy_proof"].wrong
    assert wrong(ask, 200, {"ratelimit": '"5/day";r=4'}) == ""
    assert wrong(ask, 503, {}) == "answers 503 in place of 200"
    assert wrong(ask, 200, {"server": "nginx"}) == "ratelimit: None, server is there"
