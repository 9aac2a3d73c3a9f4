"""Ends a build: what was made is readable by the app's user, owned by golive, and counted."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from golive.system.users import User


@dataclass(frozen=True)
class Sealed:
    """Files, their bytes, and bytes on disk."""

    files: int = 0
    bytes: int = 0
    disk: int = 0


def seal(path: Path, *, owner: User | None = None) -> Sealed:
    """Folders 0755, files 0644 or 0755; golive's again when `owner` built it. Links are not followed."""
    files = size = disk = 0
    for name, info in _walk(path):
        if owner and os.geteuid() == 0:
            os.lchown(name, 0, 0)
        if stat.S_ISLNK(info.st_mode):
            continue
        folder = stat.S_ISDIR(info.st_mode)
        mode = 0o755 if folder or info.st_mode & 0o100 else 0o644
        if stat.S_IMODE(info.st_mode) != mode:
            os.chmod(name, mode)  # noqa: PTH101 - thousands of files
        disk += info.st_blocks * 512
        if not folder:
            files, size = files + 1, size + info.st_size
    return Sealed(files, size, disk)


def count(path: Path) -> Sealed:
    """The same numbers of what lies there now, whatever comes and goes meanwhile, as in a cache that is in use."""
    regular = [info for _, info in _walk(path, moving=True) if stat.S_ISREG(info.st_mode)]
    return Sealed(len(regular), sum(info.st_size for info in regular), sum(info.st_blocks * 512 for info in regular))


def give(path: Path, user: User | None) -> None:
    """Hand a folder and all in it to the user that builds."""
    if user is None or os.geteuid() != 0:
        return
    for name, _ in _walk(path):
        os.lchown(name, user.uid, user.gid)


def _walk(path: Path, *, moving: bool = False) -> Iterator[tuple[str, os.stat_result]]:
    """The folder and everything below it, each before what is in it; links are not followed. `moving`: what has gone
    when it is looked at was not there."""
    gone = (FileNotFoundError,) if moving else ()
    yield str(path), path.lstat()
    todo = [str(path)]
    while todo:
        found: list[os.DirEntry[str]] = []
        with contextlib.suppress(*gone), os.scandir(todo.pop()) as entries:
            found = list(entries)
        for entry in found:
            with contextlib.suppress(*gone):
                yield entry.path, entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
