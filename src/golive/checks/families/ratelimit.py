"""Rate limits: whether they are there, say so, and let go again."""

from __future__ import annotations

import asyncio
import re
import time

from golive.checks.model import (
    Evidence,
    Family,
    Outcome,
    Unanswered,
    could_not_tell,
    failed,
    not_applicable,
    passed,
    warned,
)
from golive.checks.site import Site
from golive.checks.web import Exchange

family = Family("rate limit", "Whether one visitor can take everything, and how that ends.")
AT_ONCE = 60
"""Requests of the burst: what a limit for a person stops, and a server does not notice."""
COUNTED = 40
"""Requests of which one has to show that a large limit counts."""
PATIENCE = 20
"""Seconds that are waited for it to let go."""
_FIELDS = (
    "retry-after",
    "ratelimit",
    "ratelimit-limit",
    "ratelimit-remaining",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
)
_FIX = 'limit what each client may ask: rate_limit = "100/min" in the service'


@family.site(
    "enforced",
    "Too many requests are refused",
    "Without a limit one script guesses passwords, or empties an account at an AI's vendor, in a night.",
    answers="akashic.6 rt-apps.6",
    intrusive=True,
)
async def enforced(site: Site) -> Outcome:
    if site.aim.untried:
        return await _counts_down(site)
    answers = await _burst(site)
    refused = [one for one in answers if one.status in (429, 503)]
    shown = Evidence(f"GET {answers[0].url}, {len(answers)} times", _counts(answers))
    if refused:
        return passed(f"{len(refused)} of {len(answers)} refused", shown, refused[0].evidence(*_FIELDS))
    return warned(f"{len(answers)} requests in a moment, none refused", shown, fix=_FIX)


@family.site(
    "told",
    "A refusal says when to come back",
    "Programs that are not told try again at once, all of them together.",
    answers="akashic.6 rt-apps.6",
    intrusive=True,
)
async def told(site: Site) -> Outcome:
    refused = [one for one in await _burst(site) if one.status in (429, 503)]
    if not refused:
        return not_applicable("nothing was refused")
    if refused[0].status == 503:
        return warned("refused with 503, as if it were down", refused[0].evidence(*_FIELDS), fix="refuse with 429")
    if not refused[0].header("retry-after"):
        return warned("no Retry-After", refused[0].evidence(*_FIELDS), fix="send Retry-After with a 429")
    return passed(f"Retry-After: {refused[0].header('retry-after')}", refused[0].evidence(*_FIELDS))


@family.site(
    "recovers",
    "Whoever was refused is let in again",
    "A limit that never lets go locks out an office behind one address.",
    answers="akashic.6 rt-apps.6",
    intrusive=True,
)
async def recovers(site: Site) -> Outcome:
    refused = [one for one in await _burst(site) if one.status in (429, 503)]
    if not refused:
        return not_applicable("nothing was refused")
    wait = re.fullmatch(r"\d{1,6}", refused[0].header("retry-after"))
    seconds = int(wait[0]) if wait else 1
    if seconds > PATIENCE:
        return could_not_tell(f"it says to wait {seconds} s", refused[0].evidence(*_FIELDS))
    began, again = time.monotonic(), 2000
    while time.monotonic() - began < PATIENCE:
        await asyncio.sleep(max(seconds, 0.5))
        again += 1
        answer = await site.web.ask(refused[0].url, again=again)
        if answer.status not in (429, 503):
            return passed(f"after {time.monotonic() - began:.0f} s", answer.evidence(*_FIELDS))
        seconds = 1
    return failed(f"still refused after {PATIENCE} s", answer.evidence(*_FIELDS), fix="let the bucket fill again")


@family.site(
    "spoofed",
    "A forged address gets no limit of its own",
    "Where the limit counts what X-Forwarded-For claims, it counts nothing.",
    answers="akashic.6 rt-apps.6",
    intrusive=True,
)
async def spoofed(site: Site) -> Outcome:
    refused = [one for one in await _burst(site) if one.status in (429, 503)]
    if not refused:
        return not_applicable("nothing was refused")
    plain = await site.web.ask(refused[0].url, again=9000)
    if plain.status not in (429, 503):
        return not_applicable("the limit has let go already")
    forged = [await site.web.ask(refused[0].url, headers={"x-forwarded-for": f"203.0.113.{n}"}) for n in (7, 8, 9)]
    if all(one.status not in (429, 503) for one in forged):
        fix = "count the address of the connection; trust X-Forwarded-For from known proxies only"
        return failed("let in with an X-Forwarded-For of its own", forged[0].evidence(*_FIELDS), fix=fix)
    return passed("refused like before", forged[0].evidence(*_FIELDS))


async def _burst(site: Site) -> list[Exchange]:
    """The same request so often that a limit shows itself; sent once for all of the family's checks."""
    target, count = await _target(site)
    site.web.allow_more(count + 30, "burst")
    every = (site.web.ask(target, again=10_000 + n) for n in range(count))
    asked = await asyncio.gather(*every, return_exceptions=True)
    answers = [one for one in asked if isinstance(one, Exchange)]
    if not answers:
        raise Unanswered(str(asked[0]))
    return answers


async def _counts_down(site: Site) -> Outcome:
    """Of a limit that is too large to be used up: whether answers say that it counts. What was used is soon filled
    again, so it is asked for quickly."""
    shown: list[Evidence] = []
    site.web.allow_more(2 * COUNTED, "counted")
    for url in dict.fromkeys(one.url for one in [*await site.endpoints(), await site.home()]):
        asked = await asyncio.gather(
            *(site.web.ask(url, again=9500 + n) for n in range(COUNTED)), return_exceptions=True
        )
        answers = [one for one in asked if isinstance(one, Exchange)]
        shown += [one.evidence(*_FIELDS) for one in answers[:1]]
        for one in answers:
            most, left = (re.match(r"\d+", one.header(f"x-ratelimit-{name}")) for name in ("limit", "remaining"))
            if most and left and int(left[0]) < int(most[0]):
                return passed(f"it counts: {left[0]} of {most[0]} left; {site.aim.untried}", one.evidence(*_FIELDS))
    return could_not_tell(site.aim.untried, *shown)


async def _target(site: Site) -> tuple[str, int]:
    """What is asked, and how often: more than a limit that is known allows."""
    if site.aim.untried:
        raise Unanswered(site.aim.untried)
    if site.aim.limited:
        path, allowed = site.aim.limited
        return site.url(path), allowed + 20
    return (await site.endpoints() or [await site.home()])[0].url, AT_ONCE


def _counts(answers: list[Exchange]) -> str:
    states = sorted({one.status for one in answers})
    return ", ".join(f"{state}: {sum(one.status == state for one in answers)}" for state in states)
