"""Secrets: none where others can read them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from golive.blueprint.models import VariableType
from golive.blueprint.strength import OLD, bits, weakness
from golive.checks.app import App
from golive.checks.model import Evidence, Family, Outcome, could_not_tell, failed, not_applicable, passed, warned
from golive.checks.site import Site

if TYPE_CHECKING:
    from golive.build.shapes import Shape

family = Family("secrets", "Whether keys are where only the app can read them, and are good ones.")


@family.site(
    "bundle",
    "No keys in what browsers get",
    "Whoever opens the page has them: others have paid five-figure bills for a key in a script.",
    answers="datifyy.16 rt-apps.11 threadr.2",
)
async def bundle(site: Site) -> Outcome:
    home = await site.home()
    answers = [home, *(await site.assets())] if home.type == "text/html" else [home]
    found: list[tuple[str, Shape]] = []
    texts = [(urlsplit(one.url).path or "/", one.content) for one in answers]
    shapes = await asyncio.to_thread(_search, texts, site.aim.cache)
    for path, shape in shapes:
        found.append((path, shape))
    hard = [(path, shape) for path, shape in found if not shape.mild]
    listed = "\n".join(f"{path}:{s.line}:{s.column} {s.rule} {_hint(s.secret)} {s.mild}".rstrip() for path, s in found)
    evidence = Evidence("\n".join(f"GET {one.url}" for one in answers), listed or f"{len(texts)} files, none found")
    if hard:
        path, shape = hard[0]
        fix = "revoke it, and let the backend make the call: what a browser has is public"
        return failed(f"{shape.rule} in {path}, line {shape.line}", evidence, fix=fix)
    if found:
        return warned(f"{found[0][1].rule}: {found[0][1].mild}", evidence)
    return passed(f"none in {len(texts)} files", evidence)


def _search(texts: list[tuple[str, bytes]], cache: Path | None) -> list[tuple[str, Shape]]:
    from golive.build.shapes import Shapes

    with TemporaryDirectory() as folder:
        rules = Shapes(cache or Path(folder))
        return [(path, shape) for path, text in texts for shape in rules.find(text)]


def _hint(secret: str) -> str:
    """Enough to know it again, not enough to use it."""
    return f"{secret[:4]}•••••• ({len(secret)} characters)"


@family.app(
    "source",
    "No keys in the source",
    "Whoever has the repository has them, for ever.",
    answers="datifyy.16 rt-apps.11",
)
async def source(app: App) -> Outcome:
    done = next((event for event in await app.fact("secrets") if event["type"] == "done"), None)
    if done is None:
        return could_not_tell("the search did not end")
    lines = "\n".join(f"{f['file']}:{f['line']} {f['what']} {f['outcome']}" for f in done["findings"][:12])
    evidence = app.said("secrets scan", lines or "none")
    if done["stops"]:
        first = next(f for f in done["findings"] if f["outcome"] == "stops")
        fix = "revoke it, take it out, and golive env set it: golive secrets scan shows all"
        return failed(f"{first['what']} in {first['file']}, line {first['line']}", evidence, fix=fix)
    return passed("none that stops a deploy", evidence)


@family.app(
    "strength",
    "Secrets that sign are long and random",
    "A short one is guessed offline in an hour, and then everybody signs in as everybody.",
    answers="akashic.1 datifyy.4 akashic.3",
)
async def strength(app: App) -> Outcome:
    values: dict[str, str] = (await app.fact("values"))["values"]
    named = [n for n, v in app.blueprint.env.items() if v.type is VariableType.SECRET and n in values]
    weak, lines = [], []
    for name in named:
        value = values[name]
        lines.append(f"{name}: {len(value)} characters, {bits(value):.0f} bits")
        if found := weakness(name, value):
            weak.append(found)
    evidence = app.said("env read --secrets", "\n".join(lines) or "(no secrets)")
    if weak:
        name = weak[0].partition(" ")[0]
        return failed("; ".join(weak), evidence, fix=f"openssl rand -base64 32 | golive env set {name}")
    if not named:
        return not_applicable("the app has no secrets of its own")
    return passed(f"{len(named)} looked at", evidence)


@family.app(
    "shared",
    "Every secret is used for one thing",
    "One that leaks opens all doors it fits.",
    answers="datifyy.16 rt-apps.11",
)
async def shared(app: App) -> Outcome:
    values: dict[str, str] = (await app.fact("values"))["values"]
    names = [n for n, v in app.blueprint.env.items() if v.type is VariableType.SECRET and len(values.get(n, "")) >= 8]
    holders: dict[str, list[str]] = {}
    for name in names:
        holders.setdefault(values[name], []).append(name)
    twice = [", ".join(found) for found in holders.values() if len(found) > 1]
    if len(names) < 2:
        return not_applicable("fewer than two secrets")
    evidence = app.said("env read --secrets", "\n".join(twice) or f"{len(names)} different values")
    if twice:
        return warned(f"the same value: {twice[0]}", evidence, fix="give each its own")
    return passed(f"{len(names)} different values", evidence)


@family.app(
    "age",
    "Secrets are changed now and then",
    "Old ones are in old backups, old laptops and the heads of people who left.",
    answers="threadr.7 rt-apps.11",
)
async def age(app: App) -> Outcome:
    secret = {n for n, v in app.blueprint.env.items() if v.type is VariableType.SECRET}
    rows = [row for row in await app.variables() if row["name"] in secret and row["set_at"]]
    if not rows:
        return not_applicable("no secret was set by hand")
    days = {row["name"]: (time.time() - row["set_at"]) / 86400 for row in rows}
    evidence = app.said("env", "\n".join(f"{name}: set {count:.0f} days ago" for name, count in days.items()))
    old = [name for name, count in days.items() if count > OLD]
    if old:
        return warned(
            f"{len(old)} are older than {OLD} days: {', '.join(old[:4])}",
            evidence,
            fix=f"golive env rotate {old[0]}",
        )
    return passed(f"the oldest was set {max(days.values()):.0f} days ago", evidence)
