"""The files of a running release's artifacts that may talk to its database."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from golive.migrate.lint.running import Code, Release

# Packages are not the app's own names; the client that Prisma generates is read.
_PASSED_OVER = {
    "node_modules", ".venv", "venv", "site-packages", ".git", "__pycache__", "migrations", "tests", "__tests__",
}  # fmt: skip
_ENDINGS = {
    ".png", ".jpg", ".jpeg", ".gif", ".webp", ".ico", ".svg", ".woff", ".woff2", ".ttf", ".map", ".css", ".md", ".pdf",
    ".lock", ".zip", ".gz", ".br", ".zst", ".mp4", ".pyc", ".wasm",
}  # fmt: skip
_NAMES = {"package.json", "package-lock.json", "golive.toml", "artifact.json", "_journal.json"}
_LARGEST = 128 * 2**20
"""Bytes of a file beyond which it is not searched, and the release counts as needing everything."""


@dataclass(frozen=True)
class Running:
    """A release that runs: the folders of its artifacts. `whole` is False when one of them is not here (a container).
    `until` and `carried` as of a Release."""

    number: int
    folders: tuple[Path, ...]
    whole: bool = True
    until: str = ""
    carried: frozenset[str] = frozenset()


def release(running: Running, migrations: Collection[Path]) -> Release:
    """With its code to be searched, but for these files: migrations name what they take away."""
    own = frozenset((path.parent.name, path.name) for path in migrations)
    large = [path for path in _paths(running.folders, own) if path.stat().st_size > _LARGEST]
    code = Code(lambda: _files(running.folders, own), running.whole and not large)
    return Release(running.number, code, running.until, running.carried)


def _files(folders: tuple[Path, ...], own: frozenset[tuple[str, str]]) -> Iterator[tuple[str, bytes]]:
    for folder in folders:
        for path in _paths((folder,), own):
            if path.stat().st_size <= _LARGEST:
                yield str(path.relative_to(folder)), path.read_bytes()


def _paths(folders: tuple[Path, ...], own: frozenset[tuple[str, str]]) -> Iterator[Path]:
    for folder in folders:
        for base, names, files in os.walk(folder):
            here = Path(base)
            prisma = here / "node_modules" / ".prisma"
            if prisma.is_dir():
                yield from (path for path in prisma.rglob("schema.prisma") if path.is_file())
            names[:] = sorted(name for name in names if name not in _PASSED_OVER)
            if _is_alembic(here):
                names.remove("versions")
            for name in sorted(files):
                path = here / name
                passed = path.suffix in _ENDINGS or name in _NAMES or name.endswith("_snapshot.json")
                if not passed and (here.name, name) not in own and path.is_file() and not path.is_symlink():
                    yield path


def _is_alembic(folder: Path) -> bool:
    return (folder / "script.py.mako").is_file() and (folder / "versions").is_dir()
