"""Events of deployments: everybody gets all of them, whenever they come and however slow they read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from golive.daemon import events as module
from golive.daemon.events import Events
from golive.errors import NotFound
from golive.state.records import DeploymentState, Place
from golive.state.store import State

SHOP = Place("shop", "production")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State(tmp_path / "state.db", tmp_path / "key")
    yield opened
    opened.close()


@pytest.fixture
def events(state: State) -> Events:
    return Events(state)


def begin(state: State) -> int:
    id = state.queue_deployment(SHOP, "deploy", {}, "me")
    state.begin_deployment(id, None)
    return id


def end(state: State, events: Events, id: int) -> None:
    state.end_deployment(id, DeploymentState.DONE)
    events.ended(id)


def note(text: str) -> dict[str, Any]:
    return {"type": "note", "text": text}


def progress(done: int) -> dict[str, Any]:
    return {"type": "progress", "what": "envoy", "done": done, "total": 9}


async def everything(events: Events, id: int, pause: float = 0.0) -> list[dict[str, Any]]:
    found = []
    async for event in events.follow(id):
        found.append(event)
        await asyncio.sleep(pause)
    return found


def texts(found: list[dict[str, Any]]) -> list[Any]:
    return [e.get("text", e.get("done", e["type"])) for e in found]


async def test_a_late_follower_gets_all(state: State, events: Events) -> None:
    id = begin(state)
    for text in "abc":
        events.publish(id, note(text))
    late = asyncio.create_task(everything(events, id))
    await asyncio.sleep(0)
    events.publish(id, note("d"))
    end(state, events, id)
    assert texts(await late) == [*"abcd", "end"]
    assert texts(await everything(events, id)) == [*"abcd", "end"]


async def test_slow_and_quick_followers_miss_nothing(state: State, events: Events) -> None:
    id = begin(state)
    followers = [asyncio.create_task(everything(events, id, pause)) for pause in (0, 0, 0.002, 0.01)]
    for number in range(30):
        events.publish(id, note(str(number)))
        await asyncio.sleep(0.001 if number % 3 else 0)
    end(state, events, id)
    for found in await asyncio.gather(*followers):
        assert texts(found) == [*map(str, range(30)), "end"]


async def test_progress_is_followed_live_and_only_the_last_is_kept(state: State, events: Events) -> None:
    id = begin(state)
    live = asyncio.create_task(everything(events, id))
    for done in (1, 5, 9):
        events.publish(id, progress(done))
        await asyncio.sleep(0.001)
    events.publish(id, note("fetched"))
    end(state, events, id)
    assert texts(await live) == [1, 5, 9, "fetched", "end"]
    assert texts(await everything(events, id)) == [9, "fetched", "end"]


async def test_the_end_says_how(state: State, events: Events) -> None:
    id = begin(state)
    state.set_deployment_result(id, {"url": "u"})
    state.end_deployment(id, DeploymentState.FAILED, {"what": "no"})
    events.ended(id)
    assert (await everything(events, id))[-1] == {
        "type": "end", "state": "failed", "error": {"what": "no"}, "result": {"url": "u"}
    }  # fmt: skip


async def test_after_a_restart_the_journal_tells(state: State) -> None:
    id = begin(state)
    state.end_step(id, state.begin_step(id, "build"), "done", "2 built")
    running = state.begin_step(id, "start")
    events = Events(state)
    found = asyncio.create_task(everything(events, id))
    await asyncio.sleep(0.001)
    state.end_step(id, running, "undone", "interrupted")
    state.end_deployment(id, DeploymentState.UNDONE)
    events.wake()
    async with asyncio.timeout(120):
        told = await found
    assert [(e["name"], e["state"]) for e in told[:-1]] == [("build", "done"), ("start", "running")]
    assert told[-1]["state"] == "undone"
    assert [e["type"] for e in await everything(Events(state), id)] == ["step", "step", "end"]


async def test_one_that_waits_in_the_queue_is_followed_from_its_start(state: State, events: Events) -> None:
    id = state.queue_deployment(SHOP, "deploy", {}, "me")
    found = asyncio.create_task(everything(events, id))
    await asyncio.sleep(0.001)
    state.begin_deployment(id, None)
    events.publish(id, note("begun"))
    end(state, events, id)
    assert texts(await found) == ["begun", "end"]


async def test_there_is_nothing_to_follow_of_what_never_was(events: Events) -> None:
    with pytest.raises(NotFound):
        await everything(events, 99)


async def test_memory_is_bounded(state: State, events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP", 3)
    running = begin(state)
    events.publish(running, note("still here"))
    for _ in range(10):
        id = begin(state)
        events.publish(id, note("x"))
        end(state, events, id)
        await everything(events, id)
    assert len(events._streams) == 4
    assert running in events._streams
    first = await everything(events, running + 1)
    assert [e["type"] for e in first] == ["end"]
    assert len(events._streams) == 4


async def test_output_is_kept_up_to_a_limit_and_the_story_whole(state: State, events: Events) -> None:
    id = begin(state)
    events.publish(id, {"type": "step", "name": "build", "state": "running"})
    for number in range(module.LOGS + 10):
        events.publish(id, {"type": "log", "source": "web", "line": str(number)})
    events.publish(id, note("done"))
    end(state, events, id)
    found = await everything(events, id)
    assert found[0]["type"] == "step"
    assert found[1]["line"] == "10"
    assert texts(found[-2:]) == ["done", "end"]
    assert len(found) == module.LOGS + 3


async def test_a_follower_who_leaves_is_no_matter(state: State, events: Events) -> None:
    id = begin(state)
    events.publish(id, note("a"))
    async for _ in events.follow(id):
        break
    events.publish(id, note("b"))
    end(state, events, id)
    assert texts(await everything(events, id)) == ["a", "b", "end"]
