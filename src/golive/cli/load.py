"""golive load: what an app holds, where it breaks first, how many users that is."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from golive.cli import complete, output
from golive.cli.place import environment_option, find
from golive.errors import GoliveError, UsageError
from golive.units import Rate, duration

if TYPE_CHECKING:
    from golive.checks.load.generator import Job, Measured
    from golive.checks.load.scenario import Request
    from golive.checks.load.search import Bar, Step
    from golive.checks.load.verdict import Report
    from golive.cli.load_app import Subject

FILE = click.Path(dir_okay=False, path_type=Path)
MOST, MOST_ELSEWHERE = 20_000.0, 50.0
"""Requests a second: to an app of golive's own, and to any other address, unless --most says more."""
LONGEST = 3600.0
SLOWEST = 0.1
FEWEST = 5
"""Requests that a rate of a search is kept for at least."""


@dataclass(frozen=True)
class Options:
    """The command line, read: rates in requests a second, times in seconds."""

    rate: float | None
    seconds: float
    first: float
    most: float | None
    bar: Bar
    think: float
    processes: int
    shape: dict[str, Any]


@click.command()
@click.argument("target", required=False, metavar="[APP | URL]", shell_complete=complete.apps)
@environment_option
@click.option("-C", "--directory", type=click.Path(path_type=Path), default=Path(), help="Checkout to look in.")
@click.option("--rate", metavar="N/s", help="Exactly this many requests, such as 50/s; no search.")
@click.option("--find", "search", is_flag=True, help="Search for the highest rate that holds (what it does anyway).")
@click.option("--for", "length", metavar="TIME", help="How long each rate is kept: 30s with --rate, else 5s.")
@click.option("--from", "first", metavar="N/s", default="10/s", show_default=True, help="The search begins here.")
@click.option("--most", metavar="N/s", help="Never more than this: 20000/s, and 50/s to a URL.")
@click.option("--p95", metavar="TIME", default="500ms", show_default=True, help="The bar: 95 % are answered within.")
@click.option(
    "--errors", type=click.FloatRange(0, 50), default=1.0, show_default=True, help="The bar: % that may fail."
)
@click.option("--scenario", type=FILE, metavar="FILE", help="Requests and their weights, in TOML or JSON.")
@click.option("--from-log", is_flag=True, help="The mix of GETs of the access log.")
@click.option("--arrivals", type=click.Choice(["poisson", "constant"]), default="poisson", show_default=True)
@click.option("--http", type=click.Choice(["1", "2"]), default="1", show_default=True, help="HTTP/1.1 or HTTP/2.")
@click.option("--connections", type=click.IntRange(1, 2000), default=128, show_default=True, help="At most.")
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="That make the load.")
@click.option("--think", metavar="TIME", default="10s", show_default=True, help="Between two requests of a user.")
@click.option("--mine", is_flag=True, help="URL: I may put load on it.")
@click.option("--json", "as_json", is_flag=True, help="As JSON; times in seconds.")
@click.option("--html", type=FILE, metavar="FILE", help="Write a report with a plot, in one file.")
def load(target: str | None, environment: str, directory: Path, **given: Any) -> int:
    """Load by schedule, the rate that holds, what ends first beyond it, and how many users that is.

    Each request is timed from the moment it was due. Exit code 1 when no rate held, or the one given did not.

    \b
    Examples:
      golive load
      golive load shop --from-log --html report.html
      golive load --rate 50/s --for 30s --scenario visit.toml
    """
    from golive.checks.load import page

    options = _options(given)
    own = _subject(target, environment, directory, options, mine=given["mine"])
    if options.rate is not None and options.rate > own.most:
        raise UsageError(
            f"{options.rate:g}/s is more than the {own.most:g}/s that is allowed without being asked for",
            hint=f"--most {options.rate:g}/s",
        )
    mix = _mix(own, given["scenario"], from_log=given["from_log"])
    report = asyncio.run(_run(own, mix, options))
    if file := given["html"]:
        try:
            file.write_text(page.html(report, datetime.now(UTC)), encoding="utf-8")
        except OSError as error:
            raise GoliveError(f"{file} cannot be written", why=error.strerror) from error
        output.say(f"wrote {file}")
    if given["as_json"]:
        output.data(report.to_json())
    else:
        _show(report)
    held = report.capacity is not None and (options.rate is None or report.steps[0].holds)
    return 0 if held else 1


