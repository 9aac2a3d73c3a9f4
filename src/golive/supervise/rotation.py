"""Output files: when what was written, and rotation.

A program appends to `web.1.log` by itself, so the death of the daemon loses nothing. Beside it lies `web.1.log.index`,
which says when: every second in which the file grew, the daemon adds the time and the length. Offsets there count
from the first byte ever written; the header's `base` says how many of those have been rotated away.

    header  8 bytes "golive1\\n", 8 bytes base
    row     8 bytes float, seconds since 1970; 8 bytes length at that time

Rotation gives `web.1.log.1.gz` (the newest) to `.5.gz`, each with its `.index`. Where the file system can cut the
beginning off a file (fallocate's FALLOC_FL_COLLAPSE_RANGE: ext4, XFS), no byte can be lost. Elsewhere the file is
copied to its end and truncated at once; what is written in the microseconds between is lost. A daemon killed in the
middle leaves lines twice rather than not at all.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import ctypes
import errno
import functools
import gzip
import logging
import os
import struct
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal

from golive.system.files import write_atomic

log = logging.getLogger("golive.supervise")

LIMIT = 20 * 10**6
KEEP = 5
_MAGIC = b"golive1\n"
_HEAD = struct.Struct("<8sQ")
_ROW = struct.Struct("<dQ")
_BLOCK = 1 << 16
_COLLAPSE_RANGE = 0x08


class Index:
    """When the bytes of an output file were written, as it stood when this was made."""

    def __init__(self, path: Path) -> None:
        """`path` is the index itself, see `index_path`. A missing or damaged one knows nothing."""
        self._raw = b""
        self.base = 0
        with contextlib.suppress(OSError):
            raw = path.read_bytes()
            if len(raw) >= _HEAD.size and raw.startswith(_MAGIC):
                self._raw = raw
                self.base = _HEAD.unpack_from(raw)[1]

    def __len__(self) -> int:
        return max(0, len(self._raw) - _HEAD.size) // _ROW.size

    def row(self, number: int) -> tuple[float, int]:
        seconds, end = _ROW.unpack_from(self._raw, _HEAD.size + number * _ROW.size)
        return seconds, end

    def written(self, offset: int) -> datetime | None:
        """At the latest when the byte at `offset` was there; None when it is newer than the index."""
        number = self.first_after(offset)
        return datetime.fromtimestamp(self.row(number)[0], UTC) if number < len(self) else None

    def first_after(self, offset: int) -> int:
        return bisect.bisect_right(range(len(self)), offset, key=lambda i: self.row(i)[1])

    def split(self, offset: int) -> tuple[bytes, bytes]:
        """The index of what is before `offset`, and of the rest."""
        cut = _HEAD.size + self.first_after(offset) * _ROW.size
        # The row that spans the cut says something about both.
        return self._raw[: cut + _ROW.size] or _head(self.base), _head(offset) + self._raw[cut:]


def index_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.index")


def base(path: Path) -> int:
    """How many bytes of an output file have been rotated away."""
    with contextlib.suppress(OSError), index_path(path).open("rb") as file:
        head = file.read(_HEAD.size)
        if len(head) == _HEAD.size and head.startswith(_MAGIC):
            found: int = _HEAD.unpack(head)[1]
            return found
    return 0


def archives(path: Path) -> list[Path]:
    """The rotated files, newest first."""
    found = [path.with_name(f"{path.name}.{n}.gz") for n in range(1, 100)]
    return [archive for archive in found if archive.exists()]


def note(path: Path, length: int, now: float) -> None:
    """Add to the index that the file has `length` bytes at `now` (seconds since 1970)."""
    with _private(index_path(path), "ab") as file:
        size = file.tell()
        if size < _HEAD.size:
            file.truncate(0)
            file.write(_head(0))
        elif (size - _HEAD.size) % _ROW.size:
            file.truncate(size - (size - _HEAD.size) % _ROW.size)
        file.write(_ROW.pack(now, base(path) + length))


def rotate(path: Path, keep: int = KEEP) -> int:
    """Move what the file holds into an archive, and return how many bytes that was. Blocks; run it in a thread."""
    first = path.with_name(f"{path.name}.1.gz")
    beside = path.with_name(f".{path.name}.gz")
    with path.open("r+b") as file, _private(beside, "wb") as raw:
        size = os.fstat(file.fileno()).st_size
        step = os.fstat(file.fileno()).st_blksize or 4096
        cut = max(0, (size - 1) // step * step)
        with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=5, filename=path.name) as packed:
            _copy(file, packed, cut)
            packed.flush()
            os.fsync(raw.fileno())
            _shift(path, keep)
            beside.rename(first)
            if not _collapse(file, cut):
                cut = _truncate(file, packed)
    _split_index(path, first, cut)
    return cut


def remove(path: Path) -> None:
    """The file, its archives and their indexes."""
    path.with_name(f".{path.name}.gz").unlink(missing_ok=True)
    for file in [path, *archives(path)]:
        _remove_one(file)


def _remove_one(file: Path) -> None:
    file.unlink(missing_ok=True)
    _index_of(file).unlink(missing_ok=True)


def _index_of(path: Path) -> Path:
    return index_path(path.with_suffix("") if path.suffix == ".gz" else path)


def archive_index(archive: Path) -> Index:
    return Index(_index_of(archive))


def _head(base: int) -> bytes:
    return _HEAD.pack(_MAGIC, base)


def _private(path: Path, mode: Literal["ab", "wb"]) -> BinaryIO:
    how = os.O_TRUNC if mode == "wb" else os.O_APPEND
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o600), mode)


def _copy(file: BinaryIO, packed: gzip.GzipFile, upto: int) -> None:
    while (left := upto - file.tell()) > 0 and (data := file.read(min(_BLOCK, left))):
        packed.write(data)


def _truncate(file: BinaryIO, packed: gzip.GzipFile) -> int:
    """Copy to the end until nothing is added, and empty the file."""
    descriptor, size = file.fileno(), file.tell()
    while data := os.pread(descriptor, _BLOCK, size):
        packed.write(data)
        size += len(data)
    os.ftruncate(descriptor, 0)
    return size


def _shift(path: Path, keep: int) -> None:
    for number in range(99, 0, -1):
        old = path.with_name(f"{path.name}.{number}.gz")
        if not old.exists():
            continue
        if number >= keep:
            old.unlink()
            _index_of(old).unlink(missing_ok=True)
            continue
        new = path.with_name(f"{path.name}.{number + 1}.gz")
        old.rename(new)
        if _index_of(old).exists():
            _index_of(old).rename(_index_of(new))


def _split_index(path: Path, archive: Path, cut: int) -> None:
    index = Index(index_path(path))
    before, after = index.split(index.base + cut)
    write_atomic(_index_of(archive), before, sync=False)
    write_atomic(index_path(path), after, sync=False)


def _collapse(file: BinaryIO, cut: int) -> bool:
    """Cut the first bytes off. False where the file system cannot."""
    call = _fallocate()
    return bool(cut and call and call(file.fileno(), _COLLAPSE_RANGE, 0, cut) == 0)


@functools.cache
def _fallocate() -> Callable[[int, int, int, int], int] | None:
    if sys.platform != "linux":
        return None
    with contextlib.suppress(AttributeError):
        call = ctypes.CDLL(None, use_errno=True).fallocate
        call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
        return call
    return None


class LogKeeper:
    """Indexes and rotates the files that `paths` gives, which is asked every second."""

    def __init__(self, paths: Callable[[], Iterable[Path]], *, limit: int = LIMIT, keep: int = KEEP) -> None:
        self._paths = paths
        self._limit = limit
        self._keep = keep
        self._lengths: dict[Path, int] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.tick()
            await asyncio.sleep(1)

    async def tick(self) -> None:
        """One look at every file."""
        paths = set(self._paths())
        self._lengths = {path: length for path, length in self._lengths.items() if path in paths}
        for path in paths:
            try:
                await self._look(path)
            except FileNotFoundError:
                continue
            except OSError as error:  # a full disk must not end the keeping of logs
                log.warning("cannot keep %s: %s", path, error)

    async def _look(self, path: Path) -> None:
        info = path.stat()
        if info.st_size != self._lengths.get(path, 0):
            # The file's own time: what was written while no daemon ran did not happen now.
            note(path, info.st_size, info.st_mtime)
            self._lengths[path] = info.st_size
        if info.st_size > self._limit:
            await asyncio.to_thread(self._rotate, path)
            self._lengths[path] = path.stat().st_size

    def _rotate(self, path: Path) -> None:
        try:
            rotate(path, self._keep)
        except OSError as error:
            if error.errno != errno.ENOSPC or not (old := archives(path)):
                raise
            # No room for a new archive: the oldest one makes it, and the next look tries again.
            _remove_one(old[-1])
            log.warning("the disk is full: removed %s", old[-1])
