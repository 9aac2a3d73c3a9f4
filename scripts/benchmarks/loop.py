"""A filesystem that clones, in a file: XFS on a loop device, gone again however the block ends."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.machine import find

PIECE = bytes(16 << 20)


class NotAllowedError(Exception):
    """This machine lets us mount no loop device; the text says why."""


@contextmanager
def xfs(size: int) -> Iterator[Path]:
    """The folder that it is mounted on, `size` bytes large. NotAllowedError before anything was left behind.

    The file is written beforehand and read past the page cache, as a disk is: nothing is stored twice, and no block of
    it has to be found while it is measured.
    """
    if os.geteuid() != 0:
        raise NotAllowedError("only root may mount a loop device")
    if find("mkfs.xfs") is None or find("losetup") is None:
        raise NotAllowedError("mkfs.xfs is not installed (apt-get install xfsprogs)")
    with tempfile.TemporaryDirectory(prefix="golive-xfs-", ignore_cleanup_errors=True) as name:
        image, folder = Path(name) / "image", Path(name) / "xfs"
        Path(name).chmod(0o755)  # apps run under users of their own
        folder.mkdir()
        _write(image, size)
        device = _run("losetup", "--direct-io=on", "--find", "--show", str(image))
        try:
            _run("mkfs.xfs", "-q", "-m", "reflink=1", device)
            _run("mount", device, str(folder))
            try:
                folder.chmod(0o755)
                yield folder
            finally:
                _unmount(folder)
        finally:
            with suppress(NotAllowedError):
                _run("losetup", "--detach", device)


def _write(image: Path, size: int) -> None:
    with image.open("wb") as file:
        for _ in range(-(-size // len(PIECE))):
            file.write(PIECE)
        file.flush()
        os.fsync(file.fileno())


def _unmount(folder: Path) -> None:
    """What ran in it has just been ended; its last files may be open for a moment."""
    for _ in range(50):
        with suppress(NotAllowedError):
            _run("umount", str(folder))
            return
        time.sleep(0.1)
    _run("umount", "--lazy", str(folder))


def _run(*words: str) -> str:
    argv = [find(words[0]) or words[0], *words[1:]]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotAllowedError(f"{' '.join(words[:2])}: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()


def used(folder: Path) -> int:
    """Bytes that are not free on the filesystem of the folder, as `df` counts, when all is written and XFS has put away
    what was removed."""
    seen = -1
    for _ in range(20):
        last = seen
        os.sync()
        time.sleep(0.5)
        info = os.statvfs(folder)
        seen = (info.f_blocks - info.f_bfree) * info.f_frsize
        if abs(seen - last) < 1 << 20:
            break
    return seen
