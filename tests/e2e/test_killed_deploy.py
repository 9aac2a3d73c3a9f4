"""kill -9 of the daemon at every step of a deploy: before the commit it is undone, after it finished, and the app
never stops answering."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e_apps import MakeApp
from e2e_harness import App, Golive, new_home
from e2e_walk import COMMITTED, NUMBERS, TOML, UNCOMMITTED, interrupted, was_finished, was_undone, write


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


@pytest.mark.parametrize("step", UNCOMMITTED)
def test_before_the_commit(walked: App, step: str) -> None:
    before = walked.version()
    write(walked, next(NUMBERS))
    was_undone(walked, interrupted(walked, step, "begin", "up", walked.folder), before)


@pytest.mark.parametrize("step", COMMITTED)
def test_after_the_commit(walked: App, step: str) -> None:
    version = next(NUMBERS)
    write(walked, version)
    was_finished(walked, interrupted(walked, step, "begin", "up", walked.folder), str(version))


def test_between_the_commit_and_the_end_of_the_shift(walked: App) -> None:
    version = next(NUMBERS)
    write(walked, version)
    was_finished(walked, interrupted(walked, "shift", "end", "up", walked.folder), str(version))


def test_the_next_deploy_works(walked: App) -> None:
    version = next(NUMBERS)
    write(walked, version)
    walked.up().ok()
    assert walked.version() == str(version)
    walked.golive.no_strays()
    walked.destroy()
    assert walked.golive.strays() == {}
