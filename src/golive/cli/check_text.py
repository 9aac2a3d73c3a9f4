"""Results of the checklist in a terminal, and as JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from golive.cli import output

if TYPE_CHECKING:
    from golive.checks.model import Result

SIGNS = {"pass": "✓", "fail": "✗", "warning": "!", "not applicable": "–", "could not tell": "?"}
STYLES = {
    "pass": "green",
    "fail": "bold red",
    "warning": "yellow",
    "not applicable": "dim",
    "could not tell": "magenta",
}
WORDS = {"fail": "failed", "warning": "to look at", "could not tell": "could not tell", "pass": "passed"}
WORDS |= {"not applicable": "not applicable"}
SHOWN = ("fail", "warning")
"""What is shown without --all, with its evidence; what could not be told is shown with its reason."""


def as_json(title: str, results: Sequence[Result], seconds: float) -> dict[str, Any]:
    """The whole result; `summary` counts what golive.toml does not ignore, `guides` how each of their lines stands."""
    from golive.checks import guides

    return {
        "target": title,
        "seconds": round(seconds, 2),
        "summary": counts(results),
        "checks": [result.to_json() for result in results],
        "guides": [
            {
                "line": line.id,
                "text": line.text,
                "status": line.status.value,
                "checks": [r.check.id for r in line.results],
            }
            for line in guides.answered(results)
        ],
    }


def counts(results: Sequence[Result]) -> dict[str, int]:
    """How many of each status; ignored ones by themselves."""
    found = dict.fromkeys(WORDS, 0)
    for result in results:
        if not result.ignored:
            found[result.status.value] += 1
    return found | {"ignored": sum(bool(result.ignored) for result in results)}


def show(title: str, results: Sequence[Result], seconds: float, *, everything: bool) -> None:
    """On stdout, by family: a line for each that is well, the rest in full."""
    print(output.paint(title, "bold", sys.stdout))
    width = max((len(result.check.family) for result in results), default=0)
    for family, grouped in groupby(results, key=lambda result: result.check.family):
        _family(family, list(grouped), width, everything=everything)
    said = counts(results)
    parts = [_painted(f"{said[status]} {word}", status) for status, word in WORDS.items() if said[status]]
    if said["ignored"]:
        parts.append(output.paint(f"{said['ignored']} ignored", "dim", sys.stdout))
    print(f"\n{', '.join(parts)} in {seconds:.1f} s")


def _family(name: str, results: list[Result], width: int, *, everything: bool) -> None:
    worst = next((s for s in ("fail", "warning", "could not tell", "pass") if _has(results, s)), "not applicable")
    tally = counts(results)
    parts = [f"{tally[status]} {word}" for status, word in WORDS.items() if tally[status]]
    if tally["ignored"]:
        parts.append(f"{tally['ignored']} ignored")
    print(f"{_sign(worst)} {name.ljust(width)}  {output.paint(', '.join(parts), 'dim', sys.stdout)}")
    for result in results:
        if everything or (not result.ignored and result.status.value in SHOWN):
            _result(result)
    if not everything:
        _untold([result for result in results if result.status.value == "could not tell" and not result.ignored])


def _untold(results: list[Result]) -> None:
    """What could not be told: a reason once, with all that it concerns, and what tells."""
    reasons: dict[str, list[str]] = {}
    for result in results:
        mend = f"; {result.outcome.fix.text}" if result.outcome.fix else ""
        reasons.setdefault(result.outcome.text + mend, []).append(result.check.id)
    for reason, ids in reasons.items():
        print(output.wrap(f"{', '.join(ids)}: {reason}", f"  {_sign('could not tell')} ", "    ", sys.stdout))


def _result(result: Result) -> None:
    check, outcome = result.check, result.outcome
    status = result.status.value
    sign = _sign("not applicable" if result.ignored else status)
    note = f" (ignored {result.ignored})" if result.ignored else ""
    print(output.wrap(f"{check.title}: {outcome.text}{note}", f"  {sign} ", "    ", sys.stdout))
    print(output.paint(f"    {check.id}", "dim", sys.stdout))
    if status in SHOWN:
        print(output.wrap(check.why, "    why:  ", " " * 10, sys.stdout))
    for evidence in outcome.evidence[:3]:
        _lines(evidence.asked, "> ")
        _lines(evidence.shown(), "< ")
    if outcome.fix and status != "pass":
        print(output.wrap(outcome.fix.text, f"    {output.paint('mend:', 'cyan', sys.stdout)} ", " " * 10, sys.stdout))
        for setting in outcome.fix.settings:
            print(output.paint(f"          {line(setting.path, setting.value)}", "dim", sys.stdout))


def line(path: tuple[str, ...], value: Any) -> str:
    """A setting as golive.toml writes it, its table before it."""
    import json

    *tables, key = path
    table = f"[{'.'.join(tables)}] " if tables else ""
    return f"{table}{key if key.replace('_', '').isalnum() else json.dumps(key)} = {json.dumps(value)}"


def _lines(text: str, before: str) -> None:
    room = output.width(sys.stdout)
    for at, row in enumerate(text.splitlines()[:12]):
        shown = output.cut(row, room - 6 if room else None)
        print(output.paint(f"    {before if at == 0 else '  '}{shown}", "dim", sys.stdout))


def _has(results: list[Result], status: str) -> bool:
    return any(result.status.value == status and not result.ignored for result in results)


def _sign(status: str) -> str:
    sign = SIGNS[status] if output.unicode_ok(sys.stdout) else output.PLAIN_MARKS.get(SIGNS[status], SIGNS[status])
    return _painted(sign, status)


def _painted(text: str, status: str) -> str:
    return output.paint(text, STYLES[status], sys.stdout)
