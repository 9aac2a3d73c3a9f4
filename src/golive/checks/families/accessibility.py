"""The basics of accessibility and of being found."""

from __future__ import annotations

import re

from golive.checks.model import Evidence, Family, Outcome, failed, not_applicable, passed, warned
from golive.checks.page import Page
from golive.checks.site import Site

family = Family("accessibility", "Whether everybody can use the page, and search engines can read it.")


def _shown(page: Page, *lines: str) -> Evidence:
    return Evidence(f"GET {page.url}", "\n".join(lines) or "(nothing)")


@family.site(
    "language",
    "The page says its language",
    "Screen readers read it aloud with the wrong voice; browsers offer to translate it.",
)
async def language(site: Site) -> Outcome:
    page = await site.page()
    evidence = _shown(page, f'<html lang="{page.lang}">' if page.lang else "<html>")
    if not page.lang:
        return failed("none", evidence, fix='<html lang="en">')
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", page.lang):
        return failed(f"{page.lang!r} is no language", evidence, fix='<html lang="en">')
    return passed(page.lang, evidence)


@family.site(
    "images",
    "Pictures have a text",
    "Whoever does not see them hears a file name.",
)
async def images(site: Site) -> Outcome:
    page = await site.page()
    if not page.images and not page.without_alt:
        return not_applicable("the page has no pictures (before scripts ran)")
    if page.without_alt:
        text = f"{len(page.without_alt)} without alt"
        return warned(text, _shown(page, *page.without_alt[:10]), fix='alt="…"; alt="" where it only decorates')
    return passed(f"{len(page.images)} with alt", _shown(page, *page.images[:5]))


@family.site(
    "labels",
    "Fields have a name",
    "Without one nobody knows what to write who does not see the page.",
)
async def labels(site: Site) -> Outcome:
    page = await site.page()
    if page.without_label:
        text = f"without: {', '.join(page.without_label[:8])}"
        return warned(text, _shown(page, *page.without_label[:10]), fix='<label for="…">, or aria-label')
    return passed("every field that is there before scripts ran", _shown(page, f"{len(page.forms)} forms"))


@family.site(
    "viewport",
    "The page fits a phone, and can be enlarged",
    "Most visitors come by phone; many need larger letters.",
)
async def viewport(site: Site) -> Outcome:
    page = await site.page()
    value = page.meta.get("viewport", "")
    evidence = _shown(page, f'<meta name="viewport" content="{value}">')
    if not value:
        return failed(
            "no viewport", evidence, fix='<meta name="viewport" content="width=device-width, initial-scale=1">'
        )
    told = value.lower().replace(" ", "")
    if "user-scalable=no" in told or "user-scalable=0" in told or re.search(r"maximum-scale=(0|1)(\.0*)?(,|$)", told):
        return warned("enlarging is forbidden", evidence, fix="leave user-scalable and maximum-scale out")
    return passed(value, evidence)


@family.site(
    "description",
    "The page describes itself",
    "It is the text below the link wherever it is found or shared.",
)
async def description(site: Site) -> Outcome:
    page = await site.page()
    value = page.meta.get("description") or page.meta.get("og:description", "")
    evidence = _shown(page, f'<meta name="description" content="{value[:200]}">')
    if not value:
        return warned("none", evidence, fix='<meta name="description" content="…">')
    return passed(value[:100], evidence)


@family.site(
    "headings",
    "The page has one first heading",
    "It is how a page is skimmed, by ear and by search engine.",
)
async def headings(site: Site) -> Outcome:
    page = await site.page()
    if not page.headings:
        return not_applicable("no headings before scripts ran")
    first = page.headings.count(1)
    evidence = _shown(page, " ".join(f"h{level}" for level in page.headings[:20]))
    if first != 1:
        return warned(f"{first or 'no'} h1", evidence, fix="one <h1>, then <h2>")
    return passed("one h1", evidence)


@family.site(
    "indexable",
    "Search engines may show it",
    "A noindex that was left over from staging takes the site out of every search.",
)
async def indexable(site: Site) -> Outcome:
    home = await site.html()
    page = await site.page()
    said = f"{page.meta.get('robots', '')} {home.header('x-robots-tag')}".strip().lower()
    evidence = home.evidence("x-robots-tag")
    if "noindex" in said or "none" in said.split():
        return warned(f"it says {said}", evidence, fix="take noindex out, if the public should find it")
    return passed("nothing forbids it", evidence)
