"""kill -9 of the daemon at every step of a rollback, to instances that are warm and to ones that have to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e_apps import MakeApp
from e2e_harness import App, Golive, new_home
from e2e_walk import COMMITTED, TOML, interrupted, versions, walk, was_finished, was_undone, write

STEPS = ("validate", "start", "ready", "changeover", "shift")


@pytest.fixture(scope="module")
def home() -> Iterator[Golive]:
    with new_home() as golive:
        yield golive


@pytest.fixture(scope="module")
def walked(home: Golive, make_apps: MakeApp) -> App:
    """Two releases, the first of them warm where that is possible."""
    app = make_apps(home, toml=TOML, services=("api", "solo"))
    for version in (1, 2):
        write(app, version)
        app.up().ok()
    return app


@pytest.mark.parametrize("step", walk(STEPS))
def test_before_the_commit(walked: App, step: str) -> None:
    was_undone(walked, interrupted(walked, step, "begin", "rollback", "--app", walked.name), "2")


@pytest.mark.parametrize("step", walk(COMMITTED))
def test_after_the_commit(walked: App, step: str) -> None:
    """Once back to the first release and once forward to the second."""
    (before,) = versions(walked)
    target = {"1": "2", "2": "1"}[before]
    command = ("rollback", target, "--app", walked.name)
    was_finished(walked, interrupted(walked, step, "begin", *command), target)


def test_the_next_rollback_works(walked: App) -> None:
    (before,) = versions(walked)
    target = {"1": "2", "2": "1"}[before]
    walked.command("rollback", target).ok()
    assert versions(walked) == {target}
    walked.golive.no_strays()
