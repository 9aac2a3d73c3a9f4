"""The report to read: one HTML file without anything from elsewhere, that prints and works without scripts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from itertools import groupby

from golive import __version__
from golive.checks import guides
from golive.checks.model import Result, Setting, Status

_SIGNS = {
    Status.PASS: ("✓", "passed"),
    Status.WARNING: ("!", "to look at"),
    Status.FAIL: ("✕", "failed"),
    Status.NOT_APPLICABLE: ("–", "not applicable"),
    Status.COULD_NOT_TELL: ("?", "could not tell"),
}
_NAMES = {"tls": "TLS", "cors": "CORS", "dns": "DNS"}
_ORDER = (Status.FAIL, Status.WARNING, Status.COULD_NOT_TELL, Status.PASS, Status.NOT_APPLICABLE)
_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5c6776;--line:#e2e6ec;--paper:#fff;--page:#f5f6f8;--code:#f1f3f6;
--pass:#1a7f4b;--fail:#c0322b;--warning:#9a6200;--other:#6b7280;--tell:#6d3fb0}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa5b4;--line:#2d3541;--paper:#171c24;--page:#0f1319;
--code:#10151c;--pass:#52c98a;--fail:#ff7a70;--warning:#e5ac47;--other:#8a94a3;--tell:#b794f0}}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:2rem 1rem 4rem}h1{font-size:1.6rem;margin:0;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:2rem 0 .5rem;display:flex;gap:.6rem;align-items:baseline;text-transform:capitalize}
h2 span{font-weight:400;font-size:.85rem;color:var(--soft);text-transform:none}
header p{color:var(--soft);margin:.2rem 0 1.2rem}
.tally{display:flex;flex-wrap:wrap;gap:.6rem;margin:0 0 1rem;padding:0;list-style:none}
.tally li{background:var(--paper);border:1px solid var(--line);border-radius:.6rem;padding:.5rem .9rem;min-width:7rem}
.tally b{display:block;font-size:1.5rem;line-height:1.2}
.bar{display:flex;height:.5rem;border-radius:.3rem;overflow:hidden}
.bar i{display:block}.list{background:var(--paper);border:1px solid var(--line);border-radius:.6rem;overflow:hidden}
details,.row{border-top:1px solid var(--line)}.list>:first-child{border-top:0}
summary{cursor:pointer;padding:.6rem .9rem;display:grid;grid-template-columns:1.6rem 1fr auto;gap:.3rem;list-style:none}
summary::-webkit-details-marker{display:none}summary:focus-visible{outline:2px solid var(--tell);outline-offset:-2px}
summary .said{color:var(--soft);overflow-wrap:anywhere}summary code{color:var(--soft);font-size:.8rem}
.sign{font-weight:700}.pass{color:var(--pass)}.fail{color:var(--fail)}.warning{color:var(--warning)}
.not-applicable{color:var(--other)}.could-not-tell{color:var(--tell)}
.more{padding:0 .9rem .9rem 2.8rem}.more p{margin:.3rem 0}
pre{background:var(--code);border-radius:.4rem;padding:.6rem .8rem;
overflow-x:auto;font-size:.82rem;margin:.4rem 0;white-space:pre-wrap;overflow-wrap:anywhere}pre b{color:var(--soft);
font-weight:600}.mend{border-left:3px solid var(--tell);padding-left:.7rem}table{border-collapse:collapse;width:100%;
background:var(--paper);font-size:.9rem}td,th{border:1px solid var(--line);padding:.35rem .6rem;text-align:left;
vertical-align:top}td p{margin:0 0 .3rem;overflow-wrap:anywhere}td small{color:var(--soft)}.wide{overflow-x:auto}
a{color:inherit}footer{color:var(--soft);font-size:.85rem;margin-top:2rem}
@media(max-width:40rem){summary{grid-template-columns:1.6rem 1fr}summary code{grid-column:2}.more{padding-left:.9rem}}
@media print{body{background:#fff}details>.more{display:block}}
"""


def report(title: str, results: Sequence[Result], now: datetime) -> str:
    """The page: what is wrong is open, the rest folds."""
    bodies = [
        _family(family, list(grouped)) for family, grouped in groupby(results, key=lambda result: result.check.family)
    ]
    return (
        "".join(
            [
                '<!doctype html><html lang="en"><meta charset="utf-8">',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                f"<title>{escape(title)} – golive check</title><style>{_STYLE}</style><main>",
                f"<header><h1>{escape(title)}</h1><p>golive check {__version__}, {now:%Y-%m-%d %H:%M} UTC, ",
                f"{len(results)} checks</p>{_tally(results)}</header>",
                *bodies,
                _guides(results),
                "<footer>What golive.toml ignores is marked with its reason. Values of secrets and cookies are masked.",
                "</footer></main></html>\n",
            ]
        )
        .encode(errors="replace")
        .decode()
    )


