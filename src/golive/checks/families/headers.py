"""Response headers that protect whoever opens the page, and those that say too much."""

from __future__ import annotations

import re

from golive.checks.model import Family, Fix, Outcome, Setting, failed, not_applicable, passed, warned
from golive.checks.site import Site
from golive.checks.web import Exchange

family = Family("headers", "What browsers are told to refuse, and what servers tell about themselves.")
_VERSION = re.compile(r"\d+\.\d+|/\d")
_TELLING = ("x-powered-by", "x-aspnet-version", "x-aspnetmvc-version", "x-generator", "x-runtime", "x-debug-token")


@family.site(
    "csp",
    "A Content-Security-Policy limits what a page may load",
    "It is what is left between a slip in escaping and somebody else's script in every visitor's session.",
    answers="rt-apps.5 threadr.1",
)
async def csp(site: Site) -> Outcome:
    home = await site.html()
    value = home.header("content-security-policy")
    evidence = home.evidence("content-security-policy", "content-security-policy-report-only")
    if not value:
        only = home.header("content-security-policy-report-only")
        if only:
            return warned("only reported, not enforced", evidence, fix="send it as Content-Security-Policy")
        return failed("none", evidence, fix=_set("content-security-policy", _CSP))
    policy = _directives(value)
    scripts = policy.get("script-src", policy.get("default-src"))
    if scripts is None:
        return warned("it says nothing of scripts", evidence, fix="say script-src or default-src")
    signed = any(source.startswith(("'nonce-", "'sha")) for source in scripts)
    if "*" in scripts or "http:" in scripts or ("https:" in scripts and "'strict-dynamic'" not in scripts):
        return warned("scripts of every site are allowed", evidence, fix="name the sites that scripts come from")
    if "'unsafe-inline'" in scripts and not signed:
        return warned(
            "inline scripts are allowed, which is what an attacker needs", evidence, fix="use nonces or hashes"
        )
    return passed("scripts only from " + " ".join(scripts)[:100], evidence)


_CSP = "default-src 'self'; object-src 'none'; base-uri 'self'; frame-ancestors 'none'"


@family.site(
    "frames",
    "Other sites cannot show it in a frame",
    "In an invisible frame, people click what they do not see.",
    answers="threadr.1 rt-apps.5",
)
async def frames(site: Site) -> Outcome:
    home = await site.html()
    evidence = home.evidence("x-frame-options", "content-security-policy")
    ancestors = _directives(home.header("content-security-policy")).get("frame-ancestors")
    old = home.header("x-frame-options").upper()
    if ancestors is not None and "*" not in ancestors:
        return passed(f"frame-ancestors {' '.join(ancestors)}", evidence)
    if old in ("DENY", "SAMEORIGIN"):
        return passed(f"X-Frame-Options: {old}", evidence)
    said = "what it says is ignored by browsers" if old else "nothing forbids it"
    return failed(said, evidence, fix=_set("x-frame-options", "DENY"))


@family.site(
    "nosniff",
    "Browsers do not guess types",
    "An uploaded picture that is a script would be run as one.",
    answers="threadr.1 rt-apps.5",
)
async def nosniff(site: Site) -> Outcome:
    home = await site.home()
    evidence = home.evidence("x-content-type-options")
    if home.header("x-content-type-options").lower() == "nosniff":
        return passed("nosniff", evidence)
    return failed("no X-Content-Type-Options: nosniff", evidence, fix=_set("x-content-type-options", "nosniff"))


@family.site(
    "referrer",
    "Addresses of pages are not given to other sites",
    "Addresses hold tokens and names; the next site's log is no place for them.",
    answers="rt-apps.5",
)
async def referrer(site: Site) -> Outcome:
    home = await site.html()
    value = home.header("referrer-policy").lower() or (await site.page()).meta.get("referrer", "").lower()
    evidence = home.evidence("referrer-policy")
    if "unsafe-url" in value or value == "no-referrer-when-downgrade":
        return failed(f"{value} gives whole addresses away", evidence, fix=_set("referrer-policy", _REFERRER))
    if not value:
        return warned("left to the browser", evidence, fix=_set("referrer-policy", _REFERRER))
    return passed(value, evidence)


_REFERRER = "strict-origin-when-cross-origin"


@family.site(
    "permissions",
    "Camera, microphone and place are off unless they are used",
    "Scripts of others in the page could ask for them in your name.",
    answers="rt-apps.5",
)
async def permissions(site: Site) -> Outcome:
    home = await site.html()
    evidence = home.evidence("permissions-policy")
    if home.header("permissions-policy"):
        return passed("a Permissions-Policy is sent", evidence)
    return warned("none", evidence, fix=_set("permissions-policy", "camera=(), geolocation=(), microphone=()"))


@family.site(
    "leaks",
    "Headers do not say which software runs",
    "A version tells a scanner which known hole to try.",
    answers="rt-apps.11 datifyy.16",
)
async def leaks(site: Site) -> Outcome:
    told: dict[str, str] = {}
    answers: list[Exchange] = [await site.home(), await site.missing()]
    for answer in answers:
        server = answer.header("server")
        if server and _VERSION.search(server):
            told["server"] = server
        told |= {name: answer.header(name) for name in _TELLING if answer.header(name)}
    evidence = answers[0].evidence("server", *(n for n in _TELLING if n in told))
    if told:
        shown = ", ".join(f"{name}: {value[:60]}" for name, value in told.items())
        settings = tuple(Setting(("edge", "headers", name), "") for name in told)
        return failed(shown, evidence, fix=Fix("take them out (in nginx: server_tokens off)", settings))
    return passed("no versions", evidence)


@family.site(
    "api",
    "Errors are secured as pages are",
    "A header that only the home page has is missing where it is attacked.",
    answers="rt-apps.5 rt-apps.11",
)
async def errors_too(site: Site) -> Outcome:
    home, missing = await site.home(), await site.missing()
    names = ("strict-transport-security", "x-content-type-options")
    lost = [name for name in names if home.header(name) and not missing.header(name)]
    if not any(home.header(name) for name in names):
        return not_applicable("the home page has none of them either")
    if lost:
        fix = "send it with every status (`always` in nginx; golive's edge does)"
        return warned(f"{', '.join(lost)} missing on a {missing.status}", missing.evidence(*names), fix=fix)
    return passed(f"a {missing.status} has them too", missing.evidence(*names))


def _directives(policy: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part in re.split(r"[;,]", policy):
        words = part.split()
        if words:
            found.setdefault(words[0].lower(), [word.lower() for word in words[1:]])
    return found


def _set(name: str, value: str) -> Fix:
    return Fix(f"send {name}: {value}", (Setting(("edge", "headers", name), value),))
