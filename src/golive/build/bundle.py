"""How much JavaScript each page of a front end loads (BLD-6), and the budget for it."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from golive.build.artifact import PageSize
from golive.errors import BuildFailed
from golive.units import human_size

LEVEL = 6
"""gzip's own default, and the level that build tools report with."""
_SCRIPT = re.compile(r"""<script\b[^>]*\bsrc\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
_PRELOAD = re.compile(
    r"""<link\b(?=[^>]*\brel\s*=\s*["']?modulepreload)[^>]*\bhref\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE
)
MAX_PAGES = 500


def measure(project: Path, output: Path, framework: str | None) -> tuple[PageSize, ...]:
    """Every page of a build, by its route, with the scripts it loads at first. Empty where there is nothing to see."""
    if framework == "next" and (project / ".next").is_dir():
        pages = next_pages(project / ".next")
    else:
        pages = html_pages(output)
    sizes: dict[str, tuple[int, int]] = {}
    return tuple(_page(route, files, sizes) for route, files in sorted(pages.items())[:MAX_PAGES])


def next_pages(built: Path) -> dict[str, tuple[Path, ...]]:
    """Routes of the App and the Pages Router, from the manifests that `next build` writes."""
    pages: dict[str, tuple[Path, ...]] = {}
    manifest = _json(built / "build-manifest.json")
    shared = [*_files(manifest.get("rootMainFiles")), *_files(manifest.get("polyfillFiles"))[:0]]
    for key, place in _json(built / "server/app-paths-manifest.json").items():
        if key.endswith("/page") and isinstance(place, str):
            client = built / "server" / re.sub(r"\.js$", "_client-reference-manifest.js", place)
            files = dict.fromkeys([*shared, *_entry_files(client)])
            pages[_route(key)] = tuple(built / name for name in files)
    for route, listed in (manifest.get("pages") or {}).items():
        if route not in ("/_app", "/_document") and not (pages and route == "/_error"):
            common = _files((manifest.get("pages") or {}).get("/_app"))
            pages.setdefault(route, tuple(built / name for name in dict.fromkeys([*common, *_files(listed)])))
    return pages


def html_pages(output: Path) -> dict[str, tuple[Path, ...]]:
    """Every HTML file with the scripts and module preloads it names."""
    pages: dict[str, tuple[Path, ...]] = {}
    for page in sorted(output.rglob("*.html"))[:MAX_PAGES] if output.is_dir() else ():
        text = page.read_text(errors="replace")
        named = [*_SCRIPT.findall(text), *_PRELOAD.findall(text)]
        files = [file for name in dict.fromkeys(named) if (file := _local(output, page, name))]
        route = "/" + page.relative_to(output).as_posix().removesuffix("index.html").removesuffix(".html")
        pages[route] = tuple(dict.fromkeys(files))
    return pages if any(pages.values()) else {}


def check_budget(pages: Iterable[PageSize], budget: int | None, service: str) -> None:
    """BuildFailed naming every page above the budget (bytes, gzipped)."""
    over = [page for page in pages if budget is not None and page.gzip > budget]
    if over and budget is not None:
        shown = ", ".join(f"{page.route} {human_size(page.gzip)}" for page in sorted(over, key=lambda p: -p.gzip)[:8])
        raise BuildFailed(
            f"{len(over)} {'page loads' if len(over) == 1 else 'pages load'} more JavaScript than {human_size(budget)}",
            where=f"services.{service}",
            why=f"gzipped: {shown}",
            hint="load less at first (`next/dynamic`, `import()`), or raise `bundle_budget` under [build]",
        )


def growth(now: Iterable[PageSize], before: Iterable[PageSize]) -> dict[str, int]:
    """How many gzipped bytes each route has more than in the release before; a new route has all of its own. Pure."""
    known = {page.route: page.gzip for page in before}
    return {page.route: page.gzip - known.get(page.route, 0) for page in now}


def _page(route: str, files: tuple[Path, ...], sizes: dict[str, tuple[int, int]]) -> PageSize:
    raw = packed = 0
    for file in files:
        if str(file) not in sizes:
            try:
                content = file.read_bytes()
            except OSError:
                content = b""
            sizes[str(file)] = len(content), len(gzip.compress(content, LEVEL, mtime=0)) if content else 0
        raw, packed = raw + sizes[str(file)][0], packed + sizes[str(file)][1]
    return PageSize(route=route, raw=raw, gzip=packed, files=tuple(file.name for file in files))


def _entry_files(manifest: Path) -> Iterator[str]:
    """The scripts of one page of the App Router: `entryJSFiles` in a module that assigns one JSON object."""
    try:
        text = manifest.read_text()
    except OSError:
        return
    start = re.search(r"\]\s*=\s*(?=\{)", text)
    if not start:
        return
    try:
        data, _ = json.JSONDecoder().raw_decode(text, start.end())
    except ValueError:
        return
    for files in (data.get("entryJSFiles") or {}).values():
        yield from _files(files)


def _files(listed: Any) -> list[str]:
    return (
        [name for name in listed if isinstance(name, str) and name.endswith(".js")] if isinstance(listed, list) else []
    )


def _route(key: str) -> str:
    """`/(shop)/cart/page` → `/cart`."""
    return re.sub(r"/(\([^)/]*\)|@[^/]*)", "", key.removesuffix("/page")) or "/"


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _local(output: Path, page: Path, name: str) -> Path | None:
    """The file of a script's URL, None for another host's; a base path in front of it is passed over."""
    if re.match(r"(?:[a-z]+:)?//", name):
        return None
    path = name.split("?", maxsplit=1)[0].split("#", maxsplit=1)[0]
    if not path.startswith("/"):
        file = (page.parent / path).resolve()
        return file if file.is_relative_to(output.resolve()) and file.is_file() else None
    parts = path.strip("/").split("/")
    return next((file for n in range(len(parts)) if (file := output.joinpath(*parts[n:])).is_file()), None)
