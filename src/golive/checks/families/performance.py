"""How quickly the first visitor sees something."""

from __future__ import annotations

from golive.checks.model import Evidence, Family, Outcome, not_applicable, passed, warned
from golive.checks.site import MOST_ASSETS, Site
from golive.checks.web import Exchange
from golive.units import human_size

family = Family("performance", "How long a visitor looks at nothing.")
SLOW = 0.8
"""Seconds to the first byte that Web Vitals call good, of a visit from near."""
HEAVY = 1_500_000
SCRIPTS = 500_000


@family.site(
    "first-byte",
    "The first byte comes soon",
    "Everything else waits for it.",
    answers="rt-apps.9 rt-apps.18 datifyy.15",
)
async def first_byte(site: Site) -> Outcome:
    home = await site.home()
    asked = [await site.web.ask(home.url, again=again) for again in (1, 2, 3)]
    times = sorted(one.seconds.get("first") or 0.0 for one in asked)
    middle = times[1]
    shown = Evidence(f"GET {home.url}, three times", _phases([home, *asked]))
    if middle > SLOW:
        return warned(f"{middle * 1000:.0f} ms", shown, fix="cache the page, or see what it waits for")
    return passed(f"{middle * 1000:.0f} ms", shown)


@family.site(
    "weight",
    "The page is light",
    "On a phone in a train 1.5 MB are ten seconds.",
    answers="rt-apps.9 datifyy.15",
)
async def weight(site: Site) -> Outcome:
    page = await site.page()
    urls = [page.url, *page.assets[:MOST_ASSETS]]
    asked = await site.web.all(urls, {"accept-encoding": "zstd, br, gzip"})
    answers = [one for one in asked if isinstance(one, Exchange)]
    total = sum(len(one.body) for one in answers)
    scripts = sum(len(one.body) for one in answers if "javascript" in one.type)
    more = f", and {len(page.assets) - MOST_ASSETS} files more" if len(page.assets) > MOST_ASSETS else ""
    lines = "\n".join(f"{human_size(len(one.body)):>9}  {one.url}" for one in answers)
    evidence = Evidence("the page, its scripts and styles, compressed", lines + more)
    if total > HEAVY or any(one.cut for one in answers):
        return warned(
            f"{human_size(total)}{more}", evidence, fix="split the bundle; load what is not seen at first later"
        )
    if scripts > SCRIPTS:
        return warned(f"{human_size(scripts)} of scripts", evidence, fix="golive bundle shows which page loads what")
    return passed(f"{human_size(total)}, of it {human_size(scripts)} of scripts{more}", evidence)


@family.site(
    "blocking",
    "Few files hold up the first paint",
    "Each is fetched and run before anything is shown.",
    answers="rt-apps.9 datifyy.15",
)
async def blocking(site: Site) -> Outcome:
    page = await site.page()
    found = list(dict.fromkeys(page.blocking))
    evidence = Evidence(f"GET {page.url}", "\n".join(found[:12]) or "none")
    if len(found) > 6:
        return warned(f"{len(found)}", evidence, fix="add defer to scripts; join styles")
    return passed(str(len(found)), evidence)


@family.site(
    "http2",
    "Many files come over one connection",
    "HTTP/1.1 fetches six at a time, each of them waiting in turn.",
    answers="rt-apps.9",
)
async def http2(site: Site) -> Outcome:
    home = await site.home()
    if not home.url.startswith("https:"):
        return not_applicable("browsers speak HTTP/2 over TLS only")
    evidence = home.evidence("alt-svc")
    if home.version == "HTTP/2":
        return passed("HTTP/2", evidence)
    return warned(home.version, evidence, fix="turn HTTP/2 on in the server")


@family.site(
    "redirects",
    "The address leads there at once",
    "Each redirect is a round trip before anything begins.",
    answers="rt-apps.9 rt-apps.4",
)
async def redirects(site: Site) -> Outcome:
    steps = await site.web.follow(site.url(site.at.path))
    lines = [f"{step.status} {step.url}" for step in reversed(steps)]
    evidence = Evidence(f"GET {steps[-1].url}", "\n".join(lines))
    if len(steps) > 2:
        return warned(f"{len(steps) - 1} redirects", evidence, fix="lead to the last address at once")
    return passed(f"{len(steps) - 1} redirects", evidence)


def _phases(asked: list[Exchange]) -> str:
    lines = []
    for one in asked:
        known = {name: value for name, value in one.seconds.items() if value is not None}
        lines.append(", ".join(f"{name} {value * 1000:.0f} ms" for name, value in known.items()))
    return "\n".join(lines)
