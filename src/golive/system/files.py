"""Files: written atomically, never half."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import shutil
from pathlib import Path

AT_FDCWD, RENAME_EXCHANGE = -100, 2
"""Of Linux, fcntl.h and stdio.h."""
TRIES = 5


def write_atomic(
    path: Path, data: bytes | str, *, mode: int = 0o600, group: int | None = None, sync: bool = True
) -> None:
    """Write beside, flush to disk, rename into place. The old file stays whole when anything fails.

    `group`, where `mode` lets one read, is root's to give; whoever opens the file meanwhile may read it or the old one.
    """
    raw = data.encode() if isinstance(data, str) else data
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(raw)
            file.flush()
            if group is not None:
                os.fchown(fd, -1, group)
            os.fchmod(fd, mode)
            if sync:
                os.fsync(fd)
        beside.rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def private_directory(path: Path, mode: int = 0o700) -> Path:
    """Make it, and its parents, and set its mode."""
    path.mkdir(parents=True, exist_ok=True)
    if path.stat().st_mode & 0o777 != mode:
        path.chmod(mode)
    return path


def remove_tree(path: Path) -> None:
    """Gone, or nothing to do. Read-only folders inside (Go's module cache) are no obstacle, nor is what somebody writes
    there meanwhile, such as the index of a log that is rotated, as long as he ends with it."""

    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
        return
    for tries in range(TRIES, 0, -1):
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            if not path.exists():
                return
        except PermissionError:
            if tries == 1:
                raise
            _unlock(path)
        except OSError as error:
            if tries == 1 or error.errno != errno.ENOTEMPTY:
                raise
        else:
            return


def _unlock(path: Path) -> None:
    path.chmod(0o700)
    for root, names, _ in os.walk(path):
        for name in names:
            folder = Path(root) / name
            if not folder.is_symlink():
                folder.chmod(0o700)


def exchange(one: Path, other: Path) -> None:
    """Each takes the other's place, in one step where the system can (Linux), else in three."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "renameat2"):
        here, both = ctypes.c_int(AT_FDCWD), (bytes(one), bytes(other))
        if libc.renameat2(here, both[0], here, both[1], RENAME_EXCHANGE) == 0:
            return
        if (error := ctypes.get_errno()) not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(error, os.strerror(error), str(one), None, str(other))
    beside = one.with_name(f".{one.name}.{secrets.token_hex(4)}")
    one.rename(beside)
    other.rename(one)
    beside.rename(other)


def tree_size(path: Path) -> int:
    """Bytes on disk of a folder, hard links counted once."""
    seen: set[int] = set()
    total = 0
    for root, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                info = (Path(root) / name).lstat()
                if info.st_ino not in seen:
                    seen.add(info.st_ino)
                    total += info.st_blocks * 512
    return total
