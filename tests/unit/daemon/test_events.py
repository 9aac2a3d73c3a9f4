"""Followers of a deployment miss nothing, however slow they are and however many."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

from golive.daemon.events import Events
from golive.state.records import DeploymentState
from golive.state.store import State


@dataclass
class Row:
    state: DeploymentState = DeploymentState.RUNNING
    error: None = None
    result: None = None


class Journal:
    """What Events asks of the state."""

    def __init__(self) -> None:
        self.row = Row()

    def deployment(self, _: int) -> Row:
        return self.row

    def steps(self, _: int) -> list[Any]:
        return []


async def collect(events: Events, pause: float) -> list[Any]:
    found = []
    async for event in events.follow(1):
        found.append(event.get("name") or event.get("done") or event["type"])
        await asyncio.sleep(pause)
    return found


def end(events: Events, journal: Journal) -> None:
    journal.row.state = DeploymentState.DONE
    events.ended(1)


async def test_what_is_published_while_a_slow_follower_is_served_is_not_skipped() -> None:
    journal = Journal()
    events = Events(cast(State, journal))
    followers = [asyncio.create_task(collect(events, pause)) for pause in (0, 0.003, 0.011)]
    names = [f"step {n}" for n in range(20)]
    for name in names:
        events.publish(1, {"type": "step", "name": name})
        await asyncio.sleep(0.002)
    end(events, journal)
    for found in await asyncio.gather(*followers):
        assert found == [*names, "end"]


async def test_the_last_progress_is_seen_though_it_takes_the_place_of_the_one_before() -> None:
    journal = Journal()
    events = Events(cast(State, journal))
    follower = asyncio.create_task(collect(events, 0))
    for done in range(1, 6):
        events.publish(1, {"type": "progress", "done": done})
        await asyncio.sleep(0.002)
    events.publish(1, {"type": "step", "name": "build"})
    end(events, journal)
    found = await follower
    assert found[-3:] == [5, "build", "end"]
    assert found == [*sorted(found[:-2]), "build", "end"]


async def test_a_follower_that_comes_late_hears_everything() -> None:
    journal = Journal()
    events = Events(cast(State, journal))
    for n in range(3):
        events.publish(1, {"type": "step", "name": f"step {n}"})
    end(events, journal)
    assert await asyncio.wait_for(collect(events, 0), 5) == ["step 0", "step 1", "step 2", "end"]
