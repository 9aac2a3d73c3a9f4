"""What is wrong with a store and what to do about it, as values: the form that every engine's findings have."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["critical", "warning", "note"]
LEVELS: tuple[Level, ...] = ("critical", "warning", "note")
_LITERAL = re.compile(r"'(?:[^']|'')*'?")
_NUMBER = re.compile(r"(?<![\w$.])\d+(?:\.\d+)?")
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True)
class Finding:
    """`critical`: it refuses work, or soon will. `warning`: it costs speed or space. `note`: worth knowing.

    `code` names the kind, `about` the table, index, session or key space; `todo` is a command or a sentence.
    """

    level: Level
    code: str
    about: str
    what: str
    todo: str


@dataclass(frozen=True)
class Insight:
    """One store looked at: `facts` are plain data, as JSON has it."""

    engine: Literal["postgres", "redis"]
    version: str
    facts: dict[str, Any]
    findings: tuple[Finding, ...]


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: LEVELS.index(finding.level)))


def without_values(statement: str, longest: int = 160) -> str:
    """A statement on one line without its literals: a query that runs has people's data in it."""
    text = " ".join(_NUMBER.sub("?", _LITERAL.sub("?", statement)).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def named(*parts: str) -> str:
    """A name as SQL takes it, quoted where it must be."""
    return ".".join(part if _PLAIN.fullmatch(part) else '"' + part.replace('"', '""') + '"' for part in parts)
