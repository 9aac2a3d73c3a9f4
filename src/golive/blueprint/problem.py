"""One thing that is wrong with a blueprint or its environment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from golive.errors import BlueprintError

MAX_TEXT = 400
"""Characters of a message, a path or a hint."""


def _printable(text: str) -> str:
    shown = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in shown)


@dataclass(frozen=True)
class Problem:
    """`path` is the key path (`services.api.health.ready`); `line` is 1-based in `file`, when known."""

    path: str
    message: str
    hint: str | None = None
    file: str | None = None
    line: int | None = None

    def __post_init__(self) -> None:
        # A checkout may be a stranger's: what it says must not steer the terminal or fill the screen.
        object.__setattr__(self, "path", _printable(self.path))
        object.__setattr__(self, "message", _printable(self.message))
        object.__setattr__(self, "hint", _printable(self.hint) if self.hint else None)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.file and self.line else f"{self.file}: " if self.file else ""
        path = f"{self.path}: " if self.path else ""
        hint = f"\n    hint: {self.hint}" if self.hint else ""
        return f"{place}{path}{self.message}{hint}"

    def to_json(self) -> dict[str, Any]:
        return {k: v for k, v in asdict(self).items() if v is not None}


def blueprint_error(problems: Iterable[Problem]) -> BlueprintError:
    """All of them as one error, in the order of the file."""
    found = tuple(sorted(problems, key=lambda p: (p.file or "", p.line or 0, p.path)))
    count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
    return BlueprintError(f"{count} in the blueprint:\n" + "\n".join(f"  {p}" for p in found), found)
