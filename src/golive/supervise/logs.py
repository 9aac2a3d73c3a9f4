"""Reading the output of instances: the past of several files in order of time, and what is written from now on.

Secrets are masked by the caller.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import heapq
import os
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from golive.supervise.logline import LogLine, parse
from golive.supervise.rotation import Index, archive_index, archives, base, index_path

__all__ = ["LogLine", "follow", "read"]

POLL = 0.2
"""Seconds between looks while somebody follows."""
BLOCK = 1 << 16
GIANT = 1 << 20
"""Bytes after which a line without an end is cut."""
_EPOCH = datetime.fromtimestamp(0, UTC)


def read(
    paths: Iterable[Path], since: datetime | None = None, grep: str | None = None, lines: int | None = 200
) -> Iterator[LogLine]:
    """The last `lines` lines of all files together (None: all of them), oldest first, archives included.

    `since` leaves out what is older; a line that says no time counts as written when the index says, to the second.
    `grep` is text, in any case of letters. Blocks on the disk: run it in a thread.
    """
    files = [_ordered(_last(path, since, grep and grep.casefold(), lines)) for path in paths]
    merged = [line for _, line in heapq.merge(*files, key=lambda pair: pair[0])]
    yield from merged if lines is None else merged[len(merged) - min(lines, len(merged)) :]


def _ordered(lines: list[LogLine]) -> list[tuple[datetime, LogLine]]:
    """With a time to sort by that never goes back: a traceback stays under the line that it belongs to."""
    now, pairs = _EPOCH, []
    for line in lines:
        now = max(now, line.time or now)
        pairs.append((now, line))
    return pairs


def _last(path: Path, since: datetime | None, grep: str | None, lines: int | None) -> list[LogLine]:
    """The newest matching lines of one file, oldest first. Read again when it was rotated meanwhile."""
    while True:
        before = base(path)
        found = list(_matching(path, since, grep, lines))
        if base(path) == before:
            return found[::-1]


def _matching(path: Path, since: datetime | None, grep: str | None, lines: int | None) -> Iterator[LogLine]:
    left = lines
    for written, raw in _backwards(path):
        if left == 0 or (since and written and written < since):
            return
        line = parse(raw, path.stem, written)
        if (since is None or line.time is None or line.time >= since) and (not grep or grep in line.text.casefold()):
            yield line
            left = None if left is None else left - 1


def _backwards(path: Path) -> Iterator[tuple[datetime | None, bytes]]:
    """Every line with the time it was written, newest first. A line that rotation cut in two is whole again."""
    end = b""  # of a line whose beginning is in an older block
    at, when = 0, _Times(None, [])
    for at, block, when in _blocks(path):
        data = block + end
        end, *whole = data.split(b"\n")
        if not whole and len(data) >= GIANT:
            end, whole = b"", [data]
        position = at + len(data)
        for line in reversed(whole):
            position -= len(line)
            if line:
                yield when(position), line
            position -= 1
    if end:
        yield when(at), end


@dataclass(frozen=True)
class _Times:
    """When a byte was written, by the indexes of a file and its archives so far, else by the file's own time."""

    modified: datetime | None
    indexes: list[Index]

    def __call__(self, offset: int) -> datetime | None:
        return next((found for index in self.indexes if (found := index.written(offset))), self.modified)


def _blocks(path: Path) -> Iterator[tuple[int, bytes, _Times]]:
    """What was written, from its end: offset, bytes, and when."""
    index = Index(index_path(path))
    times = _Times(None, [index])
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        info = os.fstat(file.fileno())
        times = _Times(datetime.fromtimestamp(info.st_mtime, UTC), [index])
        for start in range((max(info.st_size, 1) - 1) // BLOCK * BLOCK, -1, -BLOCK):
            yield index.base + start, os.pread(file.fileno(), min(BLOCK, info.st_size - start), start), times
    for archive in archives(path):
        index = archive_index(archive)
        times = _Times(times.modified, [index, *times.indexes])
        data = _unpack(archive)
        for start in range((max(len(data), 1) - 1) // BLOCK * BLOCK, -1, -BLOCK):
            yield index.base + start, data[start : start + BLOCK], times


def _unpack(archive: Path) -> bytes:
    """As far as it goes: an archive is cut short when the machine died while it was written."""
    data = bytearray()
    with contextlib.suppress(EOFError, OSError, zlib.error), gzip.open(archive) as file:
        while block := file.read(BLOCK):
            data += block
    return bytes(data)


async def follow(paths: Callable[[], Iterable[Path]], grep: str | None = None) -> AsyncIterator[LogLine]:
    """Lines as they are written, across rotation, of the files that `paths` gives; it is asked at every look.

    Files that are there begin at their end, later ones at their beginning. Ends only when its reader does.
    """
    wanted = grep and grep.casefold()
    tails = {path: _Tail(path, _length(path)) for path in paths()}
    while True:
        for path in paths():
            for line in tails.setdefault(path, _Tail(path)).lines():
                if not wanted or wanted in line.text.casefold():
                    yield line
        await asyncio.sleep(POLL)


def _length(path: Path) -> int:
    """Bytes ever written to it."""
    with contextlib.suppress(FileNotFoundError):
        return base(path) + path.stat().st_size
    return 0


@dataclass
class _Tail:
    """The end of one file. `at` counts from the first byte ever written."""

    path: Path
    at: int = 0
    shorter: int = 0
    """Looks in a row at which the file was shorter than what was read of it."""

    def lines(self) -> list[LogLine]:
        """What came since the last time, whole lines only."""
        gone = base(self.path)
        try:
            with self.path.open("rb") as file:
                data = self._new(file.fileno(), gone)
        except FileNotFoundError:
            return []
        if base(self.path) != gone:  # rotated just now: what was read may be from anywhere
            return []
        whole = data[: data.rfind(b"\n") + 1] or (data if len(data) >= GIANT else b"")
        self.at += len(whole)
        now = datetime.now(UTC)
        return [parse(raw, self.path.stem, now) for raw in whole.split(b"\n") if raw]

    def _new(self, descriptor: int, gone: int) -> bytes:
        size = os.fstat(descriptor).st_size
        if self.at - gone > size:
            # Rotation cuts first and tells after, so a look between the two waits; a program that empties its own
            # output tells nothing, and is read from the beginning.
            self.shorter += 1
            if self.shorter < 3:
                return b""
            self.at = gone
        self.shorter = 0
        missed = self._missed(gone) if self.at < gone else b""
        return missed + os.pread(descriptor, GIANT, max(0, self.at - gone))

    def _missed(self, gone: int) -> bytes:
        """What was rotated away before it was read, from the newest archive; older ones nobody is waiting for."""
        newest = next(iter(archives(self.path)), None)
        if newest is None:
            self.at = gone
            return b""
        begin = archive_index(newest).base
        self.at = max(self.at, begin)
        return _unpack(newest)[self.at - begin : gone - begin]
