"""The journal of a deployment: each step is in the state before it begins and after it ends, and shown live."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from golive.errors import GoliveError
from golive.secret import Mask
from golive.state.store import State

Event = dict[str, Any]
"""`{"type": "step" | "log" | "note" | "progress" | "end", …}`, as the API streams it. No secrets."""


@dataclass
class Journal:
    """Writes steps of one deployment and publishes events. `mask` is applied to every text that leaves."""

    state: State
    deployment: int
    publish: Callable[[Event], None]
    mask: Mask = field(default_factory=Mask)

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[StepNote]:
        """A step; its outcome follows from how the block is left. Set `detail` on what it yields to say more."""
        position = self.state.begin_step(self.deployment, name)
        began = time.monotonic()
        note = StepNote()
        self.publish({"type": "step", "name": name, "state": "running"})
        try:
            yield note
        except BaseException as error:
            cancelled = isinstance(error, asyncio.CancelledError)
            detail = "cancelled" if cancelled else self.mask(getattr(error, "what", str(error)))
            self._end(position, name, ("undone" if cancelled else "failed", detail), began)
            raise
        self._end(position, name, ("skipped" if note.skipped else "done", self.mask(note.detail)), began)

    def _end(self, position: int, name: str, outcome: tuple[str, str], began: float) -> None:
        state, detail = outcome
        self.state.end_step(self.deployment, position, state, detail)
        seconds = round(time.monotonic() - began, 3)
        self.publish({"type": "step", "name": name, "state": state, "detail": detail, "seconds": seconds})

    def log(self, source: str, line: str) -> None:
        """A line of a program's output: a build, a migration tool."""
        self.publish({"type": "log", "source": source, "line": self.mask(line)})

    def note(self, text: str) -> None:
        """A sentence for the user."""
        self.publish({"type": "note", "text": self.mask(text)})

    def progress(self, what: str, done: int, total: int | None) -> None:
        """`done` of `total` bytes."""
        self.publish({"type": "progress", "what": what, "done": done, "total": total})

    def masked(self, error: GoliveError) -> GoliveError:
        """The error with every known secret masked, in place."""
        error.what, error.log = self.mask(error.what), self.mask(error.log)
        error.where = self.mask(error.where) if error.where else None
        error.why = self.mask(error.why) if error.why else None
        error.hint = self.mask(error.hint) if error.hint else None
        return error


@dataclass
class StepNote:
    detail: str = ""
    skipped: bool = False
