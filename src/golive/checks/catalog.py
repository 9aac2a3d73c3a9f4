"""Every check there is, by family, in the order that reports show them."""

from __future__ import annotations

import importlib
from functools import cache

from golive.checks.model import Check, Family
from golive.errors import UsageError, nearest

MODULES = (
    "environment",
    "build",
    "release",
    "features",
    "health",
    "outage",
    "tls",
    "headers",
    "cors",
    "cookies",
    "ratelimit",
    "caching",
    "compression",
    "content",
    "dns",
    "database",
    "migrations",
    "backups",
    "restore",
    "redis",
    "secrets",
    "dependencies",
    "logs",
    "alerts",
    "performance",
    "capacity",
    "load",
    "accessibility",
    "cost",
)


@cache
def families() -> tuple[Family, ...]:
    """Those of every module."""
    return tuple(importlib.import_module(f"golive.checks.families.{name}").family for name in MODULES)


def names() -> set[str]:
    """Of every family and every check."""
    return {family.name for family in families()} | {check.id for family in families() for check in family.checks}


def checks(only: tuple[str, ...] = (), *, app: bool, skip: tuple[str, ...] = ()) -> list[Check]:
    """Those of the families or ids that are named, all when none is, but not those of `skip`; without an app of
    golive's own only what any site can be asked. UsageError for a name that is none."""
    every = [check for family in families() for check in family.checks]
    known = names()
    for name, option in [*((name, "only") for name in only), *((name, "skip") for name in skip)]:
        if name not in known:
            near = nearest(name, known)
            hint = f"--{option} {near}" if near else f"families: {', '.join(family.name for family in families())}"
            raise UsageError(f"there is no check or family {name!r}", hint=hint)
    chosen = [check for check in every if not only or check.family in only or check.id in only]
    chosen = [check for check in chosen if check.family not in skip and check.id not in skip]
    return [check for check in chosen if app or check.on_site is not None]
