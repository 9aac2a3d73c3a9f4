"""Copies a PostgreSQL data folder, as the user that owns it. Standard library only; run with `python -I -S`.

The first line of its input, JSON, says what to copy, where, and whom to become before anything is opened. Each line
after it is an order, answered by one line when it is done; the end of the input is the end. One program for all of it:
starting `cp` for every step took longer than cloning.

Where the filesystem clones, files share their blocks. Elsewhere the kernel copies into its page cache, one thread a
core. That is bound by memory, so of what is large some threads more write past the cache to the disk at the same time;
whichever are the faster take more pieces. Or gently: each megabyte goes to the disk at once, and a rest follows as long
as it took. Otherwise the kernel writes gigabytes whenever it likes, and what somebody else has to have on the disk then
waits behind them.

While the source's checkpoint goes on, what is small is copied ahead; it counts where the file is the same afterwards.

Left out is what a server makes anew at its recovery, as pg_basebackup does (PostgreSQL's manual, "Backup Protocol"):
temporary relations and files, caches of the catalogue, and the rows of unlogged tables.
"""

import collections
import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import re
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator

FICLONE = 0x40049409
"""ioctl of linux/fs.h."""
PIECE = 4 << 20
"""Bytes of a file that one thread copies at a time."""
LARGE = 256 << 20
"""Bytes in all from which on the disk is worth its first pieces, which tell how fast it is."""
STILL = 3.0
"""Seconds since a file was last written to from which on it is copied ahead: more than any timestamp is rough."""
PAST = 4
"""Threads that write past the page cache: one reads while the disk works for another."""
BLOCK = 4096
"""What the disk takes past the cache begins at a multiple of this and is one long."""
GENTLE = 1 << 20
"""Bytes between two rests."""
LONGEST = 0.1
"""Seconds of rest at most: a disk that stood still for somebody else says nothing of its speed."""
BUFFER = 1 << 20
_KEEP_SIZE = 1
"""Of fallocate: room is set aside, and the file is not said to be any longer."""
_AWAIT, _BEGIN = 1, 2
"""Of sync_file_range. In one call the kernel takes them for what somebody waits for, and lets others wait instead."""
MADE_ANEW = re.compile(r"pgsql_tmp.*|pg_internal\.init.*|t\d+_\d+(_(fsm|vm|init))?(\.\d+)?")
FORK = re.compile(r"(\d+)(_fsm|_vm|_init)?(\.\d+)?")


