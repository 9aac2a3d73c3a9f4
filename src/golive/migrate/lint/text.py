"""Findings in words: for an error, a journal, a terminal."""

from __future__ import annotations

import textwrap

from golive.errors import MigrationFailed
from golive.migrate.lint.finding import Finding, Held, Level, Verdict

_WIDTH = 110


def refuse(verdict: Verdict) -> None:
    """MigrationFailed with every finding that stops, when there is one; nothing has run."""
    stops = verdict.stops
    if not stops:
        return
    count = "1 statement" if len(stops) == 1 else f"{len(stops)} findings"
    allow = next((f.rule for f in stops if f.rule not in ("allow-comment", "contract-mark", "contract-order")), "")
    accept = (
        f"; or, if you know better, put `-- golive: allow {allow} because REASON` above the statement" if allow else ""
    )
    raise MigrationFailed(
        f"the pending migrations are dangerous to what runs: {count}",
        where=f"{stops[0].file}:{stops[0].line}",
        why="\n\n".join(finding(found) for found in stops),
        hint=f"Nothing was changed and the old release keeps serving. Write the safe form{accept}. Then deploy again.",
    )


def finding(found: Finding) -> str:
    """Where, what, why, and what to do instead, on some lines."""
    lock = f" [{found.lock}]" if found.lock else ""
    lines = [f"{found.file}:{found.line}  {found.rule}: {found.what}{lock}", f"  {found.statement}"]
    lines += textwrap.wrap(found.why, _WIDTH, initial_indent="  ", subsequent_indent="  ")
    lines += [f"  {place}" for place in found.evidence]
    if found.accepted:
        return "\n".join([*lines[:2], f"  allowed: {found.accepted}"])
    safe = found.safe.splitlines()
    return "\n".join([*lines, f"  instead: {safe[0]}", *(f"           {line}" for line in safe[1:])])


def said(verdict: Verdict) -> list[str]:
    """A sentence for each warning and each file that waits."""
    warnings = [each for each in verdict.findings if each.level is Level.WARNING]
    waiting = {held.file for held in verdict.held}
    lines = [f"{w.file}:{w.line} {w.rule}: {w.what}. {w.why}" for w in warnings if w.script not in waiting]
    return [*lines, *map(waits, verdict.held)]


def waits(held: Held) -> str:
    return f"{held.file} waits: {held.reason} When that is over, `golive migrate up` or the next deploy applies it."


def summary(verdict: Verdict) -> str:
    """For the evidence of a deploy; nothing when there was nothing to read."""
    if not verdict.statements:
        return ""
    count = f"{verdict.statements} statement{'s' * (verdict.statements != 1)}"
    accepted = sum(bool(found.accepted) for found in verdict.findings)
    parts = [f"{count} linted, {len(verdict.stops)} dangerous"]
    parts += [f"{accepted} accepted with a reason"] if accepted else []
    parts += [f"{len(verdict.held)} held back"] if verdict.held else []
    return ", ".join(parts)
