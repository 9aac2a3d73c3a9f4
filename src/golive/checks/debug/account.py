"""What one examination saw, step by step; the same shape for a request, CORS, DNS, TLS and databases."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "failed", "warning", "note"]


@dataclass(frozen=True)
class Step:
    """One thing that was asked, what was seen, and what that means or what mends it ("" where that is plain)."""

    state: State
    about: str
    seen: str
    means: str = ""


@dataclass(frozen=True)
class Phase:
    """A part of the time, for a waterfall: seconds from the beginning, and how long."""

    name: str
    began: float
    took: float


@dataclass(frozen=True)
class Account:
    """`verdict` is the answer in a sentence."""

    title: str
    verdict: str
    steps: tuple[Step, ...] = ()
    phases: tuple[Phase, ...] = ()

    @property
    def failed(self) -> bool:
        return any(step.state == "failed" for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """Times in seconds."""
        return {**asdict(self), "failed": self.failed}