class Copier:
    def __init__(self, source: str, target: str, leave_out: list[str], *, gently: bool) -> None:
        self.source, self.target, self.leave_out, self.gently = source, target, set(leave_out), gently
        self.shared = False
        self._todo = Pieces()
        self._threads: list[threading.Thread] = []
        self._fault: OSError | None = None
        self._folders: set[str] = set()
        self._ahead: dict[str, tuple[int, ...]] = {}
        """What was copied ahead, and what the file was like before that."""

    def probe(self) -> bool:
        """Whether files can share blocks: tried, since no list of filesystems is complete."""
        probe = f"{self.target}/pg_control.probe"
        try:
            _clone(f"{self.source}/global/pg_control", probe, 0o600)
            self.shared = True
        except OSError:
            self.shared = False
        if os.path.lexists(probe):
            os.unlink(probe)  # noqa: PTH108
        return self.shared

    def ahead(self) -> None:
        """Begins with small files that nobody has written to lately, and goes on until the next order; before a
        checkpoint has ended no copy counts, unless `files` finds that its file has stayed what it was."""
        if self.shared or self.gently:
            return
        self._todo = Pieces()
        before, found = time.time() - STILL, list[tuple[str, os.stat_result]]()
        self._list("", found)
        for name, info in found:
            if info.st_size < PIECE and max(info.st_mtime, info.st_ctime) < before:
                self._ahead[name] = _likeness(info)
                self._todo.add(name, info.st_size, whole=True)
        self._start(past=False)

    def _take_stock(self, found: list[tuple[str, os.stat_result]], folders: set[str]) -> None:
        """Of what was copied ahead only what is still so stays, and nothing of what has gone."""
        now = {name: _likeness(info) for name, info in found}
        begun = set(self._ahead) - self._todo.names()
        self._ahead = {name: self._ahead[name] for name in begun if now.get(name) == self._ahead[name]}
        for name in begun - set(self._ahead):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self.target}/{name}")  # noqa: PTH108
        for name in sorted(folders - self._folders, reverse=True):
            os.rmdir(f"{self.target}/{name}")  # noqa: PTH106

    def files(self, empty: list[str]) -> None:
        """Everything but what is left out; then the folders that a server wants to find."""
        found: list[tuple[str, os.stat_result]] = []
        folders, self._folders = self._folders, set()
        self._list("", found)
        self._take_stock(found, folders)
        found = [file for file in found if file[0] not in self._ahead]
        if not self.shared:
            self._require_room(sum(map(_held, (info for _, info in found))))
        self._todo = Pieces()
        for name, info in sorted(found, key=lambda file: file[1].st_size):
            if PIECE <= info.st_size <= _held(info) and not self.shared and not self.gently:
                _set_aside(f"{self.target}/{name}", info)
            self._todo.add(name, info.st_size, whole=self.shared)
        self._work()
        for name in empty:
            os.makedirs(f"{self.target}/{name}", 0o700, exist_ok=True)  # noqa: PTH103

    def some(self, names: list[str]) -> None:
        self._todo = Pieces()
        for name in names:
            self._todo.add(name, 0, whole=True)
        self._work()

    def write(self, name: str, text: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(f"{self.target}/{name}", flags, 0o600), "w") as file:  # noqa: PTH123
            file.write(text)

    def _list(self, folder: str, into: list[tuple[str, os.stat_result]]) -> None:
        """Folders are made, files are noted."""
        found, unlogged = [], set()
        for entry in _entries(f"{self.source}/{folder}"):
            name = f"{folder}/{entry.name}" if folder else entry.name
            if MADE_ANEW.fullmatch(entry.name) or name in self.leave_out:
                continue
            try:
                info = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(info.st_mode):
                if not os.path.isdir(f"{self.target}/{name}"):  # noqa: PTH112
                    os.mkdir(f"{self.target}/{name}", stat.S_IMODE(info.st_mode))  # noqa: PTH102
                self._folders.add(name)
                self._list(name, into)
            elif stat.S_ISREG(info.st_mode):
                fork = FORK.fullmatch(entry.name)
                found.append((fork, (name, info)))
                if fork and fork[2] == "_init":
                    unlogged.add(fork[1])
            elif stat.S_ISLNK(info.st_mode):
                raise OSError(errno.ELOOP, "is a symbolic link: two servers cannot share what it leads to", name)
        into += [file for fork, file in found if not (fork and fork[1] in unlogged and fork[2] != "_init")]

    def _require_room(self, size: int) -> None:
        """Seen before the first byte: a disk that is filled to the last one stops the source, too."""
        disk = os.statvfs(self.target)
        if size > disk.f_bavail * disk.f_frsize:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.target)

    def _work(self) -> None:
        self._start(past=self._todo.left >= LARGE and not self.shared and not self.gently and hasattr(os, "O_DIRECT"))
        self.join()

    def _start(self, *, past: bool) -> None:
        self._fault = None
        cached = 1 if self.gently else min(4, os.cpu_count() or 1)
        self._threads = [threading.Thread(target=self._take) for _ in range(cached)]
        self._threads += [threading.Thread(target=self._take_past) for _ in range(PAST if past else 0)]
        for thread in self._threads:
            thread.start()

    def join(self, *, at_once: bool = False) -> None:
        """When all is copied; `at_once`, only what has been begun."""
        if at_once:
            self._todo.stop()
        for thread in self._threads:
            thread.join()
        self._threads = []
        if self._fault is not None:
            raise self._fault

    def _take(self) -> None:
        while self._fault is None and (piece := self._todo.smallest()):
            self._attempt(piece, None)

    def _take_past(self) -> None:
        buffer, took = mmap.mmap(-1, BUFFER), 0.0
        while self._fault is None and self._todo.worth(took) and (piece := self._todo.largest()):
            began = time.monotonic()
            self._attempt(piece, buffer)
            took = time.monotonic() - began

    def _attempt(self, piece: tuple[str, int, int], past: mmap.mmap | None) -> None:
        try:
            self._copy(*piece, past)
        except OSError as error:
            self._fault = error

    def _copy(self, name: str, at: int, length: int, past: mmap.mmap | None) -> None:
        """A file that the server has removed meanwhile is none of the backup's."""
        source, target = f"{self.source}/{name}", f"{self.target}/{name}"
        try:
            mode = stat.S_IMODE(os.stat(source, follow_symlinks=False).st_mode)  # noqa: PTH116
            if self.shared:
                _clone(source, target, mode)
            elif past is not None:
                _copy_past(source, target, mode, (at, length), past)
            else:
                _copy(source, target, mode, (at, length), gently=self.gently)
        except FileNotFoundError as error:
            if error.filename != source:
                raise


