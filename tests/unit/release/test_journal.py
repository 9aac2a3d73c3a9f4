"""Steps are in the state before and after, shown live, and without secrets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from release_fakes import World

from golive.errors import BuildFailed
from golive.release.journal import Journal
from golive.secret import MASK, Mask, Secret

SECRET = "hunter2-hunter2"


@pytest.fixture
def events() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def journal(world: World, events: list[dict[str, Any]]) -> Journal:
    row = world.deployment("restart", {})
    return Journal(world.state, row.id, events.append, Mask([Secret(SECRET)]))


async def test_a_step_that_is_done(journal: Journal, events: list[dict[str, Any]]) -> None:
    async with journal.step("build") as note:
        assert [(s.name, s.state) for s in journal.state.steps(journal.deployment)] == [("build", "running")]
        note.detail = f"with {SECRET}"
    (step,) = journal.state.steps(journal.deployment)
    assert (step.state, step.detail) == ("done", f"with {MASK}")
    assert step.ended_at is not None
    assert [e["state"] for e in events] == ["running", "done"]
    assert events[1]["detail"] == f"with {MASK}"
    assert events[1]["seconds"] >= 0


async def test_a_step_with_nothing_to_do(journal: Journal) -> None:
    async with journal.step("migrate") as note:
        note.skipped = True
    assert journal.state.steps(journal.deployment)[0].state == "skipped"


@pytest.mark.parametrize(
    ("error", "state", "detail"),
    [
        (BuildFailed(f"no {SECRET}"), "failed", f"no {MASK}"),
        (ValueError(SECRET), "failed", MASK),
        (asyncio.CancelledError(), "undone", "cancelled"),
    ],
)
async def test_a_step_that_is_left_by_an_error(
    journal: Journal, events: list[dict[str, Any]], error: BaseException, state: str, detail: str
) -> None:
    with pytest.raises(type(error)):
        async with journal.step("build"):
            raise error
    (step,) = journal.state.steps(journal.deployment)
    assert (step.state, step.detail) == (state, detail)
    assert events[-1]["state"] == state


def test_whatever_leaves_is_masked(journal: Journal, events: list[dict[str, Any]]) -> None:
    journal.log("build", f"> {SECRET}")
    journal.note(f"see {SECRET}")
    journal.progress("envoy", 1, None)
    error = journal.masked(BuildFailed(SECRET, where=SECRET, why=SECRET, hint=SECRET, log=SECRET))
    assert SECRET not in str(events) + str(error.to_json())
    assert [e["type"] for e in events] == ["log", "note", "progress"]
    assert set(error.to_json().values()) == {"BuildFailed", MASK}
