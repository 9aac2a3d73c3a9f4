"""Which files of a checkout are imported, in the order in which they decide."""

from __future__ import annotations

import re
from collections.abc import Callable

from golive.blueprint.checkout import Checkout
from golive.importers.compose import import_compose
from golive.importers.dotenv import import_env
from golive.importers.fly import import_fly
from golive.importers.heroku import import_app_json
from golive.importers.loading import Unreadable, read
from golive.importers.next_config import NAMES, import_next_config
from golive.importers.nixpacks import import_nixpacks
from golive.importers.places import folder_of
from golive.importers.procfile import import_procfile, parse_procfile
from golive.importers.railpack import import_railpack
from golive.importers.railway import import_railway
from golive.importers.render import import_render
from golive.importers.report import Imported, unreadable
from golive.importers.vercel import import_vercel

Importer = Callable[[str, str], Imported]
MAX_FOLDERS = 3
"""Files deeper in the checkout are examples and fixtures more often than the app's own."""
MAX_FILES = 60

IMPORTERS: tuple[tuple[str, re.Pattern[str], Importer], ...] = (
    ("Procfile", re.compile(r"Procfile"), import_procfile),
    ("render.yaml", re.compile(r"render\.ya?ml"), import_render),
    ("fly.toml", re.compile(r"fly\.toml"), import_fly),
    ("railway", re.compile(r"railway\.(?:json|toml)"), import_railway),
    ("nixpacks.toml", re.compile(r"nixpacks\.toml"), import_nixpacks),
    ("railpack.json", re.compile(r"railpack\.json"), import_railpack),
    ("vercel.json", re.compile(r"vercel\.json"), import_vercel),
    ("compose", re.compile(r"(?:docker-)?compose\.ya?ml"), import_compose),
    (".env", re.compile(r"\.env\.(?:example|sample|template|dist)|env\.example|example\.env"), import_env),
)
_HEROKU = {"addons", "buildpacks", "formation", "stack", "env", "keywords", "scripts", "success_url"}
_SKIPPED = re.compile(r"(?:^|/)(?:tests?|examples?|fixtures|testdata|templates?|vendor|third_party|docs?)/")


def import_text(kind: str, text: str, file: str, processes: dict[str, str] | None = None) -> Imported:
    """One file by its kind; a file of which nothing can be read gives an Imported that says why."""
    try:
        if kind == "app.json":
            return import_app_json(text, file, processes)
        importer = next(importer for name, _, importer in IMPORTERS if name == kind)
        return importer(text, file)
    except Unreadable as reason:
        return unreadable(file, kind, str(reason))


def import_checkout(checkout: Checkout) -> list[Imported]:
    """Every file that can be imported, those that decide first in front."""
    files = [f for f in checkout.files if f.count("/") <= MAX_FOLDERS and not _SKIPPED.search(f)]
    found: list[Imported] = []
    for kind, pattern, _ in IMPORTERS:
        named = [f for f in files if pattern.fullmatch(f.rpartition("/")[2])]
        found += [_one(checkout, kind, file) for file in _preferred(named)]
        if kind == "vercel.json":
            found += [
                _heroku(checkout, f) for f in files if f.rpartition("/")[2] == "app.json" and _is_heroku(checkout, f)
            ]
            found += [_next(checkout, file) for file in files if file.rpartition("/")[2] in NAMES]
    if not any(entry.kind == ".env" for entry in found) and ".env" in files:
        found.append(_one(checkout, ".env", ".env"))
    return found[:MAX_FILES]


def _preferred(files: list[str]) -> list[str]:
    """Shallow ones first; the most usual name of a folder's several."""
    return sorted(files, key=lambda f: (f.count("/"), "docker" in f, f))


def _one(checkout: Checkout, kind: str, file: str) -> Imported:
    try:
        return import_text(kind, read(checkout, file), file)
    except Unreadable as reason:
        return unreadable(file, kind, str(reason))


def _next(checkout: Checkout, file: str) -> Imported:
    try:
        return import_next_config(checkout, file)
    except Unreadable as reason:
        return unreadable(file, "next.config", str(reason))


def _is_heroku(checkout: Checkout, file: str) -> bool:
    """app.json is also a file of Expo and others."""
    text = checkout.read(file) or ""
    return '"expo"' not in text and any(f'"{key}"' in text for key in _HEROKU)


def _heroku(checkout: Checkout, file: str) -> Imported:
    folder = folder_of(file)
    beside = checkout.read(f"{folder}/Procfile" if folder != "." else "Procfile")
    try:
        loaded = parse_procfile(beside) if beside else None
        text = read(checkout, file)
    except Unreadable as reason:
        return unreadable(file, "app.json", str(reason))
    processes = {k: v for k, v in loaded.data.items() if isinstance(v, str)} if loaded else {}
    return import_text("app.json", text, file, processes)