class Pieces:
    """What is to be copied, smallest files first: (name, from where on, how many bytes at most).

    Those who write past the page cache begin with the largest files, the others with the smallest: two ways of writing
    one file wait for each other.
    """

    def __init__(self) -> None:
        self.left = 0
        self._done = 0
        self._stopped = False
        self._began = time.monotonic()
        self._pieces: collections.deque[tuple[int, tuple[str, int, int]]] = collections.deque()
        self._lock = threading.Lock()

    def add(self, name: str, size: int, *, whole: bool) -> None:
        """The last piece goes to the end, wherever that is by then."""
        for at in [0] if whole else range(0, max(size, 1), PIECE):
            last = whole or at + PIECE >= size
            self._pieces.append((size - at if last else PIECE, (name, at, sys.maxsize if last else PIECE)))
        self.left += size

    def names(self) -> set[str]:
        """Of files of which something is left."""
        return {piece[0] for _, piece in self._pieces}

    def stop(self) -> None:
        """Nobody gets any more; what is left stays in `names`."""
        self._stopped = True

    def smallest(self) -> tuple[str, int, int] | None:
        return self._next(self._pieces.popleft)

    def largest(self) -> tuple[str, int, int] | None:
        """Of a file its end first: what is written before its end needs no new size, and several may at once."""
        return self._next(self._pieces.pop)

    def worth(self, seconds: float) -> bool:
        """Whether a piece that takes so long would be done before all are, at the speed until now."""
        return seconds * self._done <= self.left * (time.monotonic() - self._began)

    def _next(self, take: Callable[[], tuple[int, tuple[str, int, int]]]) -> tuple[str, int, int] | None:
        with self._lock:
            if self._stopped or not self._pieces:
                return None
            size, piece = take()
            self.left -= size
            self._done += size
            return piece


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except FileNotFoundError:  # a database that was dropped
        return []


def _clone(source: str, target: str, mode: int) -> None:
    if sys.platform == "darwin":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.clonefile(os.fsencode(source), os.fsencode(target), 0):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), target)
        return
    with _opened(source, target, mode) as (here, there):
        fcntl.ioctl(there, FICLONE, here)


def _copy(source: str, target: str, mode: int, part: tuple[int, int], *, gently: bool) -> None:
    """`part`: from where on, and how many bytes at most."""
    at, end = part[0], sum(part)
    with _opened(source, target, mode) as (here, there):
        began = time.monotonic()
        while at < end and (count := _piece(here, there, at, min(end - at, GENTLE if gently else PIECE))):
            if gently and count == GENTLE:
                _to_disk(there, at, count)
                time.sleep(min(LONGEST, time.monotonic() - began))
                began = time.monotonic()
            at += count


def _copy_past(source: str, target: str, mode: int, part: tuple[int, int], buffer: mmap.mmap) -> None:
    """As `_copy`, to the disk and not into the page cache, as far as the filesystem and the file's length allow.

    By way of a buffer of our own: some disks add up what they are given, and the server may write into its pages
    meanwhile.
    """
    at, end = part[0], sum(part)
    with _opened(source, target, mode, past=True) as (here, there):
        while at < end and (count := os.preadv(here, [memoryview(buffer)[: min(len(buffer), end - at)]], at)):
            if at % BLOCK or count % BLOCK:
                _into_cache(there)
            at += _write_past(there, memoryview(buffer)[:count], at)


