"""Which migration tool a checkout uses, and where its files are.

Only files are looked at. What Drizzle's configuration says is read where it says it plainly (a string); else the
blueprint's own keys are the way to say it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from golive.blueprint.checkout import Checkout, OutsideCheckout, join

NEEDS_SERVICE = ("alembic", "django")
"""Tools that run in the environment of a service."""
_NUMBERED = re.compile(r"\d+[^/]*(?<!\.down)\.sql", re.IGNORECASE)
_UP = re.compile(r"\d+_[^/]*\.up\.sql")
_PRISMA = re.compile(r"[^/]+/migration\.sql")
_JOURNAL = "meta/_journal.json"
_PLACES = ("migrations", "db/migrations", "prisma/migrations", "drizzle")
_SHARED = ("packages", "libs", "apps")
"""Folders of workspaces, one of which may hold the database for all of them."""
_CONFIGS = tuple(f"drizzle.config.{suffix}" for suffix in ("ts", "mts", "js", "mjs", "cjs", "json"))
_COMMENT = re.compile(r"/\*.*?\*/|(?<!:)//[^\n]*", re.DOTALL)
_STRING = r"""["'`](?P<value>[^"'`$\n]+)["'`]"""


@dataclass(frozen=True)
class FoundMigrations:
    """`source` is what the blueprint's key of that name would be."""

    tool: str
    source: str
    evidence: str


def find(checkout: Checkout, folders: tuple[str, ...]) -> list[FoundMigrations]:
    """Schema migrations in these folders (sources of services, and the root); else in the packages of a workspace."""
    found = {m.source: m for folder in dict.fromkeys((".", *folders)) for m in _in(checkout, folder)}
    if not found:
        tops = {"/".join(f.split("/")[:2]) for f in checkout.files if f.split("/")[0] in _SHARED and f.count("/") > 1}
        found = {m.source: m for folder in sorted(tops) for m in _in(checkout, folder)}
    return list(found.values())


def _in(checkout: Checkout, folder: str) -> Iterator[FoundMigrations]:
    if not _is_folder(checkout, folder):
        return
    out = drizzle_setting(checkout, folder, "out")
    places = (*_PLACES, out.removeprefix("./").rstrip("/")) if out else _PLACES
    for place in (*dict.fromkeys(places), "."):
        source = join(folder, place)
        tool = tool_of(checkout, source)
        if tool and (place != "." or tool[0] in NEEDS_SERVICE):
            yield FoundMigrations(tool[0], source, tool[1])


def tool_of(checkout: Checkout, source: str) -> tuple[str, str] | None:
    """The tool that the folder's files are for, and the file that shows it."""
    files = checkout.below(source)
    if "alembic.ini" in files:
        return "alembic", join(source, "alembic.ini")
    if "manage.py" in files and "django" in (checkout.read(join(source, "manage.py")) or "").lower():
        return "django", join(source, "manage.py")
    if _JOURNAL in files:
        return "drizzle", join(source, _JOURNAL)
    if prisma := next((f for f in files if _PRISMA.fullmatch(f)), None):
        return "prisma", join(source, prisma)
    numbered = [f for f in files if _NUMBERED.fullmatch(f)]
    if numbered and all(_UP.fullmatch(f) for f in numbered):
        return "golang-migrate", join(source, numbered[0])
    return ("sql", join(source, numbered[0])) if numbered else None


def drizzle_table(checkout: Checkout, source: str) -> tuple[str, str] | None:
    """The `schema.table` that Drizzle's configuration above this folder names, and that file; None for the usual."""
    parts = source.split("/")
    for depth in range(len(parts), -1, -1):
        folder = "/".join(parts[:depth]) or "."
        config = _config(checkout, folder)
        if config:
            schema = drizzle_setting(checkout, folder, "schema", "migrations")
            table = drizzle_setting(checkout, folder, "table", "migrations")
            named = f"{schema or 'drizzle'}.{table or '__drizzle_migrations'}"
            return (named, join(folder, config)) if schema or table else None
    return None


def drizzle_setting(checkout: Checkout, folder: str, key: str, table: str = "") -> str | None:
    """A string of drizzle.config.*, at its top or in one of its tables; None when it is not said, or not plainly."""
    config = _config(checkout, folder)
    text = checkout.read(join(folder, config)) if config else None
    if config is None or text is None:
        return None
    if config.endswith(".json"):
        return _from_json(text, key, table)
    text = _COMMENT.sub("", text)
    inner = re.search(rf"\b{table}\s*:\s*\{{(?P<body>[^{{}}]*)\}}", text) if table else None
    if table and inner is None:
        return None
    match = re.search(rf"""(?<![\w.])["']?{key}["']?\s*:\s*{_STRING}""", inner["body"] if inner else text)
    return match["value"] if match else None


def _config(checkout: Checkout, folder: str) -> str | None:
    return next((name for name in _CONFIGS if join(folder, name) in checkout.files), None)


def _from_json(text: str, key: str, table: str) -> str | None:
    try:
        value = json.loads(text)
        value = (value.get(table, {}) if table else value).get(key)
    except (ValueError, AttributeError, RecursionError):
        return None
    return value if isinstance(value, str) else None


def _is_folder(checkout: Checkout, source: str) -> bool:
    try:
        return checkout.what_is(source) == "folder"
    except OutsideCheckout:
        return False
