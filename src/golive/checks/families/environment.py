"""Variables: declared, set, and meant for production."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from golive.blueprint.models import VariableType
from golive.checks.app import App
from golive.checks.model import Evidence, Family, Fix, Outcome, Setting, failed, not_applicable, passed, warned

family = Family("environment", "Whether the app was given everything it asks for, and the right things.")
_MODE = re.compile(r"(^|_)(ENV|ENVIRONMENT|MODE|STAGE)$")
_DEBUG = re.compile(r"(^|_)DEBUG$|^DEBUG_")
_HIDDEN = re.compile(r"(SECRET|PASSWORD|PASSWD|PRIVATE_KEY|API_KEY|ACCESS_KEY|TOKEN)(_|$)")
_OPEN = re.compile(r"^(NEXT_PUBLIC|VITE|REACT_APP|PUBLIC|NUXT_PUBLIC)_|PUBLIC|PUBLISHABLE")
_FALSE = ("", "0", "false", "no", "off", "none", "null")


def _named(app: App, rows: list[dict[str, Any]]) -> Evidence:
    lines = (
        f"{row['name']}: {row['origin']}, {row['value'] if row['value'] is not None else 'no value'}" for row in rows
    )
    return app.said("env", "\n".join(lines) or "(none)")


@family.app(
    "complete",
    "Every variable that is required has a value",
    "An app without its database's address starts, and fails at the first visitor.",
    answers="datifyy.3 rt-apps.1",
)
async def complete(app: App) -> Outcome:
    rows = await app.variables()
    missing = [row for row in rows if row["origin"] == "missing"]
    if missing:
        names = ", ".join(row["name"] for row in missing)
        return failed(f"no value: {names}", _named(app, missing), fix=f"golive env set {missing[0]['name']}=…")
    return passed(f"{sum(row['declared'] for row in rows)} declared, none is missing", _named(app, rows[:12]))


@family.app(
    "declared",
    "What the code reads is declared",
    "What nobody declared nobody sets on the next machine.",
    answers="darasa.1 datifyy.3",
)
async def declared(app: App) -> Outcome:
    rows = [
        row for row in await app.variables() if row["read"] and not row["declared"] and row["origin"] == "undeclared"
    ]
    if rows:
        lines = "\n".join(f"{row['name']}: read in {row['read']}" for row in rows[:12])
        settings = tuple(Setting(("env", row["name"]), {"required": False}) for row in rows[:30])
        fix = Fix("declare them", settings)
        return warned(f"{len(rows)} that are not: {rows[0]['name']}", app.said("env", lines), fix=fix)
    return passed("all that is read", app.said("env", "nothing that the code reads is missing in golive.toml"))


@family.app(
    "production",
    "Production is told that it is production",
    "Debug modes show code and values to whoever makes an error, and are slow.",
    answers="rt-apps.1 datifyy.3 rt-apps.11",
)
async def production(app: App) -> Outcome:
    if app.environment != "production":
        return not_applicable(f"this is {app.environment}")
    wrong = []
    rows = [row for row in await app.variables() if row["value"] is not None]
    for row in rows:
        value = str(row["value"]).strip().lower()
        if _MODE.search(row["name"]) and value in ("development", "dev", "debug", "test", "local"):
            wrong.append(row)
        if _DEBUG.search(row["name"]) and value not in _FALSE:
            wrong.append(row)
    if wrong:
        row = wrong[0]
        text = ", ".join(f"{one['name']}={one['value']}" for one in wrong)
        good: Any = "production" if _MODE.search(row["name"]) else "false"
        fix = Fix(f"golive env set {row['name']}={good}")
        if row["origin"] == "default" and app.blueprint.env[row["name"]].type is VariableType.BOOL:
            good = False
        if row["origin"] == "default":
            fix = Fix(f"{good} in production", (Setting(("env", row["name"], "default"), good),))
        return failed(text, _named(app, wrong), fix=fix)
    told = [row for row in rows if _MODE.search(row["name"]) or _DEBUG.search(row["name"])]
    return passed("no variable says otherwise", _named(app, told))


@family.app(
    "addresses",
    "Addresses in production are HTTPS, and not of this machine",
    "A link to localhost works for the developer only.",
    answers="akashic.2 datifyy.5 rt-apps.1",
)
async def addresses(app: App) -> Outcome:
    own = {domain for domain in app.blueprint.domains if domain.endswith("localhost")}
    wrong, seen = [], []
    for row in await app.variables():
        if row["value"] is None or row["type"] not in ("url", "url[]") or row["origin"] == "resource":
            continue
        seen.append(row)
        for url in str(row["value"]).strip("[]").replace('"', "").split(","):
            parts = urlsplit(url.strip())
            host = (parts.hostname or "").lower()
            if host in own or not host or parts.scheme not in ("http", "https"):
                continue
            if host in ("localhost", "127.0.0.1", "::1") or parts.scheme == "http":
                wrong.append((row, url.strip()))
    if not seen:
        return not_applicable("no variable has an address as its type")
    if wrong:
        text = ", ".join(f"{row['name']} names {url}" for row, url in wrong)
        return warned(
            text, _named(app, [row for row, _ in wrong]), fix=f"golive env set {wrong[0][0]['name']}=https://…"
        )
    return passed(", ".join(row["name"] for row in seen), _named(app, seen))


@family.app(
    "secret",
    "What is secret is declared as secret",
    "Only then it is encrypted, masked in logs, and kept out of bundles.",
    answers="rt-apps.11 datifyy.16 darasa.1",
)
async def secret(app: App) -> Outcome:
    plain = [
        name
        for name, variable in app.blueprint.env.items()
        if _HIDDEN.search(name)
        and not _OPEN.search(name)
        and not variable.client
        and variable.type is VariableType.STRING
    ]
    if plain:
        settings = tuple(Setting(("env", name, "type"), "secret") for name in plain)
        lines = "\n".join(f"env.{name}: type string" for name in plain)
        fix = Fix("give them the type secret", settings)
        return failed(f"plain text: {', '.join(plain)}", Evidence("golive config", lines), fix=fix)
    count = sum(v.type is VariableType.SECRET for v in app.blueprint.env.values())
    return passed(f"{count} secrets", Evidence("golive config", f"{count} of type secret, none by its name only"))
