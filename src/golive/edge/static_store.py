"""What the static server holds in memory: indexes of releases and small bodies, both bounded, and the door to files."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from golive.edge.static_index import MANIFEST, Index, Response, load

IN_MEMORY: Final = 128 * 1024
"""Bytes; a larger body goes from the page cache to the socket by sendfile(2). At most this much waits unsent for a
client, and as it is less than a Unix socket's buffer (208 KiB) it nearly always waits in the kernel."""

MAX_FILES: Final = 40_000
"""Files in all indexes held at once (about 1 KB each), beyond the one in use."""

_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_TRUST: Final = 1.0
"""Seconds an index is used before its manifest is looked at again; a removed release is gone after that."""


@dataclass(slots=True)
class _Held:
    index: Index
    identity: tuple[int, int]
    checked: float


class Store:
    """Releases below one folder of artifacts, each in the folder `inside` it. Not for use by several threads."""

    def __init__(self, artifacts: Path, *, inside: str = "", budget: int = 64 * 2**20) -> None:
        self.inside = inside
        self.artifacts = artifacts.resolve()
        self.budget = budget
        self.held: OrderedDict[str, _Held] = OrderedDict()
        self.bodies: OrderedDict[bytes, bytes] = OrderedDict()
        self.bytes = 0

    def release(self, key: str, now: float) -> Index | None:
        """The index of the artifact `key`; None when there is none. `now` is monotonic seconds."""
        held = self.held.get(key)
        if held is not None and now - held.checked < _TRUST:
            return held.index
        return self._look(key, held, now)

    def _look(self, key: str, held: _Held | None, now: float) -> Index | None:
        if not _KEY.fullmatch(key):
            return None
        root = self.artifacts / key / self.inside
        try:
            found = (root / MANIFEST).stat()
            identity = (found.st_ino, found.st_mtime_ns)
            if held is None or held.identity != identity:
                if root.resolve() != root:  # a symlink on the way
                    return None
                held = _Held(load(root), identity, now)
        except OSError:
            self.held.pop(key, None)
            return None
        held.checked = now
        self.held[key] = held
        self.held.move_to_end(key)
        self._forget_indexes()
        return held.index

    def _forget_indexes(self) -> None:
        files = sum(len(held.index.records) for held in self.held.values())
        while files > MAX_FILES and len(self.held) > 1:
            _, oldest = self.held.popitem(last=False)
            files -= len(oldest.index.records)

    def message(self, response: Response) -> bytes:
        """Head and body of a response that fits in memory, in one piece. Raises OSError.

        Kept by its head, which holds the content's hash: the same file in two releases is held once.
        """
        message = self.bodies.get(response.head)
        if message is not None:
            self.bodies.move_to_end(response.head)
            return message
        with self.open(response) as file:
            file.seek(response.start)
            body = file.read(response.length)
        if len(body) != response.length:
            raise OSError(f"{response.file} is shorter than its manifest says")
        message = response.head + body
        if response.whole:
            self._keep(response.head, message)
        return message

    def _keep(self, head: bytes, message: bytes) -> None:
        self.bodies[head] = message
        self.bytes += len(message)
        while self.bytes > self.budget:
            _, dropped = self.bodies.popitem(last=False)
            self.bytes -= len(dropped)

    def open(self, response: Response) -> BinaryIO:
        """The file of a response, when it lies in the artifacts and no symlink is on the way. Raises OSError."""
        path = str(response.file)
        if os.path.realpath(path) != path or not path.startswith(f"{self.artifacts}{os.sep}"):
            raise OSError(f"{path} is not inside its artifact")
        return open(path, "rb", opener=_open_plainly)


def _open_plainly(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
