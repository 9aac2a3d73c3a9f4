"""When a release on trial counts as worse, and when a step is over."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from golive.blueprint.canary import Canary
from golive.edge.counts import Counts
from golive.release.comparison import judge, tail

POLICY = Canary(steps=(0.05,), every=timedelta(minutes=2), requests=100, wait=timedelta(minutes=10), slower=None)
TIMED = POLICY.model_copy(update={"slower": 1.5})


def counts(requests: int, failed: int = 0, times: dict[float, int] | None = None) -> Counts:
    return Counts(requests, failed, times or {})


@pytest.mark.parametrize(
    ("seen", "of", "chance", "probability"),
    [
        (1, 1, 0.5, 0.5),
        (5, 100, 0.01, 0.003432),
        (10, 10, 0.5, 1 / 1024),
        (3, 20, 0.05, 0.075484),
        (700, 100_000, 0.005, 2.6e-17),
        (0, 10, 0.1, 1.0),
        (0, 0, 0.1, 1.0),
        (1, 1000, 0.0, 0.0),
    ],
)
def test_the_tail_of_the_binomial_distribution(seen: int, of: int, chance: float, probability: float) -> None:
    assert tail(seen, of, chance) == pytest.approx(probability, rel=0.1)


def test_a_failure_that_is_seen_before_its_request() -> None:
    """Every one fails, and Envoy is asked between the two counters of the newest."""
    assert judge(POLICY, {"web": (counts(10, 11), counts(200))}, 1).worse.startswith("11 of its 10 requests failed")
    assert not judge(POLICY, {"web": (counts(0, 5), counts(200))}, 1).worse


def test_a_step_lasts_its_time_and_its_requests() -> None:
    well = {"web": (counts(100), counts(2000))}
    assert not judge(POLICY, well, 119).go_on
    assert judge(POLICY, well, 120).go_on
    assert not judge(POLICY, {"web": (counts(99), counts(2000))}, 120).go_on
    assert judge(POLICY, {"web": (counts(3), counts(50))}, 600).go_on


def test_five_failures_in_a_hundred_end_it_at_once() -> None:
    found = judge(POLICY, {"page": (counts(900), counts(9000)), "api": (counts(100, 5), counts(1900, 2))}, 3)
    assert (found.go_on, found.service) == (False, "api")
    assert found.worse == "5 of its 100 requests failed (5.0%), 2 of 1,900 (0.1%)"


def test_what_fails_as_often_as_before_is_no_worse() -> None:
    both = {"web": (counts(200, 12), counts(3800, 228))}
    assert judge(POLICY, both, 120).go_on
    assert judge(POLICY, {"web": (counts(200, 12), counts(3800, 4))}, 1).worse


def test_too_few_to_say_goes_on_looking() -> None:
    """4 of 100 may be chance; it is neither let through nor stopped until there is more."""
    few = {"web": (counts(100, 4), counts(1900))}
    found = judge(POLICY, few, 300)
    assert (found.go_on, found.worse) == (False, "")
    assert judge(POLICY, {"web": (counts(150, 6), counts(2900))}, 300).worse
    assert judge(POLICY, {"web": (counts(600, 6), counts(11000))}, 300).go_on


def test_at_the_last_look_less_doubt_is_enough() -> None:
    doubtful = {"web": (counts(180, 5), counts(3000))}
    assert not judge(POLICY, doubtful, 300).worse
    assert judge(POLICY, {"web": (counts(160, 5), counts(3000))}, 600).worse
    assert not judge(POLICY, {"web": (counts(160, 5), counts(3000))}, 600, held=True).worse
    assert judge(POLICY, {"web": (counts(40, 1), counts(700))}, 600).go_on


def test_a_service_that_nobody_asked_before_is_held_to_errors_alone() -> None:
    assert judge(POLICY, {"new": (counts(50, 5), counts(0))}, 1).worse
    assert judge(POLICY, {"new": (counts(100), counts(0))}, 120).go_on


def times(fast: int, slow: int, at: float) -> dict[float, int]:
    return {10.0: fast, at: slow}


def test_a_release_that_takes_longer_is_worse() -> None:
    before = counts(1000, 0, times(960, 40, 40.0))  # 95 of 100 within 10 ms: up to 35 ms are let pass
    found = judge(TIMED, {"web": (counts(200, 0, times(180, 20, 90.0)), before)}, 10)
    assert found.worse == "95 of 100 requests took up to 90 ms, 10 ms"
    assert judge(TIMED, {"web": (counts(200, 0, times(180, 20, 34.0)), before)}, 120).go_on
    assert judge(TIMED, {"web": (counts(200, 0, times(198, 2, 900.0)), before)}, 120).go_on


def test_times_come_later_than_requests_and_are_waited_for() -> None:
    before = counts(1000, 0, times(1000, 0, 1.0))
    assert not judge(TIMED, {"web": (counts(200), before)}, 120).go_on
    assert judge(TIMED, {"web": (counts(200, 0, {10.0: 60}), before)}, 120).go_on


def test_nothing_is_said_of_times_with_nothing_to_compare_them_with() -> None:
    assert judge(TIMED, {"web": (counts(200, 0, {900.0: 200}), counts(20, 0, {1.0: 20}))}, 120).go_on


def test_a_good_release_is_hardly_ever_stopped() -> None:
    assert sum(not passes(random.Random(seed), 0.002, 0.002) for seed in range(60)) == 0


def test_one_that_fails_in_twenty_hardly_ever_passes() -> None:
    assert sum(passes(random.Random(seed), 0.05, 0.002) for seed in range(200)) == 0


def passes(chance: random.Random, new: float, old: float) -> bool:
    """A step of 5 % at 400 requests a second, looked at every second."""
    failed = before = 0
    for second in range(1, 601):
        failed += sum(chance.random() < new for _ in range(20))
        before += round(380 * old)
        found = judge(POLICY, {"web": (counts(20 * second, failed), counts(380 * second, before))}, float(second))
        if found.worse or found.go_on:
            return found.go_on
    raise AssertionError("a step has to end")


def test_counts_add_up_and_are_taken_from_each_other() -> None:
    first, more = Counts(10, 1, {1.0: 9, 5.0: 1}), Counts(30, 1, {1.0: 20, 5.0: 9, 9.0: 1})
    assert more.since(first) == Counts(20, 0, {1.0: 11, 5.0: 8, 9.0: 1})
    assert first + Counts(1, 1, {5.0: 1}) == Counts(11, 2, {1.0: 9, 5.0: 2})
    assert first.since(more) == first, "Envoy was started again"
    assert (more.timed, more.percentile(0.5), more.percentile(0.95), more.above(5.0)) == (30, 1.0, 5.0, 1)
    assert Counts().percentile(0.95) == 0.0
