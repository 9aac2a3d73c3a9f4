"""Cookies: who gets them, and who can read them."""

from __future__ import annotations

import re

from golive.checks.model import Evidence, Family, Outcome, failed, not_applicable, passed, warned
from golive.checks.site import Site
from golive.checks.web import Exchange

family = Family("cookies", "Whether a session can be stolen or used from elsewhere.")
_SESSION = re.compile(r"sess|auth|token|jwt|sid\b|login|remember|connect\.|csrf|xsrf", re.IGNORECASE)
_SCRIPTS = re.compile(r"csrf|xsrf", re.IGNORECASE)
"""What the page's own scripts have to read, by its nature."""


async def _cookies(site: Site) -> list[tuple[str, dict[str, str], Exchange]]:
    """Name, attributes in lower case, and the answer that set it: of every step to the home page."""
    found = []
    for step in await site.web.follow(site.url(site.at.path)):
        for line in step.all("set-cookie"):
            pair, *rest = line.split(";")
            attributes = {k.strip().lower(): v.strip().lower() for k, _, v in (part.partition("=") for part in rest)}
            found.append((pair.partition("=")[0].strip(), attributes, step))
    return found


def _shown(lines: list[tuple[str, dict[str, str], Exchange]]) -> Evidence:
    return lines[0][2].evidence("set-cookie")


@family.site(
    "secure",
    "Cookies go over HTTPS only",
    "One plain request, to any path, and whoever listens has the session.",
    answers="rt-apps.11 rt-apps.19",
)
async def secure(site: Site) -> Outcome:
    cookies = await _cookies(site)
    if not cookies:
        return not_applicable("no cookies are set")
    if (await site.home()).url.startswith("http:"):
        return not_applicable("the site is asked over plain HTTP")
    bare = [c for c in cookies if "secure" not in c[1]]
    if bare:
        names = ", ".join(c[0] for c in bare)
        return failed(f"without Secure: {names}", _shown(bare), fix="set them with Secure")
    return passed(f"{len(cookies)} with Secure", _shown(cookies))


@family.site(
    "httponly",
    "Scripts cannot read session cookies",
    "One injected script sends every visitor's session away.",
    answers="rt-apps.11 rt-apps.19",
)
async def httponly(site: Site) -> Outcome:
    cookies = await _cookies(site)
    sessions = [c for c in cookies if _SESSION.search(c[0]) and not _SCRIPTS.search(c[0])]
    if not sessions:
        return not_applicable("no cookie that looks like a session is set" if cookies else "no cookies are set")
    bare = [c for c in sessions if "httponly" not in c[1]]
    if bare:
        return failed(f"without HttpOnly: {', '.join(c[0] for c in bare)}", _shown(bare), fix="set them with HttpOnly")
    return passed(f"{len(sessions)} with HttpOnly", _shown(sessions))


@family.site(
    "samesite",
    "Cookies are not sent with other sites' requests",
    "Without it another site's form acts as the person who is signed in.",
    answers="rt-apps.11 rt-apps.19",
)
async def samesite(site: Site) -> Outcome:
    cookies = await _cookies(site)
    if not cookies:
        return not_applicable("no cookies are set")
    loose = [c for c in cookies if c[1].get("samesite") == "none" and "secure" not in c[1]]
    if loose:
        names = ", ".join(c[0] for c in loose)
        return failed(f"SameSite=None without Secure, which browsers drop: {names}", _shown(loose), fix="add Secure")
    bare = [c for c in cookies if c[1].get("samesite", "") not in ("lax", "strict", "none")]
    if bare:
        return warned(f"left to the browser: {', '.join(c[0] for c in bare)}", _shown(bare), fix="say SameSite=Lax")
    return passed(", ".join(f"{c[0]}: {c[1]['samesite']}" for c in cookies[:5]), _shown(cookies))


@family.site(
    "scope",
    "Cookies stay with this name",
    "A cookie for the whole domain goes to every other app under it.",
    answers="rt-apps.11",
)
async def scope(site: Site) -> Outcome:
    cookies = await _cookies(site)
    if not cookies:
        return not_applicable("no cookies are set")
    wide = [c for c in cookies if c[1].get("domain", "").lstrip(".") not in ("", site.at.host)]
    sessions = [c for c in wide if _SESSION.search(c[0])]
    if sessions:
        shown = ", ".join(f"{c[0]} for {c[1]['domain']}" for c in sessions)
        return warned(shown, _shown(sessions), fix="leave Domain out, or name the cookie __Host-…")
    return passed("no session for a wider domain", _shown(cookies))
