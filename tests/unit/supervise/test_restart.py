"""Restart decisions: what must hold for every history."""

from __future__ import annotations

import random
import signal
from datetime import timedelta
from typing import get_args

import pytest

from golive.supervise.restart import AT_ONCE, FIRST, LONGEST, GiveUp, History, Restart, Run, decide
from golive.supervise.unit import RestartPolicy
from golive.system.processes import Exit

EXITS = [None, Exit(), Exit(0), Exit(1), Exit(signal=9), Exit(signal=15), Exit(signal=9, out_of_memory=True)]


def runs(seed: int) -> list[Run]:
    chance = random.Random(seed)
    return [
        Run(chance.random() < 0.4, chance.choice(EXITS), chance.random() < 0.2) for _ in range(chance.randrange(60))
    ]


@pytest.mark.parametrize("seed", range(100))
def test_always_never_gives_up_and_waits_within_bounds(seed: int) -> None:
    history, before = History(), timedelta(0)
    for run in runs(seed):
        decision = decide("always", history, run)
        history = history.after(run)
        assert isinstance(decision, Restart)
        assert AT_ONCE <= decision.after <= LONGEST
        if run.became_ready:
            assert decision.after == AT_ONCE
            assert history == History()
        else:
            assert decision.after == max(FIRST, min(2 * before, LONGEST))
        before = timedelta(0) if run.became_ready else decision.after


@pytest.mark.parametrize("seed", range(50))
@pytest.mark.parametrize("policy", get_args(RestartPolicy))
def test_policies(seed: int, policy: RestartPolicy) -> None:
    history = History()
    for run in runs(seed):
        decision = decide(policy, history, run)
        history = history.after(run)
        if policy == "never":
            assert isinstance(decision, GiveUp)
        elif policy == "on-failure":
            assert isinstance(decision, Restart) is run.failed
        else:
            assert isinstance(decision, Restart)


def test_killed_each_second_for_a_day_the_back_off_does_not_grow() -> None:
    history, run = History(), Run(True, Exit(signal=9))
    for _ in range(86400):
        assert decide("always", history, run) == Restart(AT_ONCE)
        history = history.after(run)
    assert history == History()


def test_the_ladder() -> None:
    history, run, waits = History(), Run(False, Exit(1)), []
    for _ in range(9):
        decision = decide("always", history, run)
        assert isinstance(decision, Restart)
        waits.append(decision.after.total_seconds())
        history = history.after(run)
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_million_failures_do_not_overflow() -> None:
    assert decide("always", History(1_000_000), Run(False, None)) == Restart(LONGEST)


@pytest.mark.parametrize(
    ("run", "failed"),
    [
        (Run(True, Exit(0)), False),
        (Run(True, Exit(1)), True),
        (Run(True, Exit(signal=signal.SIGTERM)), False),
        (Run(True, Exit(signal=signal.SIGKILL)), True),
        (Run(True, Exit()), True),
        (Run(False, None), True),
        (Run(True, Exit(0), forced=True), True),
        (Run(True, Exit(signal=signal.SIGTERM, out_of_memory=True)), True),
    ],
)
def test_what_counts_as_failed(run: Run, failed: bool) -> None:
    assert run.failed is failed