def _options(given: dict[str, Any]) -> Options:
    from golive.checks.load.search import Bar

    if given["rate"] and given["search"]:
        raise UsageError("--rate and --find exclude each other", hint="--find --from 50/s begins there")
    if given["scenario"] and given["from_log"]:
        raise UsageError("--scenario and --from-log exclude each other", hint="one of them says the mix")
    rate = _rate(given["rate"], "--rate") if given["rate"] else None
    seconds = _time(given["length"] or ("30s" if rate else "5s"), "--for")
    return Options(
        rate=rate,
        seconds=seconds,
        first=_rate(given["first"], "--from"),
        most=_rate(given["most"], "--most") if given["most"] else None,
        bar=Bar(_time(given["p95"], "--p95"), given["errors"] / 100),
        think=_time(given["think"], "--think"),
        processes=given["processes"],
        shape={
            "arrivals": given["arrivals"],
            "http2": given["http"] == "2",
            "connections": given["connections"],
        },
    )


def _rate(text: str, where: str) -> float:
    try:
        found = Rate.parse(f"{text}/s" if text.isdigit() else text)
    except ValueError as error:
        raise UsageError(str(error), where=where) from error
    if found.count / found.seconds < SLOWEST:
        raise UsageError(f"{text} is no load", where=where, hint="6/min or more")
    return found.count / found.seconds


def _time(text: str, where: str) -> float:
    try:
        found = duration(text).total_seconds()
    except ValueError as error:
        raise UsageError(str(error), where=where) from error
    if not 0 < found <= LONGEST:
        raise UsageError(f"{text} is too long or too short", where=where, hint="up to 1h")
    return found


def _subject(target: str | None, environment: str, directory: Path, options: Options, *, mine: bool) -> Subject:
    from golive.cli import load_app
    from golive.cli.check import is_url

    if target is None or not is_url(target):
        found = load_app.app(find(directory, environment, target))
    else:
        found = load_app.url(target)
    if not found.own and not mine:
        raise UsageError(
            f"{found.origin} was not made live by golive here, and load on somebody else's site is an attack",
            hint="--mine if it is yours and you may do this",
        )
    return replace(found, most=options.most or (MOST if found.own else MOST_ELSEWHERE))


def _mix(own: Subject, scenario: Path | None, *, from_log: bool) -> tuple[Request, ...]:
    from golive.checks.load.scenario import Request, from_file

    if scenario:
        return from_file(scenario)
    if from_log:
        return own.logged()
    return (Request(own.path),)


async def _run(own: Subject, mix: tuple[Request, ...], options: Options) -> Report:
    from golive.checks.load import verdict
    from golive.checks.load.generator import Job, ready
    from golive.checks.load.search import find as search
    from golive.system.offload import Offload

    job = Job(own.origin, mix, 1.0, options.seconds, roots=own.roots, **options.shape)
    makers = [Offload() for _ in range(options.processes)]

    async def measure(rate: float) -> Step:
        if output.lively():
            output.say(f"{rate:,.1f}/s for {options.seconds:g} s …")
        seconds = options.seconds if options.rate else max(options.seconds, FEWEST / rate)
        return await _measure(own, makers, replace(job, rate=rate / len(makers), seconds=seconds), options)

    rate = min(options.first, own.most) if options.rate is None else options.rate
    try:
        await asyncio.gather(*(maker.call(ready) for maker in makers))
        steps = [await measure(rate)] if options.rate is not None else await search(measure, rate, own.most)
    finally:
        await asyncio.gather(*(maker.close() for maker in makers))
    total = sum(each.weight for each in mix)
    shown = tuple(f"{each.weight / total * 100:.1f} % {each.method} {each.path}" for each in mix)
    held = verdict.capacity(steps, own.instances, options.think)
    return verdict.Report(own.title, shown, options.bar, tuple(steps), verdict.limit(steps), held)


async def _measure(own: Subject, makers: list[Any], job: Job, options: Options) -> Step:
    """One rate, by all processes together."""
    from golive.checks.load.generator import generate
    from golive.checks.load.search import judged

    calls = [maker.call(generate, replace(job, seed=n + int(job.rate * 1000))) for n, maker in enumerate(makers)]
    async with own.watch() if own.parts else contextlib.nullcontext() as watch:
        parts: list[Measured] = await asyncio.gather(*calls)
    whole = parts[0]
    for part in parts[1:]:
        whole.merge(part)
    return judged(job.rate * len(makers), whole, options.bar, watch.uses() if watch else ())


def _show(report: Report) -> None:
    from golive.checks.load import page

    print(output.paint(report.target, "bold", sys.stdout))
    steps = sorted(report.steps, key=lambda step: step.rate)
    output.table(page.HEADERS, [page.row(step) for step in steps], fold=(page.HEADERS[-1],))
    if len(steps) > 1:
        print()
        for line in page.bars(steps, _room(), "█" if output.unicode_ok(sys.stdout) else "#"):
            print(line)
    print()
    for line in page.sentences(report):
        print(output.wrap(line, "", "  ", sys.stdout))


def _room() -> int:
    """Columns of a bar: two of them stand in a line beside their figures."""
    return max(min(((output.width(sys.stdout) or 100) - 48) // 2, 30), 6)
