"""Files that changed, of those that count: the sources of a service, not what programs write beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path

from golive.dev.command import SUFFIXES

PASSED_OVER = frozenset((
    "node_modules", ".git", ".venv", "venv", "__pycache__", ".next", ".nuxt", ".svelte-kit", ".astro", ".turbo",
    "dist", "build", "out", "coverage", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".tox", ".idea", ".vscode",
    "tmp", "logs",
))  # fmt: skip
EVERY = frozenset().union(*SUFFIXES.values())
DEBOUNCE = 100
"""Milliseconds: an editor saves several files, git checks out hundreds."""


def counts(path: str, root: Path, suffixes: Collection[str] | None) -> bool:
    """Whether a change of this file matters. `suffixes` None: every file of the folder but hidden ones. Pure."""
    place = Path(path)
    parts = place.relative_to(root).parts if place.is_relative_to(root) else place.parts[-1:]
    if any(part in PASSED_OVER for part in parts[:-1]) or place.name.endswith(("~", ".swp", ".swx", ".tmp", ".pyc")):
        return False
    if suffixes is None:
        return not any(part.startswith(".") for part in parts)
    return place.suffix in suffixes or place.name in suffixes


class Changes:
    """The changes of some folders, for one reader."""

    def __init__(
        self, folders: Collection[Path], suffixes: Collection[str] | None, without: Collection[Path] = ()
    ) -> None:
        """`without` are folders whose changes are nobody's: what a build makes."""
        self._folders = sorted(folders)
        self._without = without
        self._suffixes = suffixes
        self._files: set[str] = set()
        self._some = asyncio.Event()

    async def watch(self) -> None:
        """Until it is cancelled."""
        from watchfiles import awatch

        def wanted(_: object, path: str) -> bool:
            file = Path(path)
            if any(file.is_relative_to(folder) for folder in self._without):
                return False
            return any(file.is_relative_to(f) and counts(path, f, self._suffixes) for f in self._folders)

        async for changes in awatch(*self._folders, watch_filter=wanted, debounce=1600, step=DEBOUNCE):
            self._files |= {Path(path).name for _, path in changes}
            self._some.set()

    def forget(self) -> None:
        self._files.clear()
        self._some.clear()

    def waiting(self) -> bool:
        return self._some.is_set()

    async def next(self) -> str:
        """Waits for a change; what changed, in a few words."""
        await self._some.wait()
        names = sorted(self._files)
        self.forget()
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
