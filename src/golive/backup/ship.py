"""What was received, sealed into the location, and back out of it for a restore.

<app>/<environment>/<resource>/wal/<stream>/<segment>            whole, as PostgreSQL names it
                                            <segment>.partial    what there was of the newest one a moment ago
                                            <timeline>.history
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from golive.backup import archive, stream, wal
from golive.backup.archive import Key
from golive.backup.catalog import Manifest
from golive.backup.location import Location
from golive.backup.owner import Guard
from golive.backup.repository import Repository
from golive.errors import BackupFailed, BackupUntried, NotFound
from golive.system.users import User
from golive.units import human_size

WHOLE = re.compile(r"[0-9A-F]{24}|[0-9A-F]{8}\.history")
PARTIAL = ".partial"
AT_ONCE = 4
"""Segments fetched at a time: a bucket is far away."""


@dataclass(frozen=True)
class Shipped:
    """Files and bytes that went into the location; `tail` is the age (mtime, ns) of the newest part that did."""

    files: int = 0
    size: int = 0
    tail: int = 0


def waiting(folder: Path) -> tuple[int, int]:
    """Whole files that wait for `ship`, and the age (mtime, ns) of the part that is being received; 0 without one."""
    whole, tail = 0, 0
    for _, each, over in stream.folders(folder):
        names = _names(each)
        whole += sum(bool(WHOLE.fullmatch(name)) for name in names) + over
        for name in names:
            if name.endswith(PARTIAL) and not over:
                with contextlib.suppress(FileNotFoundError):
                    tail = max(tail, (each / name).lstat().st_mtime_ns)
    return whole, tail


def ship(repository: Repository, folder: Path, seen: int | None, guard: Guard | None = None) -> Shipped:
    """Everything that is whole, oldest first; each file goes from `folder` once it is safe in the location.

    The part of the newest segment too, unless it is no newer than `seen` or that is None. BackupFailed when the
    location cannot be written: what is not there yet stays where it was. Conflict, and nothing goes, when another
    machine than that of the `guard` writes there.
    """
    location, key = repository.location(), repository.key()
    if guard is not None:
        guard.require(location)
    files = size = tail = 0
    for id, each, over in stream.folders(folder):
        for name in sorted(name for name in _names(each) if WHOLE.fullmatch(name)):
            size += _seal(location, key, f"{repository.source}/wal/{id}/{name}", each / name)
            files += 1
            (each / name).unlink()
            if "." not in name:
                location.delete(f"{repository.source}/wal/{id}/{name}{PARTIAL}")
        for name in sorted(name for name in _names(each) if name.endswith(PARTIAL)):
            with contextlib.suppress(FileNotFoundError):  # it became whole just now
                age = (each / name).lstat().st_mtime_ns
                if over or (seen is not None and age > seen):
                    size += _seal(location, key, f"{repository.source}/wal/{id}/{name}", each / name)
                    tail = max(tail, age)
        if over:
            shutil.rmtree(each)
    return Shipped(files, size, tail)


def _seal(location: Location, key: Key, name: str, path: Path) -> int:
    with _opened(path) as source, location.put(name) as target:
        writer = archive.Writer(target, key, name)
        while data := source.read(archive.FRAME):
            writer.write(data)
        return writer.close().size


def _opened(path: Path) -> BinaryIO:
    """No link: the folder is the engine user's, and golive may read more than that one."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


def fetch(
    repository: Repository,
    manifest: Manifest,
    key: Key,
    received: Path,
    into: Path,
    user: User | None,
    *,
    to_the_end: bool = True,
) -> None:
    """All WAL after a backup, out of the location and out of what was only received yet, into an empty folder of
    golive's that the engine's user may read. BackupFailed for a file that is damaged, unless it need not lead to the
    end: then what comes after it is left out."""
    # What is here first: a segment that goes meanwhile is in the location by then.
    here = _add_local(manifest, received, into, user)
    location, names = repository.location(), {}
    for entry in location.list(f"{repository.source}/wal/{manifest.stream}") if manifest.stream else ():
        names[entry.name.rsplit("/", 1)[1]] = entry.name
    needed = [n for n in names if _is_needed(n, manifest) and not (n in here and n.endswith(PARTIAL))]
    _require_room(into, (len(needed) + 1) * manifest.segment)

    def one(name: str) -> BackupFailed | None:
        source = names.get(name) or f"{repository.source}/wal/{manifest.stream}/{name}"
        try:
            with location.open(source) as file, _written(into / name, user) as target:
                for data in archive.read(file, key, source):
                    target.write(data)
        except BackupUntried:
            raise
        except BackupFailed as error:
            (into / name).unlink()
            return error
        except NotFound:
            if not name.endswith(PARTIAL):
                raise
            (into / name).unlink(missing_ok=True)
            whole = name.removesuffix(PARTIAL)  # which it is by now
            return None if whole in here or whole in names else one(whole)
        return None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        damaged = {name: error for name, error in zip(needed, pool.map(one, needed), strict=True) if error}
    if not damaged:
        return
    torn = [name for name in damaged if _number(name, manifest)]
    first = min(torn or damaged, key=lambda name: _number(name, manifest))
    if to_the_end:
        there = [path.name for path in into.iterdir()]
        raise _damaged(manifest, first, damaged[first], there, lambda name: (into / name).read_bytes())
    for path in into.iterdir():
        if torn and _number(path.name, manifest) >= _number(first, manifest):
            path.unlink()


