"""Events of deployments: kept in memory while they run, made again from the journal when somebody asks later."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from golive.release.journal import Event
from golive.state.records import DeploymentState, Step
from golive.state.store import State

KEEP = 50
"""Ended deployments whose events stay in memory."""
LOGS = 5000
"""Lines of output kept of one deployment for those who come late; the oldest go first."""


@dataclass
class _Stream:
    """The events of one deployment, each with a number. The latest progress takes the place of the one before."""

    count: int = 0
    story: list[tuple[int, Event]] = field(default_factory=list)
    logs: deque[tuple[int, Event]] = field(default_factory=lambda: deque(maxlen=LOGS))
    progress: tuple[int, Event] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, event: Event) -> None:
        self.count += 1
        if event["type"] == "progress":
            self.progress = (self.count, event)
        else:
            (self.logs if event["type"] == "log" else self.story).append((self.count, event))
        self.wake()

    def wake(self) -> None:
        """All who wait now; who looks afterwards waits on a new one, so nobody is missed."""
        self.changed.set()
        self.changed = asyncio.Event()

    def after(self, seen: int) -> list[tuple[int, Event]]:
        found = [pair for kept in (self.story, self.logs) for pair in kept if pair[0] > seen]
        if self.progress and self.progress[0] > seen:
            found.append(self.progress)
        return sorted(found, key=lambda pair: pair[0])


class Events:
    """Publish and follow. A follower that comes late gets everything from the beginning."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._streams: dict[int, _Stream] = {}
        self._over: deque[int] = deque()

    def publish(self, deployment: int, event: Event) -> None:
        self._streams.setdefault(deployment, _Stream()).add(event)

    async def follow(self, deployment: int) -> AsyncIterator[Event]:
        """From the first event to the end of the deployment; the last one has type `end`."""
        row = self._state.deployment(deployment)
        if deployment not in self._streams:
            for event in from_journal(self._state.steps(deployment)):
                yield event
            if row.state.ended:
                yield end_event(row.state, row.error, row.result)
                return
        stream = self._streams.setdefault(deployment, _Stream())
        seen = 0
        while True:
            changed = stream.changed
            for number, event in stream.after(seen):
                seen = number
                yield event
            if stream.count > seen:
                continue
            row = self._state.deployment(deployment)
            if row.state.ended:
                yield end_event(row.state, row.error, row.result)
                return
            await changed.wait()

    def wake(self) -> None:
        """All followers look at the state again: deployments were settled without events."""
        for stream in self._streams.values():
            stream.wake()

    def ended(self, deployment: int) -> None:
        """Its end is in the state: followers are told, and of the oldest ones nothing is kept."""
        if deployment not in self._streams:
            return
        self._streams[deployment].wake()
        self._over.append(deployment)
        while len(self._over) > KEEP:
            self._streams.pop(self._over.popleft(), None)


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
