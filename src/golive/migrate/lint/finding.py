"""What the linter says: one finding for each thing that a statement does to a running application."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """`stop`: the deploy refuses before anything ran. `held`: the file waits until nobody needs what it takes away.
    `warning` and `note` are only said."""

    STOP = "stop"
    HELD = "held"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """`line` is 1-based in `file`; `lock` is PostgreSQL's name of the lock that does the harm; `safe` is SQL, or what
    to do; `evidence` are places in the code of a running release. `accepted` is the reason of who allowed it.
    `script` is the name of the migration, which of a file with contract sections is one of its two."""

    level: Level
    rule: str
    file: str
    line: int
    statement: str
    what: str
    why: str
    lock: str = ""
    safe: str = ""
    evidence: tuple[str, ...] = ()
    accepted: str = ""
    script: str = ""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "level": self.level.value}


@dataclass(frozen=True)
class Held:
    """A contract file that is not run now. `reason` says who still needs what it takes away, and until when."""

    file: str
    reason: str


@dataclass(frozen=True)
class Verdict:
    """Of a set of pending migrations. `statements` is how many were read; `sized`: by the sizes of a real database."""

    findings: tuple[Finding, ...] = ()
    held: tuple[Held, ...] = ()
    statements: int = 0
    sized: bool = True

    @property
    def stops(self) -> tuple[Finding, ...]:
        return tuple(found for found in self.findings if found.level is Level.STOP)

    def to_json(self) -> dict[str, Any]:
        return {
            "findings": [found.to_json() for found in self.findings],
            "held": [asdict(one) for one in self.held],
            "statements": self.statements,
            "sized": self.sized,
        }
