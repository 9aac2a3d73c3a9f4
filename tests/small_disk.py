"""A file system of a few MB, mounted by a test: what fills is its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

MOUNT, UMOUNT = "/bin/mount", "/bin/umount"
FILLER = "filler"


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """One in the place of this folder, passable for others, or the test is skipped. Always unmounted, in use or not."""
    folder.mkdir(exist_ok=True)
    options = f"size={megabytes}m,mode=0711"
    argv = [MOUNT, "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.geteuid() != 0 or not Path(MOUNT).exists() or subprocess.run(argv, check=False).returncode:
        pytest.skip("needs to mount a small file system")
    try:
        yield
    finally:
        subprocess.run([UMOUNT, "--lazy", str(folder)], check=True)


def fill(folder: Path, leave: int = 0) -> None:
    """Until so many bytes are left."""
    with suppress(OSError), (folder / FILLER).open("ab") as file:
        if (more := shutil.disk_usage(folder).free - leave) > 0:
            os.posix_fallocate(file.fileno(), file.tell(), more)
    if not leave:  # what came free meanwhile too
        with suppress(OSError), (folder / FILLER).open("ab", buffering=0) as file:
            while file.write(bytes(4096)):
                pass


def empty(folder: Path) -> None:
    (folder / FILLER).unlink()
