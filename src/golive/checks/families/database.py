"""PostgreSQL: whether it runs, is well, and is reached safely."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from golive.checks.app import App
from golive.checks.model import Family, Fix, Outcome, Setting, failed, not_applicable, passed, warned

family = Family("database", "Whether the database runs, keeps up, and is the app's alone.")
_NONE = "the app has no PostgreSQL"


async def databases(app: App, engine: str) -> list[dict[str, Any]]:
    if not any(resource.engine == engine for resource in app.blueprint.resources.values()):
        return []
    found: list[dict[str, Any]] = (await app.fact("insight"))["resources"]
    return [one for one in found if one["engine"] == engine]


async def answered(app: App, engine: str, described: Callable[[dict[str, Any]], str]) -> Outcome | None:
    """Whether every one of that engine answers, each `described` from its facts; None without one."""
    found = await databases(app, engine)
    if not found:
        return None
    for one in found:
        if "error" in one:
            why = one["error"]["what"]
            return failed(f"{one['name']}: {why}", app.said("db insight", why), fix="golive status, golive logs")
    lines = "\n".join(f"{one['name']}: {described(one['facts'])}" for one in found)
    return passed(", ".join(one["name"] for one in found), app.said("db insight", lines))


def advice(app: App, found: list[dict[str, Any]], codes: tuple[str, ...] = ()) -> Outcome:
    """What `golive db insight` says of them; `codes` chooses."""
    every = [(one["name"], f) for one in found for f in one.get("findings", ())]
    chosen = [(name, f) for name, f in every if not codes or any(code in f["code"] for code in codes)]
    lines = "\n".join(f"{f['level']}: {name} {f['about']}: {f['what']}" for name, f in chosen)
    evidence = app.said("db insight", lines or "nothing to mend")
    for level, say in (("critical", failed), ("warning", warned)):
        if hits := [(name, f) for name, f in chosen if f["level"] == level]:
            name, first = hits[0]
            return say(f"{name}, {first['about']}: {first['what']}", evidence, fix=first["todo"])
    return passed("nothing to mend", evidence)


@family.app(
    "answers",
    "PostgreSQL answers",
    "Everything the app remembers is in it.",
    answers="datifyy.1 rt-apps.21",
)
async def answers(app: App) -> Outcome:
    outcome = await answered(app, "postgres", lambda facts: f"PostgreSQL {facts['server']['version']}")
    return outcome or not_applicable(_NONE)


@family.app(
    "advice",
    "It needs no mending",
    "Missing indexes, bloat and long transactions are slow today and an outage later.",
    answers="datifyy.15",
)
async def mending(app: App) -> Outcome:
    found = [one for one in await databases(app, "postgres") if "error" not in one]
    return advice(app, found) if found else not_applicable(_NONE)


@family.app(
    "connections",
    "It has connections left",
    "The one too many is refused, and it is a visitor's.",
    answers="darasa.2 datifyy.15",
)
async def connections(app: App) -> Outcome:
    found = [one for one in await databases(app, "postgres") if "error" not in one]
    if not found:
        return not_applicable(_NONE)
    lines = []
    for one in found:
        used, most = sum(one["facts"]["connections"].values()), one["facts"]["server"]["max_connections"]
        lines.append(f"{one['name']}: {used} of {most}")
        if used > 0.8 * most:
            fix = Fix("put PgBouncer before it", (Setting(("resources", one["name"], "pool"), True),))
            return warned(lines[-1], app.said("db insight", lines[-1]), fix=fix)
    return passed("; ".join(lines), app.said("db insight", "\n".join(lines)))


@family.app(
    "private",
    "It is reached by the app alone, or over TLS",
    "Whoever reads along between app and database reads everything.",
    answers="akashic.3 rt-apps.11",
)
async def private(app: App) -> Outcome:
    resources = {n: r for n, r in app.blueprint.resources.items() if r.engine == "postgres"}
    if not resources:
        return not_applicable(_NONE)
    outside = [r.url_from for r in resources.values() if r.url_from]
    if not outside:
        text = "golive runs it: loopback only, a role of its own, a password of 256 random bits"
        return passed(text, app.said("status", "\n".join(resources)))
    values = (await app.fact("values"))["values"]
    for name in outside:
        url = str(values.get(name, ""))
        if "@localhost" in url or "@127.0.0.1" in url or "host=/" in url:
            continue
        if "sslmode=disable" in url or ("sslmode=" not in url and "ssl=true" not in url):
            text = f"{name} does not demand TLS"
            return failed(text, app.said("env read", f"{name}=postgresql://••••••"), fix="add ?sslmode=require to it")
    return passed("TLS is demanded", app.said("env read", "\n".join(f"{name}=postgresql://••••••" for name in outside)))


@family.app(
    "current",
    "Its version still gets fixes",
    "After its last day nobody mends holes that become known.",
    answers="rt-apps.11",
)
async def current(app: App) -> Outcome:
    from datetime import UTC, datetime

    status = await app.status()
    ends = {12: 2024, 13: 2025, 14: 2026, 15: 2027, 16: 2028, 17: 2029, 18: 2030}
    found = {n: r["version"] for n, r in status["resources"].items() if r["engine"] == "postgres"}
    if not found:
        return not_applicable(_NONE)
    lines = app.said("status", "\n".join(f"{name}: PostgreSQL {version}" for name, version in found.items()))
    for name, version in found.items():
        major = int(str(version).partition(".")[0] or 0)
        if major and datetime.now(UTC) > datetime(ends.get(major, 2023 if major < 12 else 2099), 11, 30, tzinfo=UTC):
            return failed(
                f"{name}: {version} has had its last fix", lines, fix="move to a newer one: golive db upgrade"
            )
    return passed(", ".join(f"{name}: {version}" for name, version in found.items()), lines)
