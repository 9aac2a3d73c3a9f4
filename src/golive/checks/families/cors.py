"""CORS: who may read answers across origins."""

from __future__ import annotations

from golive.checks.model import Family, Outcome, could_not_tell, failed, not_applicable, passed, warned
from golive.checks.site import Site
from golive.checks.web import Exchange

family = Family("cors", "Which other sites' scripts may read what this one answers to a person.")
STRANGER = "https://golive-check.invalid"
_FIX = "name the origins that may read it (CORS_ORIGINS, allow_origins, AllowOrigins), each in full"
_MAY = ("access-control-allow-origin", "access-control-allow-credentials", "access-control-allow-methods", "vary")


async def _answers(site: Site, origin: str) -> list[Exchange]:
    """The preflight and the request, of the page and of an endpoint where there is one."""
    urls = dict.fromkeys([site.url(site.at.path), *(one.url for one in (await site.endpoints())[:1])])
    found = []
    preflight = {"access-control-request-method": "GET", "access-control-request-headers": "authorization"}
    for url in urls:
        found.append(await site.web.ask(url, "OPTIONS", headers={"origin": origin, **preflight}))
        found.append(await site.web.ask(url, headers={"origin": origin}))
    return found


def _allowed(answer: Exchange, origin: str) -> bool:
    return answer.header("access-control-allow-origin").lower() == origin.lower()


@family.site(
    "stranger",
    "A site that nobody knows may not read it",
    "Where any origin is echoed with credentials, every page that a signed-in person opens reads their data.",
    answers="akashic.5 datifyy.5",
)
async def stranger(site: Site) -> Outcome:
    answers = await _answers(site, STRANGER)
    for answer in answers:
        credentials = answer.header("access-control-allow-credentials").lower() == "true"
        if _allowed(answer, STRANGER):
            text = "every origin is echoed" + (", with credentials" if credentials else "")
            return failed(f"{answer.method}: {text}", answer.evidence(*_MAY), fix=_FIX)
        if answer.header("access-control-allow-origin") == "*" and credentials:
            return failed("* with credentials, which browsers refuse for everybody", answer.evidence(*_MAY), fix=_FIX)
    anyone = [a for a in answers if a.header("access-control-allow-origin") == "*"]
    if anyone:
        return warned("everybody may read it (*): right for public data only", anyone[0].evidence(*_MAY), fix=_FIX)
    return passed("not allowed", answers[0].evidence(*_MAY))


@family.site(
    "null",
    "Pages without an origin may not read it",
    "Sandboxed frames and files have the origin null: allowing it allows everybody.",
    answers="akashic.5",
)
async def null(site: Site) -> Outcome:
    for answer in await _answers(site, "null"):
        if _allowed(answer, "null"):
            return failed("null is allowed", answer.evidence(*_MAY), fix=_FIX)
    return passed("not allowed", answer.evidence(*_MAY))


@family.site(
    "lookalike",
    "A name that only looks like this site's may not read it",
    "Origins compared by their beginning or end let evil-example.com in as example.com.",
    answers="akashic.5 datifyy.5",
)
async def lookalike(site: Site) -> Outcome:
    host = site.at.host if not site.at.host.startswith("[") else "localhost"
    for origin in (f"https://{host}.golive-check.invalid", f"https://golive-check{host}"):
        for answer in await _answers(site, origin):
            if _allowed(answer, origin):
                return failed(f"{origin} is allowed", answer.evidence(*_MAY), fix=_FIX)
    return passed("not allowed", answer.evidence(*_MAY))


@family.site(
    "own",
    "The origins that are meant to may read it",
    "A frontend that is not allowed shows a blank page, and only in the browser.",
    answers="datifyy.5 akashic.5",
)
async def own(site: Site) -> Outcome:
    origins = [origin for origin in site.aim.origins if origin != "*" and "//" in origin]
    if not origins:
        return not_applicable("no origin is known that has to be allowed (--origin names one)")
    at = site.at.origin
    evidence = []
    for origin in origins[:5]:
        if origin.rstrip("/") == at:
            continue
        answers = await _answers(site, origin.rstrip("/"))
        good = [a for a in answers if _allowed(a, origin.rstrip("/")) or a.header("access-control-allow-origin") == "*"]
        evidence.append((good or answers)[0].evidence(*_MAY))
        if not good:
            return failed(f"{origin} is not allowed", *evidence, fix="add it to the app's origins; no slash at its end")
    if not evidence:
        return passed("the only one is this site itself")
    return passed(", ".join(origins[:5]), *evidence)


@family.site(
    "vary",
    "Caches keep answers for different origins apart",
    "An answer for one origin, given from a cache to another, is refused by its browser.",
    answers="akashic.5",
)
async def vary(site: Site) -> Outcome:
    origin = next((o for o in site.aim.origins if "//" in o), site.at.origin)
    answers = [a for a in await _answers(site, origin) if a.method == "GET"]
    echoed = [a for a in answers if _allowed(a, origin)]
    if not answers:
        return could_not_tell("no answer to a GET")
    if not echoed:
        return not_applicable("no origin is echoed")
    lacking = [a for a in echoed if "origin" not in a.header("vary").lower() and a.header("vary") != "*"]
    if lacking:
        return warned("an echoed origin without Vary: Origin", lacking[0].evidence(*_MAY), fix="add Vary: Origin")
    return passed("Vary: Origin", echoed[0].evidence(*_MAY))
