"""Events of deployments: kept in memory while they run, made again from the journal when somebody asks later."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

from golive.release.journal import Event
from golive.state.records import DeploymentState, Step
from golive.state.store import State

KEEP = 50
"""Deployments whose events stay in memory."""


class Events:
    """Publish and follow. A follower that comes late gets everything from the beginning."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._events: dict[int, list[Event]] = defaultdict(list)
        self._changed: dict[int, asyncio.Event] = defaultdict(asyncio.Event)

    def publish(self, deployment: int, event: Event) -> None:
        events = self._events[deployment]
        if event["type"] == "progress" and events and events[-1]["type"] == "progress":
            events[-1] = event
        else:
            events.append(event)
        self._changed[deployment].set()
        while len(self._events) > KEEP:
            oldest = next(iter(self._events))
            del self._events[oldest]
            self._changed.pop(oldest, None)

    async def follow(self, deployment: int) -> AsyncIterator[Event]:
        """From the first event to the end of the deployment; the last one has type `end`."""
        if deployment not in self._events:
            for event in from_journal(self._state.steps(deployment)):
                yield event
        position, last = 0, None
        while True:
            changed = self._changed[deployment]
            changed.clear()
            events = self._events.get(deployment, [])
            for event in events[position:]:
                yield event
            if events and events[-1]["type"] == "progress" and events[-1] is not last:
                last = events[-1]
            position = len(events)
            row = self._state.deployment(deployment)
            if row.state.ended:
                yield end_event(row.state, row.error, row.result)
                return
            await changed.wait()

    def ended(self, deployment: int) -> None:
        self._changed[deployment].set()


def from_journal(steps: list[Step]) -> list[Event]:
    events: list[Event] = []
    for step in steps:
        seconds = round(step.ended_at - step.started_at, 3) if step.ended_at else None
        events.append(
            {"type": "step", "name": step.name, "state": step.state, "detail": step.detail, "seconds": seconds}
        )
    return events


def end_event(state: DeploymentState, error: dict[str, object] | None, result: dict[str, object] | None) -> Event:
    return {"type": "end", "state": state.value, "error": error, "result": result}
