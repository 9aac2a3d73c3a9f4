"""The source tree of a service: what is in it, the hash that names it, and a clean copy of it.

Scanning reads only files that changed: size, inode and times of the others are compared with those of the last scan,
as git's index does. A file touched in the last 100 ms is not trusted to keep its times ("racily clean").
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from golive.build.ignore import Rules, never, rules_for
from golive.errors import BuildFailed, StateError
from golive.system.files import write_atomic

RACY = 0.1
"""Seconds; longer than the clock tick of any file system's time stamps."""
CACHE_VERSION = 2


@dataclass(frozen=True)
class Entry:
    """One file or link. `origin` is where its bytes are; `digest` is of its content, or the link's own target."""

    path: str
    origin: str
    digest: str
    size: int = 0
    executable: bool = False
    link: str | None = None
    stamp: tuple[int, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True)
class Tree:
    """A scanned source. `root` is its folder; `digest` depends on paths, executable bits, links and content only."""

    root: Path
    entries: tuple[Entry, ...] = field(repr=False)
    digest: str
    rules: Rules = field(repr=False)

    @property
    def bytes(self) -> int:
        return sum(entry.size for entry in self.entries)

    def under(self, folder: str) -> Tree:
        """The entries below a folder, with paths relative to it. Copied only, never hashed."""
        if not folder:
            return self
        inside = (entry for entry in self.entries if entry.path.startswith(f"{folder}/"))
        return replace(self, entries=tuple(replace(entry, path=entry.path[len(folder) + 1 :]) for entry in inside))


def scan(checkout: Path, source: str = ".", *, cache: Path | None = None, strict: bool = True) -> Tree:
    """Scan a service's source. `cache` is the folder in which the last scan is remembered; not `strict`, what cannot be
    part of a build is passed over.

    Raises BuildFailed when the folder is missing or outside the checkout, and for links that leave the checkout,
    devices, sockets and files that cannot be read, naming all of them.
    """
    checkout = checkout.resolve()
    root = _root(checkout, source)
    relative = root.relative_to(checkout).as_posix()
    rules = rules_for(checkout, "" if relative == "." else relative)
    memory = _Memory.load(cache, root)
    walk = _Walk(checkout, root, memory)
    entries = tuple(sorted(walk.folder(root, "", rules), key=lambda entry: os.fsencode(entry.path)))
    if walk.problems and strict:
        shown = "\n".join(f"  {problem}" for problem in walk.problems[:20])
        raise BuildFailed(
            f"{source} has files that cannot be part of a build:\n{shown}",
            hint="remove them, or list them in .goliveignore",
        )
    memory.save()
    return Tree(root, entries, _digest(entries), rules)


def narrowed(tree: Tree, kept: Collection[str], counted: Collection[str]) -> Tree:
    """The tree with the `kept` paths only, named by those of them that are `counted`."""
    entries = tuple(entry for entry in tree.entries if entry.path in kept)
    return replace(tree, entries=entries, digest=_digest(tuple(e for e in entries if e.path in counted)))


def copy(tree: Tree, destination: Path) -> None:
    """Copy a scanned tree into a new folder: modes 0644 and 0755, links as links.

    Raises BuildFailed when a file is no longer what was scanned.
    """
    made = {""}
    destination.mkdir(mode=0o755, parents=True)
    for entry in tree.entries:
        _make_folders(destination, entry.path.rpartition("/")[0], made)
        target = f"{destination}/{entry.path}"
        if entry.link is not None:
            os.symlink(entry.link, target)  # noqa: PTH211 - pathlib doubles the time of a copy
        else:
            _copy_file(entry, target)


def _root(checkout: Path, source: str) -> Path:
    root = (checkout / source).resolve()
    if not root.is_relative_to(checkout):
        raise BuildFailed(f"source {source!r} is outside the checkout", where=str(checkout))
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise BuildFailed(f"source {source!r} {what}", where=str(checkout), hint="see `source` in golive.toml")
    return root


def _digest(entries: tuple[Entry, ...]) -> str:
    total = hashlib.sha256()
    for entry in entries:
        kind = "l" if entry.link is not None else "x" if entry.executable else "f"
        total.update(b"%s\0%s\0%s\n" % (kind.encode(), os.fsencode(entry.path), entry.digest.encode()))
    return total.hexdigest()


def _make_folders(destination: Path, folder: str, made: set[str]) -> None:
    if folder not in made:
        _make_folders(destination, folder.rpartition("/")[0], made)
        path = destination / folder
        path.mkdir(mode=0o755)
        path.chmod(0o755)
        made.add(folder)


def _copy_file(entry: Entry, target: str) -> None:
    try:
        with open(entry.origin, "rb") as source:  # noqa: PTH123 - as above
            if _stamp(os.fstat(source.fileno())) != entry.stamp:
                raise BuildFailed(f"{entry.path} changed while it was being built", hint="run it again")
            fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            with os.fdopen(fd, "wb") as file:
                shutil.copyfileobj(source, file, 2**18)
                os.fchmod(fd, 0o755 if entry.executable else 0o644)
    except FileNotFoundError:
        raise BuildFailed(f"{entry.path} disappeared while it was being built", hint="run it again") from None


