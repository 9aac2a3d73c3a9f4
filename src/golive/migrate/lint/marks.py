"""What the author says to the linter, in comments: `-- golive: allow RULE because REASON`, `contract`, `end`.

An `allow` holds for the statement that it stands above or in; for the whole file when it stands before the first one
with an empty line between. Alembic and Django revisions say it with `#`, for the whole revision.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from golive.errors import nearest
from golive.migrate.files import MigrationFile, Part
from golive.migrate.lint.rules import RULES
from golive.migrate.sql import Statement

_MARK = re.compile(r"(?:--|#)\s*golive:\s*(?P<word>allow|contract|end)\b(?P<rest>[^\n]*)", re.IGNORECASE)
_ALLOW = re.compile(r"\s*(?P<rules>[\w-]+(?:\s*,\s*[\w-]+)*)\s+because\b[\s:]*(?P<reason>\S.*)", re.IGNORECASE)
_WHOLE = "A part of a file can wait only in plain SQL files: this tool's own record knows nothing but whole ones."
_NAMED = re.compile(r"\.contract(\.up)?\.sql$", re.IGNORECASE)


@dataclass(frozen=True)
class Marks:
    """`file` are the rules that are accepted everywhere, with the reason; `lines` those of a statement, by the line
    that it starts at. `contract` is the line of the mark, 0 for a file that is named so. `problems` are line, rule,
    what and why."""

    file: dict[str, str]
    lines: dict[int, dict[str, str]]
    contract: int | None = None
    problems: tuple[tuple[int, str, str, str], ...] = ()

    def accepted(self, rule: str, line: int) -> str:
        """The reason, or nothing."""
        return self.lines.get(line, {}).get(rule) or self.file.get(rule, "")


def read(name: str, text: str, statements: Sequence[Statement], part: Part = "") -> Marks:
    """Pure. `statements` are all of the file, of which the script may be a `part`."""
    marks = Marks({}, {}, 0 if _NAMED.search(name) else None)
    contract, problems = marks.contract, []
    lines = text.split("\n")
    first = statements[0].line if statements else len(lines) + 1
    for match in _MARK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if match["word"].lower() != "allow":
            starts = match["word"].lower() == "contract"
            if not part and (line > first if starts else any(each.line > line for each in statements)):
                what = "the mark stands after the first statement" if starts else "a section that ends before the file"
                problems.append((line, "contract-mark", what, _WHOLE))
            contract = line if starts and part != "rest" else contract
            continue
        allowed, wrong = _allowed(match["rest"])
        problems += [(line, "allow-comment", what, why) for what, why in wrong]
        apart = line < first and any(not each.strip() for each in lines[line : first - 1])
        target = _statement_at(line, statements)
        if apart or target is None:
            marks.file.update(allowed)
        else:
            marks.lines.setdefault(target.line, {}).update(allowed)
    return Marks(marks.file, marks.lines, contract, tuple(problems))


def is_contract(file: MigrationFile) -> bool:
    """Whether all of the file was marked as one that takes something away."""
    if file.part:
        return file.part == "contract"
    text = file.path.read_text(encoding="utf-8-sig", errors="replace")
    return read(str(file.path), text, file.script.statements).contract is not None


def revision(text: str) -> dict[str, str]:
    """What a revision written in Python accepts, everywhere in it."""
    allows = [m["rest"] for m in _MARK.finditer(text) if m["word"].lower() == "allow"]
    return {rule: reason for rest in allows for rule, reason in _allowed(rest)[0].items()}


def _statement_at(line: int, statements: Sequence[Statement]) -> Statement | None:
    """The statement that the line is in or behind, else the next one."""
    for statement in statements:
        if line <= statement.line + statement.text.count("\n"):
            return statement
    return None


def _allowed(rest: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    match = _ALLOW.fullmatch(rest.rstrip())
    if not match:
        return {}, [("an `allow` without a reason", "It has to say why: -- golive: allow RULE because REASON")]
    found: dict[str, str] = {}
    wrong = []
    for rule in re.split(r"\s*,\s*", match["rules"]):
        if rule in RULES:
            found[rule] = match["reason"].strip()
        else:
            near = nearest(rule, RULES)
            wrong.append((f"there is no rule {rule}", f"Did you mean {near}?" if near else "The guide lists them."))
    return found, wrong
