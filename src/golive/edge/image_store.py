"""Pictures that were made, on disk within a bound: one file each, those not asked for longest leave first."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import OrderedDict
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from golive.edge.image_policy import TYPES, Policy, Wanted
from golive.system.files import write_atomic


@dataclass(frozen=True)
class Picture:
    """`kind` is Pillow's name of its format; `until` is when it has to be made anew, in seconds since 1970."""

    kind: str
    until: float
    body: bytes

    @cached_property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.body).hexdigest()[:24]}"'


def name_of(wanted: Wanted, policy: Policy) -> str:
    """The file of a picture: everything it depends on. Those of the app's own depend on its releases."""
    stamp = policy.stamp if wanted.origin == "own" else ""
    return hashlib.sha256(json.dumps([policy.app, stamp, asdict(wanted)]).encode()).hexdigest()


class Recent:
    """Pictures in memory, by the words with which they were asked for; those not asked for longest leave first."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.bytes = 0
        self._kept: OrderedDict[tuple[str, ...], Picture] = OrderedDict()

    def find(self, asked: tuple[str, ...], now: float) -> Picture | None:
        """None when it is not there or is too old."""
        picture = self._kept.get(asked)
        if picture is None:
            return None
        if now >= picture.until:
            self._remove(asked)
            return None
        self._kept.move_to_end(asked)
        return picture

    def put(self, asked: tuple[str, ...], picture: Picture) -> None:
        self._remove(asked)
        self._kept[asked] = picture
        self.bytes += _size(asked, picture)
        while self.bytes > self.budget:
            self._remove(next(iter(self._kept)))

    def _remove(self, asked: tuple[str, ...]) -> None:
        if picture := self._kept.pop(asked, None):
            self.bytes -= _size(asked, picture)


def _size(asked: tuple[str, ...], picture: Picture) -> int:
    """About what it takes: words are anybody's, and may be long."""
    return sum(map(len, asked)) + len(picture.body) + 1000


class Store:
    """A folder of its own. Calls block for as long as the disk takes."""

    def __init__(self, folder: Path, budget: int) -> None:
        self.folder = folder
        self.budget = budget
        folder.mkdir(mode=0o700, exist_ok=True)
        found = [(path.stat(), path) for path in folder.iterdir() if path.is_file()]
        found.sort(key=lambda item: item[0].st_mtime)
        self.sizes = OrderedDict((path.name, info.st_size) for info, path in found)
        self.bytes = sum(self.sizes.values())
        self._make_room(0)

    def find(self, name: str, now: float) -> Picture | None:
        """None when it is not there, is too old or is not whole."""
        if name not in self.sizes:
            return None
        path = self.folder / name
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            head, _, body = path.read_bytes().partition(b"\n")
            kind, until, size = json.loads(head)
            if now < until and len(body) == size and kind in TYPES:
                self.sizes.move_to_end(name)
                os.utime(path)
                return Picture(kind, until, body)
        self._remove(name)
        return None

    def put(self, name: str, picture: Picture) -> None:
        """Keep it; a disk that is full is no failure."""
        head = json.dumps([picture.kind, picture.until, len(picture.body)]).encode()
        data = head + b"\n" + picture.body
        self._remove(name)
        self._make_room(len(data))
        if len(data) > self.budget:
            return
        with contextlib.suppress(OSError):
            write_atomic(self.folder / name, data, mode=0o600, sync=False)
            self.sizes[name] = len(data)
            self.bytes += len(data)

    def _make_room(self, size: int) -> None:
        while self.sizes and self.bytes + size > self.budget:
            self._remove(next(iter(self.sizes)))

    def _remove(self, name: str) -> None:
        self.bytes -= self.sizes.pop(name, 0)
        (self.folder / name).unlink(missing_ok=True)
