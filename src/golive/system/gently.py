"""`python -m golive.system.gently SOURCE... TARGET`: copies into a folder, with half of the disk's time.

Each few megabytes go to the disk at once, and a rest follows as long as they took. A plain copy leaves gigabytes for
the kernel to write whenever it likes, and what somebody else has to have on the disk right then waits behind them.

Source files may change, and go, meanwhile. Modes and times are kept. Exit code 1 with one line when it cannot go on.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

PIECE = 4 << 20
LONGEST = 1.0
"""Seconds of rest at most: a disk that stood still for somebody else says nothing of its speed."""
_WRITTEN = 7  # wait for what is on its way, begin the rest, wait for that; nothing of the file's own record


def copy(source: Path, target: Path) -> None:
    """`source` as an entry of the folder `target`. FileNotFoundError of what went meanwhile is none."""
    try:
        info = source.lstat()
        if stat.S_ISLNK(info.st_mode):
            (target / source.name).symlink_to(source.readlink())
        elif stat.S_ISDIR(info.st_mode):
            made = target / source.name
            made.mkdir(stat.S_IMODE(info.st_mode))
            for entry in sorted(source.iterdir()):
                copy(entry, made)
            shutil.copystat(source, made)
        elif stat.S_ISREG(info.st_mode):
            _file(source, target / source.name, stat.S_IMODE(info.st_mode))
    except FileNotFoundError as error:
        if error.filename and not str(error.filename).startswith(str(source)):
            raise


def _file(source: Path, target: Path, mode: int) -> None:
    new = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with source.open("rb", buffering=0) as opened, os.fdopen(os.open(target, new, mode), "wb", 0) as made:
        at, began = 0, time.monotonic()
        while piece := opened.read(PIECE):
            made.write(piece)
            at += len(piece)
            if len(piece) == PIECE:
                _to_disk(made.fileno(), at - len(piece), len(piece))
                time.sleep(min(LONGEST, time.monotonic() - began))
                began = time.monotonic()
    shutil.copystat(source, target)


def _flush() -> Callable[[int, int, int], object]:
    try:
        call = ctypes.CDLL(None).sync_file_range
    except AttributeError:  # not Linux
        return lambda file, _at, _length: os.fsync(file)
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return lambda file, at, length: call(file, at, length, _WRITTEN)


_to_disk = _flush()


def main(words: list[str]) -> int:
    *sources, target = map(Path, words)
    try:
        for source in sources:
            copy(source, target)
    except OSError as error:
        print(f"{error.filename or target}: {error.strerror}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
