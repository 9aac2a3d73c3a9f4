"""Copies a PostgreSQL data folder, as the user that owns it. Standard library only; run with `python -I -S`.

The first line of its input, JSON, says what to copy, where, and whom to become before anything is opened. Each line
after it is an order, answered by one line when it is done; the end of the input is the end. One program for all of it:
starting `cp` for every step took longer than cloning.

Where the filesystem clones, files share their blocks. Elsewhere the kernel copies, several pieces at a time; or gently:
each megabyte goes to the disk at once, and a rest follows as long as it took. Otherwise the kernel writes
gigabytes whenever it likes, and what somebody else has to have on the disk right then waits behind them.

Left out is what a server makes anew at its recovery, as pg_basebackup does (PostgreSQL's manual, "Backup Protocol"):
temporary relations and files, caches of the catalogue, and the rows of unlogged tables.
"""

import ctypes
import errno
import fcntl
import json
import os
import re
import stat
import sys
import threading
import time

FICLONE = 0x40049409
"""ioctl of linux/fs.h."""
PIECE = 64 << 20
"""Bytes of a file that one thread copies at a time."""
GENTLE = 1 << 20
"""Bytes between two rests."""
LONGEST = 0.1
"""Seconds of rest at most: a disk that stood still for somebody else says nothing of its speed."""
BUFFER = 1 << 20
_AWAIT, _BEGIN = 1, 2
"""Of sync_file_range. In one call the kernel takes them for what somebody waits for, and lets others wait instead."""
MADE_ANEW = re.compile(r"pgsql_tmp.*|pg_internal\.init.*|t\d+_\d+(_(fsm|vm|init))?(\.\d+)?")
FORK = re.compile(r"(\d+)(_fsm|_vm|_init)?(\.\d+)?")


class Copier:
    def __init__(self, source: str, target: str, leave_out: list[str], *, gently: bool) -> None:
        self.source, self.target, self.leave_out, self.gently = source, target, set(leave_out), gently
        self.shared = False
        self._todo: list[tuple[str, int, int]] = []
        self._fault: OSError | None = None

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

    def files(self, empty: list[str]) -> None:
        """Everything but what is left out; then the folders that a server wants to find."""
        self._list("")
        self._work()
        for name in empty:
            os.makedirs(f"{self.target}/{name}", 0o700, exist_ok=True)  # noqa: PTH103

    def some(self, names: list[str]) -> None:
        self._todo = [(name, 0, sys.maxsize) for name in names]
        self._work()

    def write(self, name: str, text: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(f"{self.target}/{name}", flags, 0o600), "w") as file:  # noqa: PTH123
            file.write(text)

    def _list(self, folder: str) -> None:
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
                os.mkdir(f"{self.target}/{name}", stat.S_IMODE(info.st_mode))  # noqa: PTH102
                self._list(name)
            elif stat.S_ISREG(info.st_mode):
                found.append((entry.name, name, info.st_size))
                fork = FORK.fullmatch(entry.name)
                if fork and fork[2] == "_init":
                    unlogged.add(fork[1])
            elif stat.S_ISLNK(info.st_mode):
                raise OSError(errno.ELOOP, "is a symbolic link: two servers cannot share what it leads to", name)
        for base, name, size in found:
            fork = FORK.fullmatch(base)
            if not (fork and fork[1] in unlogged and fork[2] != "_init"):
                self._note(name, size)

    def _note(self, name: str, size: int) -> None:
        """The last piece goes to the end, wherever that is by then."""
        starts = [0] if self.shared else range(0, max(size, 1), PIECE)
        self._todo += [(name, at, PIECE if at + PIECE < size and not self.shared else sys.maxsize) for at in starts]

    def _work(self) -> None:
        self._fault = None
        threads = [
            threading.Thread(target=self._take) for _ in range(1 if self.gently else min(4, os.cpu_count() or 1))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._fault is not None:
            raise self._fault

    def _take(self) -> None:
        while self._fault is None:
            try:
                piece = self._todo.pop()
            except IndexError:
                return
            try:
                self._copy(*piece)
            except OSError as error:
                self._fault = error

    def _copy(self, name: str, at: int, length: int) -> None:
        """A file that the server has removed meanwhile is none of the backup's."""
        source, target = f"{self.source}/{name}", f"{self.target}/{name}"
        try:
            mode = stat.S_IMODE(os.stat(source, follow_symlinks=False).st_mode)  # noqa: PTH116
            if self.shared:
                _clone(source, target, mode)
            else:
                _copy(source, target, mode, (at, length), gently=self.gently)
        except FileNotFoundError as error:
            if error.filename != source:
                raise


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
    here = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        there = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, mode)
        try:
            fcntl.ioctl(there, FICLONE, here)
        except OSError as error:
            raise OSError(error.errno, error.strerror, target) from None
        finally:
            os.close(there)
    finally:
        os.close(here)


def _copy(source: str, target: str, mode: int, part: tuple[int, int], *, gently: bool) -> None:
    """`part`: from where on, and how many bytes at most."""
    at, end = part[0], sum(part)
    here = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        there = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, mode)
        try:
            began = time.monotonic()
            while at < end and (count := _piece(here, there, at, min(end - at, GENTLE if gently else PIECE))):
                if gently and count == GENTLE:
                    _to_disk(there, at, count)
                    time.sleep(min(LONGEST, time.monotonic() - began))
                    began = time.monotonic()
                at += count
        except OSError as error:
            raise OSError(error.errno, error.strerror, target) from None
        finally:
            os.close(there)
    finally:
        os.close(here)


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


def obey(copier: Copier, order: str, *words: list[str]) -> bool:
    """What the order found out, where there is something; else True."""
    if order == "probe":
        return copier.probe()
    if order == "files":
        copier.files(*words)
    elif order == "some":
        copier.some(*words)
    elif order == "write":
        copier.write(*map(str, words))
    return True


if __name__ == "__main__":
    main()
