"""Folders of node_modules: linked from a layer into a build, compared with it, and what a build added to them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from golive.system.users import User

_NOT_GENERATED = {".cache", ".vite", ".vite-temp", ".package-lock.json", ".modules.yaml", ".yarn-integrity", ".bin"}


def members_of(root: Path, members: Iterable[str]) -> Iterator[Path]:
    """The folders that may have a node_modules of their own, the root first."""
    yield from dict.fromkeys([root, *(root / member for member in members)])


def link_modules(layer: Path, root: Path, members: Iterable[str], user: User | None) -> None:
    """Every node_modules of a layer at its place below `root`: folders new, files hard-linked, links as links.

    New folders are the user's that builds, so that a build adds beside what it may not change.
    """
    for folder in members_of(layer, members):
        target = root / folder.relative_to(layer)
        if (folder / "node_modules").is_dir() and target.is_dir() and not (target / "node_modules").exists():
            _link(str(folder / "node_modules"), str(target / "node_modules"), user)


def _link(origin: str, target: str, user: User | None) -> None:
    os.mkdir(target, 0o755)  # noqa: PTH102 - thousands of folders
    if user and os.geteuid() == 0:
        os.chown(target, user.uid, user.gid)
    with os.scandir(origin) as entries:
        for entry in entries:
            place = f"{target}/{entry.name}"
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), place)  # noqa: PTH115, PTH211 - as above
            elif entry.is_dir():
                _link(entry.path, place, user)
            else:
                try:
                    os.link(entry.path, place)
                except OSError:  # another file system, or too many links
                    shutil.copy2(entry.path, place)


def stamp_modules(layer: Path) -> str:
    """Names the state of a layer's files by their size and time; reading them would cost seconds."""
    total = hashlib.sha256()
    todo = [str(layer)]
    while todo:
        with os.scandir(todo.pop()) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                todo.append(entry.path)
            elif entry.name != "layer.json":
                info = entry.stat(follow_symlinks=False)
                total.update(f"{entry.path} {info.st_size} {info.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def is_untouched(layer: Path, stamp: str) -> bool:
    """Whether a build wrote into files that it shares with the layer. False also when the layer has gone."""
    with contextlib.suppress(OSError):
        return stamp_modules(layer) == stamp
    return False


def generated(root: Path, layer: Path, members: Iterable[str]) -> tuple[str, ...]:
    """What a build put among the packages, such as Prisma's client: paths below `root`."""
    found: list[str] = []
    for folder in members_of(root, members):
        own = folder.relative_to(root)
        if (folder / "node_modules").is_dir():
            found += _added(folder / "node_modules", layer / own / "node_modules", root)
    return tuple(found)


def _added(modules: Path, known: Path, root: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for entry in sorted(os.scandir(modules), key=lambda entry: entry.name):
            beside = known / entry.name
            if entry.name in _NOT_GENERATED:
                continue
            if not os.path.lexists(beside):
                yield Path(entry.path).relative_to(root).as_posix()
            elif entry.name == ".pnpm":
                for package in sorted(Path(entry.path).iterdir()):
                    yield from _added(package / "node_modules", beside / package.name / "node_modules", root)
            elif entry.name.startswith("@") or entry.name == ".prisma":
                yield from _added(Path(entry.path), beside, root)
