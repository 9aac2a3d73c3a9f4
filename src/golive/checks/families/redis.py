"""Redis: whether it runs, keeps what it should, and is closed."""

from __future__ import annotations

from golive.checks.app import App
from golive.checks.families.database import advice, answered, databases
from golive.checks.model import Evidence, Family, Fix, Outcome, Setting, failed, not_applicable, passed, warned

family = Family("redis", "Whether sessions and queues are where they were put.")
_NONE = "the app has no Redis"


@family.app(
    "answers",
    "Redis answers",
    "Sessions, limits and queues are in it.",
    answers="datifyy.2",
)
async def answers(app: App) -> Outcome:
    outcome = await answered(app, "redis", lambda facts: f"Redis {facts['version']}, up {facts['up']:.0f} s")
    return outcome or not_applicable(_NONE)


@family.app(
    "advice",
    "It needs no mending",
    "What is evicted or refused was somebody's session.",
    answers="datifyy.2 datifyy.15",
)
async def mending(app: App) -> Outcome:
    found = [one for one in await databases(app, "redis") if "error" not in one]
    return advice(app, found) if found else not_applicable(_NONE)


@family.app(
    "password",
    "It asks for a password",
    "An open Redis is found by scanners within the hour, and can be made to run programs.",
    answers="akashic.4",
)
async def password(app: App) -> Outcome:
    resources = {n: r for n, r in app.blueprint.resources.items() if r.engine == "redis"}
    if not resources:
        return not_applicable(_NONE)
    outside = [r.url_from for r in resources.values() if r.url_from]
    if not outside:
        return passed(
            "golive runs it: loopback only, a password of 256 random bits", app.said("status", "\n".join(resources))
        )
    values = (await app.fact("values"))["values"]
    for name in outside:
        url = str(values.get(name, ""))
        if "@" not in url and "localhost" not in url and "127.0.0.1" not in url:
            text = f"{name} has no password"
            return failed(text, app.said("env read", f"{name}={url}"), fix="set one, and put it in the address")
    return passed("the address has one", app.said("env read", "\n".join(f"{name}=redis://••••••" for name in outside)))


@family.app(
    "kept",
    "It keeps what it has through a restart",
    "A queue in memory only is lost with the machine.",
    answers="datifyy.2 threadr.5",
)
async def kept(app: App) -> Outcome:
    own = {n: r for n, r in app.blueprint.resources.items() if r.engine == "redis" and not r.url_from}
    if not own:
        return not_applicable(_NONE)
    shown = Evidence("golive config", "\n".join(f"{n}: persistence {r.persistence}" for n, r in own.items()))
    for name, resource in own.items():
        if resource.persistence == "none":
            fix = Fix("keep every write", (Setting(("resources", name, "persistence"), "aof"),))
            return warned(f"{name} keeps nothing", shown, fix=fix)
    return passed(", ".join(f"{n}: {r.persistence}" for n, r in own.items()), shown)
