"""Where backups are kept: files that appear whole or not at all. Here in a folder; in a bucket, see `s3`."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from golive.backup.credentials import Credentials
from golive.errors import BackupFailed, BackupUntried, NotFound, UsageError
from golive.system.files import private_directory
from golive.units import human_size

_NAME = re.compile(r"[\w~@+-][\w.~@+-]*(/[\w~@+-][\w.~@+-]*)*")


@dataclass(frozen=True)
class Entry:
    """A file of a location; `size` in bytes."""

    name: str
    size: int


class Location(Protocol):
    """Files by names like `shop/production/db/base/20261121T024500Z/data`. BackupFailed when it cannot be reached."""

    def put(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Write a file; it is there when the block has ended well, safe from a power cut, and else it never was."""

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Read a file. NotFound when there is none."""

    def list(self, prefix: str, after: str = "") -> list[Entry]:
        """The files below a folder, in the order of their names; only those `after` that name, where one is given."""

    def delete(self, name: str) -> None:
        """Gone, or nothing to do."""

    def sweep(self, prefix: str) -> int:
        """Take away what a killed `put` has left, and not what is being written. How many there were."""


def location_for(to: str, credentials: Credentials) -> Location:
    """`/folder` or `s3://bucket/folder`. UsageError for anything else."""
    if to.startswith("s3://"):
        from golive.backup.s3 import S3

        return S3.parse(to, credentials)
    if not to.startswith("/"):
        raise UsageError(f"{to!r} is no place for backups", hint="a folder such as /mnt/backups, or s3://bucket/folder")
    return Folder(Path(to))


def checked(name: str, where: str) -> str:
    """The name, which stays below the location. UsageError when it would not."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name in a place for backups", where=where)
    return name


@dataclass(frozen=True)
class Folder:
    """See `Location`."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    @contextlib.contextmanager
    def put(self, name: str) -> Iterator[BinaryIO]:
        path = self._path(name)
        with self._explained(f"{name} cannot be written"):
            private_directory(self.root)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            try:
                with os.fdopen(fd, "wb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX)  # see `sweep`
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                    beside.rename(path)
                _sync(path.parent)
            except BaseException:
                with contextlib.suppress(OSError):
                    beside.unlink()
                raise

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        path = self._path(name)
        try:
            file = path.open("rb")
        except FileNotFoundError as error:
            raise NotFound(
                f"{self.root} has no {name}",
                where=str(self.root),
                hint="look whether the disk of the backups is mounted",
            ) from error
        except OSError as error:
            raise self._failed(f"{name} cannot be read", error) from error
        with file, self._explained(f"{name} cannot be read"):
            yield file

    def list(self, prefix: str, after: str = "") -> list[Entry]:
        top = self._path(prefix)
        with self._explained(f"{prefix} cannot be listed"):
            paths = (p for p in top.rglob("*") if not p.name.startswith(".") and p.is_file() and not p.is_symlink())
            found = (Entry(str(p.relative_to(self.root)), p.stat().st_size) for p in paths)
            return sorted((entry for entry in found if entry.name > after), key=lambda entry: entry.name)

    def delete(self, name: str) -> None:
        path = self._path(name)
        with self._explained(f"{name} cannot be deleted"):
            path.unlink(missing_ok=True)
            for folder in path.parents:  # those that are empty now
                if folder == self.root or not folder.is_dir() or any(folder.iterdir()):
                    return
                folder.rmdir()

    def sweep(self, prefix: str) -> int:
        count = 0  # what is being written is locked
        with self._explained(f"{prefix} cannot be tidied"):
            for path in self._path(prefix).rglob(".*.tmp"):
                with contextlib.suppress(BlockingIOError, FileNotFoundError), path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink(missing_ok=True)
                    count += 1
        return count

    def _path(self, name: str) -> Path:
        return self.root / checked(name, str(self.root))

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._failed(what, error) from error

    def _failed(self, what: str, error: OSError) -> BackupFailed:
        hint = "look whether its disk is mounted and golive may write there; backups made before stand as they were"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(self.root).free if self.root.exists() else 0
            hint = f"free some disk space ({human_size(free)} are left), or keep fewer backups; those made before stand"
        kind = BackupFailed if error.errno == errno.EIO else BackupUntried  # EIO: the disk has lost what was there
        return kind(f"{what} in {self.root}", where=str(self.root), why=error.strerror or str(error), hint=hint)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
