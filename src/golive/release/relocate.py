"""What was built in one home, for another: scripts, settings and links that hold the old path get the new one."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from golive.build.artifact import ARTIFACT_FILE, Artifact, Content
from golive.build.seal import count
from golive.system.files import write_atomic

LARGEST = 4 << 20
"""Bytes of a file that is looked into: paths stand in scripts and settings, and those are small."""


def relocate(folder: Path, old: str, new: str) -> int:
    """Change the path of a home in every text below a folder, and in every link. How many there were."""
    if old == new:
        return 0
    path = re.compile(re.escape(old.encode()) + rb"(?![\w.-])")
    changed = 0
    for root, folders, names in os.walk(folder):
        for name in (*folders, *names):
            changed += _change(Path(root) / name, path, new.encode())
    if changed and (folder / ARTIFACT_FILE).exists():
        _count_again(folder)
    return changed


def _change(file: Path, path: re.Pattern[bytes], new: bytes) -> bool:
    info = file.lstat()
    if stat.S_ISLNK(info.st_mode):
        target = os.fsencode(file.readlink())
        if path.match(target):
            file.unlink()
            file.symlink_to(os.fsdecode(path.sub(lambda _: new, target)))
            return True
        return False
    if not stat.S_ISREG(info.st_mode) or info.st_size > LARGEST:
        return False
    data = file.read_bytes()
    if b"\0" in data or not path.search(data):
        return False
    write_atomic(file, path.sub(lambda _: new, data), mode=stat.S_IMODE(info.st_mode), sync=False)
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))
    return True


def _count_again(folder: Path) -> None:
    """An artifact with other bytes than it says counts as damaged."""
    file = folder / ARTIFACT_FILE
    artifact = Artifact.model_validate_json(file.read_bytes())
    found = count(folder / "app")
    content = Content(files=found.files, bytes=found.bytes)
    write_atomic(file, artifact.model_copy(update={"content": content}).model_dump_json(), mode=0o644)
