"""The files of a running release's artifacts that may talk to its database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from golive.migrate.lint.running import Code, Release

# Packages are not the app's own names; migrations name what they take away; the client that Prisma generates is read.
_PASSED_OVER = {
    "node_modules", ".venv", "venv", "site-packages", ".git", "__pycache__", "migrations", "versions", "static",
    "public", "tests", "__tests__",
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


def release(running: Running, migrations: str) -> Release:
    """With its code to be searched, but for its folder of migrations."""
    large = [path for path in _paths(running.folders, migrations) if path.stat().st_size > _LARGEST]
    code = Code(lambda: _files(running.folders, migrations), running.whole and not large)
    return Release(running.number, code, running.until, running.carried)


def _files(folders: tuple[Path, ...], migrations: str) -> Iterator[tuple[str, bytes]]:
    for folder in folders:
        for path in _paths((folder,), migrations):
            if path.stat().st_size <= _LARGEST:
                yield str(path.relative_to(folder)), path.read_bytes()


def _paths(folders: tuple[Path, ...], migrations: str) -> Iterator[Path]:
    for folder in folders:
        for base, names, files in os.walk(folder):
            here = Path(base)
            prisma = here / "node_modules" / ".prisma"
            if prisma.is_dir():
                yield from (path for path in prisma.rglob("schema.prisma") if path.is_file())
            names[:] = sorted(n for n in names if n not in _PASSED_OVER and not _is(here / n, migrations))
            for name in sorted(files):
                path = here / name
                if path.suffix not in _ENDINGS and name not in _NAMES and path.is_file() and not path.is_symlink():
                    yield path


def _is(folder: Path, migrations: str) -> bool:
    """The folder of the migrations itself, wherever the service's part of the checkout begins."""
    wanted = Path(migrations).parts
    return bool(wanted) and folder.parts[-len(wanted) :] == wanted and len(wanted) > 1
