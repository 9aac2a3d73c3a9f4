"""Alerts: somebody is told."""

from __future__ import annotations

import json
import re
from collections import Counter

from golive.blueprint.models import ServiceKind
from golive.checks.app import App
from golive.checks.model import (
    Evidence,
    Family,
    Fix,
    Outcome,
    Setting,
    could_not_tell,
    not_applicable,
    passed,
    warned,
)

family = Family("alerts", "Whether somebody hears of it before the customers call.")
_TRACKERS = re.compile(r"SENTRY|ROLLBAR|BUGSNAG|HONEYBADGER|GLITCHTIP|AIRBRAKE|DATADOG|NEW_RELIC|LOGROCKET")
_COUNTERS = re.compile(
    r"plausible|umami|posthog|googletagmanager|google-analytics|gtag\(|matomo|_vercel/insights|fathom|goatcounter|simpleanalytics"
)
_MONITORS = re.compile(
    r"UptimeRobot|Pingdom|Better ?Uptime|Better ?Stack|StatusCake|Uptime-Kuma|Site24x7|HetrixTools|updown\.io|Checkly"
    r"|Freshping|NodePing|Datadog/Synthetics|New ?Relic(?:Pinger|Synthetics)|GoogleStackdriverMonitoring|Blackbox",
    re.I,
)


@family.app(
    "tracker",
    "Errors go to a tracker",
    "It groups them, counts them, and says which release brought them.",
    answers="datifyy.12 rt-apps.8 rt-apps.17",
)
async def tracker(app: App) -> Outcome:
    rows = [row for row in await app.variables() if _TRACKERS.search(row["name"])]
    shown = app.said("env", "\n".join(f"{row['name']}: {row['origin']}" for row in rows) or "no variable of a tracker")
    if any(row["origin"] in ("set", "default") for row in rows):
        return passed(", ".join(row["name"] for row in rows), shown)
    if rows:
        return warned(f"{rows[0]['name']} has no value", shown, fix=f"golive env set {rows[0]['name']}=…")
    return warned("none was seen", shown, fix="declare and set SENTRY_DSN, or that of another tracker")


@family.app(
    "uptime",
    "Somebody outside asks whether it is up",
    "A machine that is down sends no alert about itself.",
    answers="datifyy.9 akashic.7 rt-apps.7 rt-apps.17",
)
async def uptime(app: App) -> Outcome:
    path = app.site.aim.health[0] if app.site and app.site.aim.health else "/"
    url = app.site.url(path) if app.site else "the app"
    own = f"{app.name}/{app.environment}/"
    agents = [agent for line in await app.fact("access") if (agent := _agent(line["text"], own)) is not None]
    monitors = Counter(found[0] for agent in agents if (found := _MONITORS.search(agent)))
    if monitors:
        lines = "\n".join(f"{name}: {count} requests" for name, count in monitors.most_common())
        return passed(", ".join(monitors), app.said("logs --edge", lines))
    shown = app.said("logs --edge", f"{len(agents)} requests, none of a monitor that is known")
    fix = f"let a monitor ask {url}; ignore this check with the monitor's name as reason"
    return could_not_tell("no known monitor is in the access log", shown, fix=fix)


def _agent(line: str, own: str) -> str | None:
    """Who sent the request of a line of the edge's log; None where it was for another app."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or not str(entry.get("service", "")).startswith(own):
        return None
    return str(entry.get("user_agent", ""))


@family.app(
    "visits",
    "Visits are counted",
    "Without numbers nobody sees that half of the visitors are gone.",
    answers="rt-apps.16",
)
async def visits(app: App) -> Outcome:
    if app.site is None:
        return could_not_tell("the app answers no requests")
    page = await app.site.page()
    places = [url for url in page.scripts if _COUNTERS.search(url)]
    places += ["a script in the page" for text in page.inline if _COUNTERS.search(text)]
    if places:
        return passed(places[0], Evidence(f"GET {page.url}", "\n".join(places)))
    scripts = "\n".join(page.scripts) or "(no scripts)"
    return could_not_tell("no known counter in the first page", Evidence(f"GET {page.url}", scripts))


@family.app(
    "coverage",
    "The tracker hears of every service",
    "The service that it is not in is the one that fails in silence.",
    answers="datifyy.12 rt-apps.8",
)
async def coverage(app: App) -> Outcome:
    trackers = {name: v for name, v in app.blueprint.env.items() if _TRACKERS.search(name)}
    running = [n for n, s in app.blueprint.services.items() if s.kind is not ServiceKind.STATIC]
    if not trackers or not running:
        return not_applicable("there is no tracker" if running else "no service runs code")
    heard = {n for v in trackers.values() for n in (v.services or running)}
    lines = [f"{n}: {'yes' if n in heard else 'no'}" for n in running]
    evidence = Evidence("golive config", "\n".join(lines))
    deaf = [n for n in running if n not in heard]
    if deaf:
        name = next(iter(trackers))
        settings = (Setting(("env", name, "for"), running),)
        return warned(f"not of {', '.join(deaf)}", evidence, fix=Fix("give it to all of them", settings))
    return passed(", ".join(running), evidence)
