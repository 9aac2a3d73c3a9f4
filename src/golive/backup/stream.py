"""Where WAL is received before it is in the location: a folder for each stream of it without a gap.

    received/<name>/          golive's
        stream                the id of the current one; `over` behind it when it must not go on
        current/              the engine user's: pg_receivewal writes in it
        <id>/                 an earlier one, until all of it is in the location

A new stream begins when what comes does not follow on what came: the slot was lost, or the database was exchanged.
"""

from __future__ import annotations

import contextlib
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

from golive.backup.catalog import ID, new_id
from golive.system.files import write_atomic
from golive.system.users import User

CURRENT, STREAM = "current", "stream"


def prepare(folder: Path, user: User | None) -> None:
    """The folder, and the two above it, passable for the engine's user."""
    for step in (folder.parent.parent, folder.parent, folder):
        step.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = stat.S_IMODE(step.stat().st_mode)
        if user and mode & 0o011 != 0o011:
            step.chmod(mode | 0o011)


def current(folder: Path) -> str | None:
    """The id of the current stream; None when there is none."""
    with contextlib.suppress(FileNotFoundError):
        return (folder / STREAM).read_text().split()[0]
    return None


def is_over(folder: Path) -> bool:
    """Whether another one has to begin before anything is received."""
    with contextlib.suppress(FileNotFoundError):
        return len((folder / STREAM).read_text().split()) > 1 or not (folder / CURRENT).is_dir()
    return True


def end(folder: Path) -> None:
    """The next start of the receiver begins another stream."""
    if id := current(folder):
        write_atomic(folder / STREAM, f"{id} over\n")


def renew(folder: Path, user: User | None) -> None:
    """Begin another stream, in an empty folder. Killed at any point, it may be done once more."""
    prepare(folder, user)
    now, before = folder / CURRENT, current(folder)
    if now.is_dir() and not any(now.iterdir()):
        now.rmdir()
    elif now.is_dir():
        now.rename(folder / (before or new_id(datetime.now(UTC), _taken(folder))))
    write_atomic(folder / STREAM, new_id(datetime.now(UTC), {*_taken(folder), before or ""}) + "\n")
    now.mkdir(mode=0o700)
    if user is not None:
        os.chown(now, user.uid, user.gid)


def folders(folder: Path) -> list[tuple[str, Path, bool]]:
    """(id, folder, whether it is over) of each stream, oldest first."""
    found = [(name, folder / name, True) for name in sorted(_taken(folder))]
    id = current(folder)
    return [*found, (id, folder / CURRENT, False)] if id and (folder / CURRENT).is_dir() else found


def _taken(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if ID.fullmatch(path.name)} if folder.is_dir() else set()