def _number(name: str, manifest: Manifest) -> int:
    """Of the segment; 0 of the history of a timeline."""
    return max((each.number for each in wal.segments([name], manifest.segment)), default=0)


def _damaged(
    manifest: Manifest, name: str, error: BackupFailed, names: Iterable[str], read: Callable[[str], bytes]
) -> BackupFailed:
    """To which time one can go in spite of it: the last commit in the segments before."""
    before = [each for each in names if WHOLE.fullmatch(each) and _number(each, manifest) < _number(name, manifest)]
    if end := _last_commit(manifest, before, read):
        moment = f"{end.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}+00:00"
        how = f"to {moment} (golive restore --to-time {moment})"
    else:
        how = f"as it was taken (golive restore --backup {manifest.id})"
    return BackupFailed(
        error.what,
        where=error.where,
        why=error.why,
        hint=f"{manifest.name} can be restored {how} and no further; golive backup create makes one of the live "
        "database that does not need this file",
    )


def ends_at(folder: Path, manifest: Manifest) -> datetime | None:
    """When the last commit was that is in this WAL; None when there is none."""
    return _last_commit(manifest, _names(folder), lambda name: (folder / name).read_bytes())


def _last_commit(manifest: Manifest, names: Iterable[str], read: Callable[[str], bytes]) -> datetime | None:
    from golive.backup import segment

    known = [name for name in names if _number(name, manifest)]
    for name in sorted(known, key=lambda name: _number(name, manifest), reverse=True):
        if (found := segment.last_commit(read(name))) and found > manifest.ended:
            return found
    return None


def _add_local(manifest: Manifest, received: Path, into: Path, user: User | None) -> set[str]:
    """Their names. Looked at again as long as one has gone in between: it is whole by now, or on its way."""
    found, gone = set(), True
    while gone:
        gone = False
        folders = [each for id, each, _ in stream.folders(received) if id == manifest.stream]
        for path in (each / name for each in folders for name in sorted(_names(each))):
            if path.name in found or not _is_needed(path.name, manifest):
                continue
            try:
                with _opened(path) as file:
                    _copy(file, into / path.name, user)
                found.add(path.name)
            except FileNotFoundError:
                gone = True
    return found


def _copy(file: BinaryIO, path: Path, user: User | None) -> None:
    with _written(path, user) as target:
        shutil.copyfileobj(file, target, archive.FRAME)


def verify(repository: Repository, manifest: Manifest, key: Key) -> list[str]:
    """Read all of the WAL in the location that a backup needs; its names. BackupFailed for what is damaged says how
    far one can go."""
    location = repository.location()
    found: list[str] = []
    folder = f"{repository.source}/wal/{manifest.stream}"

    def whole(name: str) -> bytes:
        with location.open(f"{folder}/{name}") as file:
            return b"".join(archive.read(file, key, f"{folder}/{name}"))

    for entry in location.list(folder) if manifest.stream else ():
        name = entry.name.rsplit("/", 1)[1]
        if _is_needed(name, manifest):
            try:
                name = _read_through(location, key, folder, name)
            except BackupUntried:
                raise
            except BackupFailed as error:
                raise _damaged(manifest, name, error, found, whole) from error
            found.append(name)
    return found


def _read_through(location: Location, key: Key, folder: str, name: str) -> str:
    """Its name; that of the whole segment when a part has become one meanwhile."""
    try:
        with location.open(f"{folder}/{name}") as file:
            for _ in archive.read(file, key, f"{folder}/{name}"):
                pass
    except NotFound:
        if not name.endswith(PARTIAL):
            raise
        return _read_through(location, key, folder, name.removesuffix(PARTIAL))
    return name


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _is_needed(name: str, manifest: Manifest) -> bool:
    if name.endswith(".history"):
        return True
    first = wal.position(manifest.start_lsn) // manifest.segment
    return any(each.number >= first for each in wal.segments([name], manifest.segment))


def _require_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise BackupUntried(
            f"{folder} has no room for the WAL of the backup",
            where=str(folder),
            why=f"it needs {human_size(size)}, and {human_size(free)} are free",
            hint="free some disk space; nothing was changed",
        )


@contextlib.contextmanager
def _written(path: Path, user: User | None) -> Iterator[BinaryIO]:
    try:
        with path.open("wb") as file:
            if user is not None:
                os.chown(path, 0, user.gid)
                path.chmod(0o640)
            yield file
    except OSError as error:
        raise BackupUntried(
            f"{path.name} cannot be written",
            where=str(path.parent),
            why=error.strerror or str(error),
            hint="free some disk space, then try again; nothing was changed",
        ) from error
