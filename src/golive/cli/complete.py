"""What a press of Tab offers besides commands and options. Quick, silent, and never an error."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from golive.errors import GoliveError

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def _quietly(names: Callable[[click.Context], Iterable[str]]) -> Complete:
    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        try:
            return [name for name in names(context) if name.startswith(incomplete)]
        except (GoliveError, OSError, ValueError):
            return []

    return complete


def _document(context: click.Context) -> dict[str, Any]:
    from golive.cli.place import FILE, find

    target = find(Path(context.params.get("directory") or "."), "production")
    return tomllib.loads(((target.checkout or Path()) / FILE).read_text())


def _tables(context: click.Context, *names: str) -> list[str]:
    document = _document(context)
    return [key for name in names if isinstance(table := document.get(name), dict) for key in table]


def _query(context: click.Context) -> dict[str, str]:
    from golive.cli.place import find

    given = context.params
    return find(Path(given.get("directory") or "."), given.get("environment") or "production", given.get("app")).query()


def _releases(context: click.Context) -> list[str]:
    """Those that can be gone back to; nothing when no daemon runs, since Tab starts none."""
    from golive.cli.place import client

    found = client(start=False).get("/v1/releases", **_query(context))
    return [str(row["release"]) for row in found["releases"] if row["state"] == "ready"]


def _branches(context: click.Context) -> list[str]:
    from golive.cli.place import client

    found = client(start=False).get("/v1/db/branches", **_query(context))
    return [str(each["name"]).partition("@")[2] for each in found["branches"]]


def _apps(_: click.Context) -> list[str]:
    from golive.cli.place import client

    return sorted({app["app"] for app in client(start=False).get("/v1/status")["apps"]})


services = _quietly(lambda context: _tables(context, "services"))
resources = _quietly(lambda context: _tables(context, "resources"))
logged = _quietly(lambda context: _tables(context, "services", "resources"))
variables = _quietly(lambda context: _tables(context, "env"))
counts = _quietly(lambda context: [f"{name}=" for name in _tables(context, "services")])
releases = _quietly(_releases)
branches = _quietly(_branches)
apps = _quietly(_apps)