@contextlib.contextmanager
def _opened(source: str, target: str, mode: int, *, past: bool = False) -> Iterator[tuple[int, int]]:
    """To read and to write; `past` the page cache where that can be. What fails is said of the target."""
    here = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        there = _target(target, mode, past=past)
        try:
            yield here, there
        except OSError as error:
            raise OSError(error.errno, error.strerror, target) from None
        finally:
            os.close(there)
    finally:
        os.close(here)


def _target(target: str, mode: int, *, past: bool) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
    try:
        return os.open(target, flags | (os.O_DIRECT if past else 0), mode)
    except OSError as error:
        if not past or error.errno != errno.EINVAL:
            raise
        return os.open(target, flags, mode)


def _write_past(there: int, data: memoryview, at: int) -> int:
    try:
        return os.pwrite(there, data, at)
    except OSError as error:
        if error.errno != errno.EINVAL:  # larger blocks than ours
            raise
        _into_cache(there)
        return os.pwrite(there, data, at)


def _into_cache(file: int) -> None:
    fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) & ~os.O_DIRECT)


def _held(info: os.stat_result) -> int:
    """Bytes on the disk: less than its size where it has holes, or is compressed."""
    return min(info.st_size, info.st_blocks * 512)


def _likeness(info: os.stat_result) -> tuple[int, ...]:
    """What no write leaves as it was, nor another file of the name has."""
    return info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def _set_aside(target: str, info: os.stat_result) -> None:
    """Room for a copy, in few large parts; several can write into it at once. Where it cannot be, the copy grows."""
    try:
        call = ctypes.CDLL(None, use_errno=True).fallocate
    except AttributeError:  # not Linux
        return
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    file = _target(target, stat.S_IMODE(info.st_mode), past=False)
    try:
        if call(file, _KEEP_SIZE, 0, info.st_size) and ctypes.get_errno() == errno.ENOSPC:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), target)
    finally:
        os.close(file)


def _piece(here: int, there: int, at: int, length: int) -> int:
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(here, there, length, at, at)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
                raise
    return os.pwrite(there, os.pread(here, min(length, BUFFER), at), at)


def _to_disk(file: int, at: int, length: int) -> None:
    try:
        call = ctypes.CDLL(None).sync_file_range
    except AttributeError:  # not Linux
        os.fsync(file)
        return
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    call(file, at, length, _BEGIN)
    call(file, at, length, _AWAIT)


def become(uid: int, gid: int, groups: list[int]) -> None:
    if os.geteuid() == 0:
        os.setgroups(groups)
        os.setgid(gid)
        os.setuid(uid)


def give_way() -> None:
    """Among sessions too, see `golive.system.launch`. Before it becomes another user, who may not."""
    os.nice(10)
    try:
        with open("/proc/self/autogroup", "w") as group:  # noqa: PTH123
            group.write("10")
    except OSError:
        return


def main() -> None:
    asked = json.loads(sys.stdin.readline() or "null")
    if asked is None:  # our parent is gone
        return
    os.umask(0o077)
    if asked["gently"]:
        give_way()
    if asked["user"] is not None:
        become(*asked["user"])
    copier = Copier(asked["source"], asked["target"], asked["leave_out"], gently=asked["gently"])
    for line in sys.stdin:
        answer: dict[str, bool | str]
        try:
            answer = {"done": obey(copier, *json.loads(line))}
        except OSError as error:
            answer = {"where": error.filename or copier.target, "why": error.strerror or str(error)}
        print(json.dumps(answer), flush=True)
    with contextlib.suppress(OSError):
        copier.join(at_once=True)


def obey(copier: Copier, order: str, *words: list[str]) -> bool:
    """What the order found out, where there is something; else True."""
    copier.join(at_once=True)
    if order == "probe":
        return copier.probe()
    if order == "ahead":
        copier.ahead()
    elif order == "files":
        copier.files(*words)
    elif order == "some":
        copier.some(*words)
    elif order == "write":
        copier.write(*map(str, words))
    return True


if __name__ == "__main__":
    main()
