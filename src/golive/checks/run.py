"""Running checks: families side by side, each check within a time, and whatever goes wrong with one is its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import date

from golive.blueprint.checks_policy import IgnoredCheck
from golive.checks.app import App
from golive.checks.model import (
    Check,
    Evidence,
    Fix,
    Outcome,
    Result,
    Status,
    Unanswered,
    could_not_tell,
    not_applicable,
)
from golive.checks.site import NoPage, Site


async def run(
    checks: Sequence[Check],
    site: Site | None,
    app: App | None,
    *,
    told: Callable[[Result], None] = lambda _: None,
) -> list[Result]:
    """Every check's result, in the order given. Intrusive ones come last, one after another: what they do to a site is
    not measured by the others. `told` hears each as it is done."""
    gentle = [check for check in checks if not check.intrusive]
    results: dict[str, Result] = {}

    async def one(check: Check) -> None:
        results[check.id] = result = await _one(check, site, app)
        told(result)

    await asyncio.gather(*(one(check) for check in gentle))
    for check in checks:
        if check.intrusive:
            await one(check)
    return [results[check.id] for check in checks]


async def _one(check: Check, site: Site | None, app: App | None) -> Result:
    began = time.monotonic()
    try:
        async with asyncio.timeout(check.longest):
            outcome = await _outcome(check, site, app)
    except NoPage as error:
        outcome = not_applicable(str(error))
    except Unanswered as error:
        outcome = could_not_tell(str(error))
    except TimeoutError:
        outcome = could_not_tell(f"it took longer than {check.longest:g} s")
    except Exception as error:
        outcome = could_not_tell(f"golive's own fault, please report it: {type(error).__name__}: {error}")
    if app is None and outcome.fix:  # there is no golive.toml to write it in
        outcome = replace(outcome, fix=Fix(outcome.fix.text))
    return Result(check, _printable(outcome), time.monotonic() - began)


def _printable(outcome: Outcome) -> Outcome:
    """Without what a terminal would obey: sites answer anything."""
    evidence = tuple(Evidence(_clean(e.asked), _clean(e.came)) for e in outcome.evidence)
    return replace(outcome, text=_clean(outcome.text), evidence=evidence)


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


async def _outcome(check: Check, site: Site | None, app: App | None) -> Outcome:
    if check.on_site is not None:
        if site is None:
            return not_applicable("the app answers no requests")
        if check.intrusive and not site.aim.intrusive:
            return could_not_tell("it would do what a visitor does not; --intrusive allows it")
        return await check.on_site(site)
    if app is None or check.on_app is None:
        return not_applicable("only golive's own deployments say this")
    return await check.on_app(app)


def ignored(results: Sequence[Result], ignores: Collection[IgnoredCheck], today: date) -> list[Result]:
    """Those that golive.toml lets pass are marked so; an ignore whose day is over lets nothing pass. Pure."""
    marked = []
    for result in results:
        found = next((i for i in ignores if i.check in (result.check.id, result.check.family)), None)
        wrong = result.status in (Status.FAIL, Status.WARNING, Status.COULD_NOT_TELL)
        if found is None or not wrong:
            marked.append(result)
        elif found.until >= today:
            marked.append(replace(result, ignored=f"until {found.until}: {found.because}"))
        else:
            text = f"{result.outcome.text} (it was ignored until {found.until}: {found.because})"
            marked.append(replace(result, outcome=replace(result.outcome, text=text)))
    return marked


def exit_code(results: Sequence[Result], *, strict: bool) -> int:
    """1 when something failed; in the strict profile also for warnings and for what could not be told. Pure."""
    stops = {Status.FAIL} | ({Status.WARNING, Status.COULD_NOT_TELL} if strict else set())
    return int(any(result.status in stops and not result.ignored for result in results))
