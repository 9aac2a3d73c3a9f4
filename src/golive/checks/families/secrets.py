"""Secrets: none where others can read them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from golive.checks.model import Evidence, Family, Outcome, failed, passed, warned
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
