"""kill -9 of the daemon at every step of a deploy: before the commit it is undone, after it finished, and the app
never stops answering."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from e2e_apps import MakeApp
from e2e_harness import App, Golive, new_home
from e2e_walk import COMMITTED, NUMBERS, TOML, UNCOMMITTED, interrupted, walk, was_finished, was_undone, write


@pytest.fixture(scope="module")
def home() -> Iterator[Golive]:
    with new_home() as golive:
        yield golive


@pytest.fixture(scope="module")
def walked(home: Golive, make_apps: MakeApp) -> App:
    """Live, and carried from one test to the next as a real app is."""
    app = make_apps(home, toml=TOML, services=("api", "solo"))
    write(app, 1)
    app.up().ok()
    return app


@pytest.mark.parametrize("step", walk(UNCOMMITTED))
def test_before_the_commit(walked: App, step: str) -> None:
    before = walked.version()
    write(walked, next(NUMBERS))
    was_undone(walked, interrupted(walked, step, "begin", "up", walked.folder), before)


@pytest.mark.parametrize("step", walk(COMMITTED))
def test_after_the_commit(walked: App, step: str) -> None:
    version = next(NUMBERS)
    write(walked, version)
    was_finished(walked, interrupted(walked, step, "begin", "up", walked.folder), str(version))


def test_between_the_commit_and_the_end_of_the_shift(walked: App) -> None:
    version = next(NUMBERS)
    write(walked, version)
    was_finished(walked, interrupted(walked, "shift", "end", "up", walked.folder), str(version))


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(20))
def test_at_any_moment(walked: App, seed: int) -> None:
    """Somewhere inside a step, or after its work and before the journal says so; then it is done or undone."""
    chance = random.Random(seed)
    step = chance.choice((*UNCOMMITTED, *COMMITTED))
    moment = chance.choice(("end", f"{chance.uniform(0, 0.4):.3f}", f"{chance.uniform(0, 0.05):.3f}"))
    before, version = walked.version(), next(NUMBERS)
    write(walked, version)
    result = interrupted(walked, step, moment, "up", walked.folder)
    if walked.deployments()[0]["state"] == "done":
        was_finished(walked, result, str(version))
    else:
        was_undone(walked, result, before)


def test_the_next_deploy_works(walked: App) -> None:
    version = next(NUMBERS)
    write(walked, version)
    walked.up().ok()
    assert walked.version() == str(version)
    walked.golive.no_strays()
    walked.destroy()
    assert walked.golive.strays() == {}
