"""Caching: what is fetched twice, and what must never be given to another."""

from __future__ import annotations

import re
from datetime import timedelta

from golive.checks.model import Family, Fix, Outcome, could_not_tell, failed, not_applicable, passed, warned
from golive.checks.site import Site
from golive.checks.web import Exchange

family = Family("caching", "Whether visitors fetch what they have, keep what is old, or see what is another's.")
HASHED = re.compile(r"[.\-_/](?=[0-9A-Za-z_\-]*\d)[0-9A-Za-z_\-]{8,}\.(js|mjs|css|woff2?|png|jpe?g|webp|avif|svg)$")
"""A name that changes with the content, as bundlers write it: 8 characters or more, a digit among them."""
_MONTH = timedelta(days=30).total_seconds()
_FIELDS = ("cache-control", "etag", "last-modified", "age", "expires", "vary")


def policy(answer: Exchange) -> dict[str, str]:
    """Cache-Control, directives in lower case."""
    parts = (part.strip().partition("=") for part in answer.header("cache-control").lower().split(","))
    return {name: value.strip('"') for name, _, value in parts if name}


def kept(answer: Exchange) -> float:
    """Seconds a browser keeps it without asking; 0 when it says nothing."""
    said = policy(answer)
    if "no-store" in said or "no-cache" in said:
        return 0
    value = said.get("max-age", "0")
    return int(value[:12]) if value.isdecimal() else 0


@family.site(
    "validators",
    "What is unchanged is not sent again",
    "Every visit would fetch everything anew: slow for visitors, paid by you.",
    answers="rt-apps.15 datifyy.15 darasa.5",
)
async def validators(site: Site) -> Outcome:
    lacking: list[Exchange] = []
    for answer in [*(await site.assets())[:2], await site.home()]:
        tag, changed = answer.header("etag"), answer.header("last-modified")
        if not answer.ok or "no-store" in policy(answer):
            continue
        if not tag and not changed:
            lacking.append(answer)
            continue
        old = {"if-none-match": tag} if tag else {"if-modified-since": changed}
        again = await site.web.ask(answer.url, headers=old)
        if again.status != 304:
            fix = "answer If-None-Match with 304 where the tag is the same"
            text = f"asked with its own {'ETag' if tag else 'date'} it answers {again.status}, not 304"
            return failed(text, again.evidence(*_FIELDS), fix=fix)
        return passed("304 for what is unchanged", again.evidence(*_FIELDS))
    if lacking:
        return warned("neither ETag nor Last-Modified", lacking[0].evidence(*_FIELDS), fix="send an ETag")
    return not_applicable("nothing there may be kept (no-store)")


@family.site(
    "assets",
    "Files with a hash in their name are kept for long",
    "They never change under that name: asking for them again is a round trip for nothing.",
    answers="rt-apps.15 darasa.5",
)
async def assets(site: Site) -> Outcome:
    hashed = [a for a in await site.assets() if HASHED.search(a.url.partition("?")[0])]
    if not hashed:
        return not_applicable("the page loads no file with a hash in its name")
    short = [a for a in hashed if kept(a) < _MONTH]
    if short:
        path = short[0].url.partition("://")[2].partition("/")[2].rpartition("/")[0]
        fix = Fix(f"send cache-control: public, max-age=31536000, immutable for /{path}/ (headers of the service)")
        return warned(f"{len(short)} of {len(hashed)} are not", short[0].evidence(*_FIELDS), fix=fix)
    return passed(f"{len(hashed)} kept for {kept(hashed[0]) / 86400:.0f} days", hashed[0].evidence(*_FIELDS))


@family.site(
    "html",
    "Pages are asked for anew",
    "A page that is kept for a day shows yesterday's release, with scripts that are gone.",
    answers="rt-apps.15",
)
async def html(site: Site) -> Outcome:
    page = await site.html()
    said = policy(page)
    seconds = kept(page)
    if "immutable" in said or seconds > 3600:
        fix = "send cache-control: no-cache for pages (with an ETag that costs one short answer)"
        return failed(f"kept for {seconds / 3600:.0f} h without asking", page.evidence(*_FIELDS), fix=fix)
    if not said:
        return warned("browsers guess how long", page.evidence(*_FIELDS), fix="send cache-control: no-cache for pages")
    return passed(page.header("cache-control"), page.evidence(*_FIELDS))


@family.site(
    "shared",
    "Answers with a cookie are in no shared cache",
    "A cache that keeps one visitor's session gives it to the next.",
    answers="rt-apps.15 rt-apps.19",
)
async def shared(site: Site) -> Outcome:
    setting = [s for s in await site.web.follow(site.url(site.at.path)) if s.all("set-cookie")]
    if not setting:
        return not_applicable("no cookies are set")
    for step in setting:
        said = policy(step)
        if "s-maxage" in said or ("public" in said and "no-store" not in said and kept(step) > 0):
            fix = "send cache-control: private, no-store with cookies"
            return failed("a cookie, and public", step.evidence("set-cookie", *_FIELDS), fix=fix)
    return passed("not public", setting[0].evidence("set-cookie", *_FIELDS))


@family.site(
    "health",
    "Health is never answered from a cache",
    "A cached 200 keeps a dead app in service.",
    answers="datifyy.7 rt-apps.13",
)
async def health(site: Site) -> Outcome:
    found = [one for one in await site.endpoints() if one.ok]
    if not found:
        return not_applicable("no health endpoint is known")
    for one in found:
        if kept(one) > 10 or one.header("age") not in ("", "0"):
            return failed("it may come from a cache", one.evidence(*_FIELDS), fix="send cache-control: no-store")
    return passed("not cacheable", found[0].evidence(*_FIELDS))


@family.site(
    "versions",
    "A file has the same tag wherever it is asked",
    "Instances that disagree about a tag make every other visit fetch everything.",
    answers="rt-apps.15",
)
async def versions(site: Site) -> Outcome:
    found = [a for a in await site.assets() if a.header("etag")]
    if not found:
        return not_applicable("no file with an ETag")
    tags = {found[0].header("etag")}
    for again in range(1, 4):
        tags.add((await site.web.ask(found[0].url, again=again)).header("etag"))
    if len(tags) > 1:
        fix = "make tags of the content, not of a file's date or inode"
        return warned(f"{len(tags)} tags in 4 answers: {', '.join(sorted(tags))}", found[0].evidence(*_FIELDS), fix=fix)
    if "" in tags:
        return could_not_tell("it has a tag only sometimes")
    return passed(f"always {tags.pop()}", found[0].evidence("etag"))