@dataclass
class _Walk:
    """One walk through a source. `problems` collects what cannot be in a build."""

    checkout: Path
    root: Path
    memory: _Memory
    problems: list[str] = field(default_factory=list)
    inside: list[Path] = field(default_factory=list)
    """Folders outside the source being walked because a link leads to them."""

    def folder(self, place: Path, path: str, rules: Rules) -> Iterator[Entry]:
        """The entries below one folder; `path` is its place in the source, "" at the top."""
        try:
            found = sorted(os.scandir(place), key=lambda item: item.name)
        except OSError as error:
            self._problem(path or ".", error.strerror or str(error))
            return
        base = place.relative_to(self.checkout).as_posix()
        base = "" if base == "." else base
        if path and any(item.name == ".gitignore" for item in found):
            rules = rules.below(base, _text(place / ".gitignore"))
        decide = self.memory.decisions(base, rules)
        for item in found:
            inner = f"{path}/{item.name}" if path else item.name
            yield from self._item(item, inner, f"{base}/{item.name}" if base else item.name, rules, decide)

    def _item(
        self, item: os.DirEntry[str], path: str, full: str, rules: Rules, known: dict[str, bool]
    ) -> Iterator[Entry]:
        folder = item.is_dir(follow_symlinks=False)
        name = item.name + "/" if folder else item.name
        if name not in known:
            known[name] = rules.skips(full) if folder else rules.ignores(full)
            self.memory.changed = True
        if known[name]:
            return
        if folder:
            yield from self.folder(Path(item.path), path, rules)
        elif item.is_symlink():
            yield from self._link(Path(item.path), path, rules)
        else:
            yield from self._file(item.path, path, item.stat(follow_symlinks=False))

    def _file(self, origin: str, path: str, info: os.stat_result) -> Iterator[Entry]:
        if not stat.S_ISREG(info.st_mode):
            self._problem(path, "is a device, socket or pipe")
            return
        try:
            digest = self.memory.digest(origin, info)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._problem(path, error.strerror or str(error))
            return
        yield Entry(path, origin, digest, info.st_size, bool(info.st_mode & 0o111), stamp=_stamp(info))

    def _link(self, link: Path, path: str, rules: Rules) -> Iterator[Entry]:
        """A link inside the source stays one; inside the checkout it becomes what it points to; it may not leave."""
        target = link.resolve()
        if not target.is_relative_to(self.checkout):
            self._problem(path, f"is a link that leaves the checkout, to {link.readlink()}")
        elif never(target.relative_to(self.checkout).as_posix()):
            return
        elif target.is_relative_to(self.root):
            text = os.path.relpath(target, link.parent.resolve())
            digest = hashlib.sha256(os.fsencode(text)).hexdigest()
            yield Entry(path, str(link), digest, link=text)
        elif target.is_file():
            yield from self._file(str(target), path, target.stat())
        elif not target.is_dir():
            self._problem(path, f"is a link to {link.readlink()}, which does not exist")
        elif self.root.is_relative_to(target) or any(target.is_relative_to(x) for x in self.inside):
            self._problem(path, f"is a link to {link.readlink()}, which holds the link itself")
        else:
            self.inside.append(target)
            yield from self.folder(target, path, rules)
            self.inside.pop()

    def _problem(self, path: str, what: str) -> None:
        self.problems.append(f"{path} {what}")


@dataclass
class _Memory:
    """The last scan of a source: digests by stamp, and what the ignore rules said in each folder."""

    place: Path | None = None
    old: dict[str, list[Any]] = field(default_factory=dict)
    folders: dict[str, list[Any]] = field(default_factory=dict)
    new: dict[str, list[Any]] = field(default_factory=dict)
    decided: dict[str, list[Any]] = field(default_factory=dict)
    changed: bool = False
    now: float = field(default_factory=time.time)

    @classmethod
    def load(cls, cache: Path | None, root: Path) -> _Memory:
        if cache is None:
            return cls()
        place = cache / "source" / f"{hashlib.sha256(bytes(root)).hexdigest()[:24]}.json"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            data = json.loads(place.read_bytes())
            if data["version"] == CACHE_VERSION:
                return cls(place, dict(data["files"]), dict(data["folders"]))
        return cls(place, changed=True)

    def digest(self, origin: str, info: os.stat_result) -> str:
        stamp = list(_stamp(info))
        known = self.old.get(origin)
        if known and known[1] == stamp:
            digest: str = known[0]
        else:
            digest = _hash_file(origin)
            self.changed = True
        if abs(self.now - info.st_ctime) > RACY:
            self.new[origin] = [digest, stamp]
        return digest

    def decisions(self, folder: str, rules: Rules) -> dict[str, bool]:
        """What was decided in that folder under the same rules; what is added to it is remembered."""
        known = self.folders.get(folder)
        decided: dict[str, bool] = known[1] if known and known[0] == rules.digest else {}
        self.decided[folder] = [rules.digest, decided]
        return decided

    def save(self) -> None:
        """Remember this scan. A cache that cannot be written (a full disk) only costs time."""
        if self.place is None or not (self.changed or len(self.old) != len(self.new)):
            return
        data = {"version": CACHE_VERSION, "files": self.new, "folders": self.decided}
        with contextlib.suppress(OSError, StateError):
            self.place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomic(self.place, json.dumps(data), sync=False)


def _stamp(info: os.stat_result) -> tuple[int, ...]:
    return (info.st_mtime_ns, info.st_ctime_ns, info.st_size, info.st_ino)


def _hash_file(path: str) -> str:
    with open(path, "rb") as file:  # noqa: PTH123 - as above
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="surrogateescape")
    except OSError:
        return None
