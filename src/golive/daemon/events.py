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
        self._wake(deployment)
        while len(self._events) > KEEP:
            oldest = next(iter(self._events))
            del self._events[oldest]
            self._wake(oldest)

    async def follow(self, deployment: int) -> AsyncIterator[Event]:
        """From the first event to the end of the deployment; the last one has type `end`."""
        if deployment not in self._events:
            for event in from_journal(self._state.steps(deployment)):
                yield event
        position, last = 0, None
        while True:
            # Before anything is looked at, so that what comes while a slow client is served is not slept over.
            changed = self._changed[deployment]
            events = self._events.get(deployment, [])
            if last is not None and events[position - 1 : position] not in ([], [last]):
                position -= 1  # progress, which takes the place of the progress before it
            while position < len(events):
                last = events[position]
                position += 1
                yield last
            row = self._state.deployment(deployment)
            if row.state.ended:
                yield end_event(row.state, row.error, row.result)
                return
            await changed.wait()

    def ended(self, deployment: int) -> None:
        self._wake(deployment)

    def _wake(self, deployment: int) -> None:
        """Every follower, each of which may be somewhere else: so the event is not cleared but replaced."""
        if changed := self._changed.pop(deployment, None):
            changed.set()


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