def _tally(results: Sequence[Result]) -> str:
    counted = {s: sum(r.status is s and not r.ignored for r in results) for s in _ORDER}
    items = "".join(
        f'<li><b class="{_class(s)}">{n}</b>{_SIGNS[s][1]}</li>' for s, n in counted.items() if n or s is Status.FAIL
    )
    colours = {
        Status.FAIL: "fail",
        Status.WARNING: "warning",
        Status.COULD_NOT_TELL: "tell",
        Status.PASS: "pass",
        Status.NOT_APPLICABLE: "line",
    }
    bar = "".join(f'<i style="flex:{n};background:var(--{colours[s]})"></i>' for s, n in counted.items() if n)
    return f'<ul class="tally">{items}</ul><div class="bar" aria-hidden="true">{bar}</div>'


def _family(name: str, results: list[Result]) -> str:
    counted = [(s, sum(r.status is s for r in results)) for s in _ORDER]
    said = ", ".join(f"{n} {_SIGNS[s][1]}" for s, n in counted if n)
    shown = escape(_NAMES.get(name, name))
    return f'<h2>{shown} <span>{said}</span></h2><div class="list">{"".join(map(_result, results))}</div>'


def _result(result: Result) -> str:
    check, outcome = result.check, result.outcome
    opened = " open" if result.status is Status.FAIL and not result.ignored else ""
    note = f"<p><b>Ignored</b> {escape(result.ignored)}</p>" if result.ignored else ""
    evidence = "".join(f"<pre><b>{escape(e.asked)}</b>\n{escape(e.shown())}</pre>" for e in outcome.evidence)
    mend = ""
    if outcome.fix and result.status is not Status.PASS:
        lines = "\n".join(_setting(s) for s in outcome.fix.settings)
        mend = f'<div class="mend"><p><b>Mend</b> {escape(outcome.fix.text)}</p>'
        mend += (f"<pre>{escape(lines)}</pre>" if lines else "") + "</div>"
    return (
        f'<details id="{check.id}"{opened}><summary><span class="sign {_class(result.status)}" '
        f'title="{result.status.value}">{_SIGNS[result.status][0]}</span><span>{escape(check.title)} '
        f'<span class="said">{escape(outcome.text)}</span></span><code>{check.id}</code></summary>'
        f'<div class="more">{note}<p>{escape(check.why)}</p>{evidence}{mend}</div></details>'
    )


def _guides(results: Sequence[Result]) -> str:
    """Every line of the guides: how it stands, the checks that answer it, and what they saw."""
    lines = guides.answered(results)
    rows = "".join(map(_line, lines))
    counted = [(s, sum(line.status is s for line in lines)) for s in _ORDER]
    said = ", ".join(f"{n} {_SIGNS[s][1]}" for s, n in counted if n)
    head = "<tr><th>guide</th><th>its line</th><th>what was seen</th></tr>"
    return (
        "<h2>The guides <span>each line of their checklists, and what answers it</span></h2>"
        f'<details class="list"><summary><span></span><span>{len(lines)} lines: {said}</span></summary>'
        f'<div class="wide"><table>{head}{rows}</table></div></details>'
    )


def _line(line: guides.Line) -> str:
    nothing = "<p>nothing was asked: left out of this run, or only of an app of golive's</p>"
    seen = "".join(map(_seen, line.results)) or nothing
    sign = f'<span class="sign {_class(line.status)}">{_SIGNS[line.status][0]} {_SIGNS[line.status][1]}</span>'
    name = f'id="line-{line.id}" data-status="{_class(line.status)}"'
    return f"<tr {name}><td>{line.id}</td><td>{escape(line.text)}<br>{sign}</td><td>{seen}</td></tr>"


def _seen(result: Result) -> str:
    """One check in a line: its result and, shortly, the evidence; all of it stands where the link leads."""
    sign = f'<span class="{_class(result.status)}">{_SIGNS[result.status][0]}</span>'
    link = f'<a href="#{result.check.id}">{result.check.id}</a>'
    note = f" (ignored {escape(result.ignored)})" if result.ignored else ""
    proof = ""
    if result.outcome.evidence:
        first = result.outcome.evidence[0]
        asked, came = first.asked.partition("\n")[0], first.came.strip().partition("\n")[0]
        proof = f"<small>{escape(asked[:100])} → {escape(came[:100]) or 'nothing'}</small>"
    return f"<p>{sign} {link}: {escape(result.outcome.text)}{note} {proof}</p>"


def _setting(setting: Setting) -> str:
    import json

    *tables, key = setting.path
    name = key if key.replace("_", "").isalnum() else json.dumps(key)
    return (f"[{'.'.join(tables)}]\n" if tables else "") + f"{name} = {json.dumps(setting.value)}"


def _class(status: Status) -> str:
    return status.value.replace(" ", "-")
