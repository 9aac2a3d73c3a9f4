"""The report: lines for a terminal, and one HTML file with a plot that needs nothing from elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

from golive import __version__
from golive.checks.load.search import Step
from golive.checks.load.verdict import Report
from golive.checks.load.watch import shown

WIDE, HIGH, EDGE = 720, 260, 46
WHY = {"": "holds", "latency": "too slow", "errors": "fails", "limited": "429s", "generator": "generator full"}
HEADERS = ("rate", "answered/s", "p50", "p95", "p99", "failed", "429", "")
_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5c6776;--line:#e2e6ec;--page:#f5f6f8;--a:#2563c9;--b:#c0322b}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa5b4;--line:#2d3541;--page:#0f1319;--a:#7fb0ff;
--b:#ff7a70}}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:2rem 1rem}h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem}
p,li,footer{overflow-wrap:anywhere}footer,header p{color:var(--soft)}table{border-collapse:collapse;width:100%}
td,th{border-bottom:1px solid var(--line);padding:.3rem .6rem;text-align:right}svg{width:100%;height:auto}
text{fill:var(--soft);font-size:11px}.bad{color:var(--b)}
"""


def sentences(report: Report) -> list[str]:
    """What it comes to, the answer first."""
    found = []
    if (held := report.capacity) is None:
        told = all(step.why == "generator" for step in report.steps)
        found.append("Nothing can be said of the app at this rate." if told else f"No rate held: {report.bar}.")
    else:
        least = "at least " if held.at_least else ""
        found.append(
            f"Holds {least}{held.rate:g} requests/s with {report.bar}: about {held.users:,} users "
            f"with {held.think:g} s between two requests."
        )
        if held.instance is not None:
            found.append(
                f"One instance: {least}{held.instance:g} requests/s, {int(held.instance * held.think):,} users."
            )
        if held.machine is not None:
            found.append(
                f"This machine: about {held.machine:g} requests/s, {int(held.machine * held.think):,} users, estimated."
            )
    if any(step.refused > report.bar.errors * step.sent for step in report.steps):
        found.append("More than a few answers were 4xx other than 429: does the mix ask for what is there?")
    if report.limit:
        found += [f"Ends first: {report.limit.what}.", f"To change it: {report.limit.todo}."]
    if held and held.assumptions:
        found.append(f"Assumed: {'; '.join(held.assumptions)}.")
    return found


def row(step: Step) -> tuple[str, ...]:
    times = (f"{each * 1000:,.0f} ms" for each in (step.p50, step.p95, step.p99))
    return (
        f"{step.rate:g}/s",
        f"{step.throughput:g}",
        *times,
        str(step.failed),
        str(step.limited),
        WHY[step.why] + (f" ({step.failures[0]})" if step.failures else ""),
    )


def bars(steps: Sequence[Step], wide: int = 24, block: str = "█") -> list[str]:
    """A line for each rate: how much was answered, and p95, as bars."""
    most = max((step.throughput for step in steps), default=0) or 1
    slowest = max((step.p95 for step in steps), default=0) or 1
    return [
        f"{step.rate:>9,.1f}/s  {block * round(step.throughput / most * wide):<{wide}} {step.throughput:>9,.1f}/s   "
        f"p95 {block * round(step.p95 / slowest * wide):<{wide}} {step.p95 * 1000:>8,.0f} ms"
        for step in sorted(steps, key=lambda step: step.rate)
    ]


def html(report: Report, now: datetime) -> str:
    """The whole page."""
    rows = "".join(
        f"<tr{'' if step.holds else ' class=bad'}>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row(step))
        + "</tr>"
        for step in sorted(report.steps, key=lambda step: step.rate)
    )
    used = max(report.steps, key=lambda step: step.rate).uses if report.steps else ()
    uses = "".join(f"<li>{escape(shown(use))}</li>" for use in used)
    return "".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(report.target)} – golive load</title><style>{_STYLE}</style><main>",
            f"<header><h1>{escape(report.target)}</h1>",
            f"<p>golive load {__version__}, {now:%Y-%m-%d %H:%M} UTC</p></header>",
            *(f"<p>{escape(line)}</p>" for line in sentences(report)),
            plot(sorted(report.steps, key=lambda step: step.rate), report.bar.p95),
            f"<table><tr>{''.join(f'<th>{name}</th>' for name in HEADERS)}</tr>{rows}</table>",
            f"<h2>In use at the highest rate</h2><ul>{uses}</ul>" if uses else "",
            f"<h2>The mix</h2><ul>{''.join(f'<li>{escape(line)}</li>' for line in report.mix)}</ul>",
            "<footer>Arrivals by schedule; each request is timed from the moment it was due.</footer></main></html>\n",
        ]
    )


def plot(steps: Sequence[Step], bar: float) -> str:
    """SVG: what was answered (left) and p95 (right) over the rate that was asked for; the bar as a dashed line."""
    right = max((step.rate for step in steps), default=0) or 1
    top = max((step.throughput for step in steps), default=0) or 1
    slow = max([bar * 1.2, *(step.p95 for step in steps)])

    def x(rate: float) -> float:
        return EDGE + rate / right * (WIDE - 2 * EDGE)

    def y(share: float) -> float:
        return HIGH - EDGE / 2 - share * (HIGH - EDGE)

    def line(points: list[tuple[float, float]], colour: str) -> str:
        shape = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="var({colour})"/>' for a, b in points)
        return f'<polyline points="{shape}" fill="none" stroke="var({colour})" stroke-width="2"/>{dots}'

    answered = line([(x(step.rate), y(step.throughput / top)) for step in steps], "--a")
    late = line([(x(step.rate), y(step.p95 / slow)) for step in steps], "--b")
    at = y(bar / slow)
    return (
        f'<svg viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="answered per second and p95 over the rate">'
        f'<path d="M{EDGE} {y(1):.1f}V{y(0):.1f}H{WIDE - EDGE}V{y(1):.1f}" fill="none" stroke="var(--line)"/>'
        f'<path d="M{EDGE} {at:.1f}H{WIDE - EDGE}" stroke="var(--b)" stroke-dasharray="4 4" opacity=".6"/>'
        f'<text x="4" y="{y(1) + 4:.1f}" style="fill:var(--a)">{top:,.0f}/s</text>'
        f'<text x="4" y="{y(0):.1f}" style="fill:var(--a)">answered</text>'
        f'<text x="{WIDE - EDGE + 4}" y="{y(1) + 4:.1f}" style="fill:var(--b)">{slow * 1000:,.0f} ms</text>'
        f'<text x="{WIDE - EDGE + 4}" y="{y(0):.1f}" style="fill:var(--b)">p95</text>'
        f'<text x="{WIDE / 2:.0f}" y="{HIGH - 4}">rate, up to {right:,.0f} requests/s</text>{answered}{late}</svg>'
    )
