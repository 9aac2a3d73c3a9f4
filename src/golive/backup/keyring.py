"""The keys of a home: one that new backups are sealed with, and those that older ones were. Never in a location.

backup-keys/<id>      a key, as it is shown (0600)
            current   the id of the one for new backups
            kept      somebody has said that the current key is kept elsewhere
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from golive.backup.archive import Key
from golive.errors import BackupUntried, StateError
from golive.system.files import private_directory, write_atomic

CURRENT, KEPT = "current", "kept"


def current(folder: Path) -> Key:
    """Made at first use. StateError when it was there and is gone: backups sealed with it could not be read."""
    id = _id(folder)
    if id is None:
        key = Key.new()
        add(folder, key)
        return key
    return find(folder, id)


def find(folder: Path, id: str) -> Key:
    """The key of that id. BackupUntried when this home has never had it."""
    try:
        return Key.parse((folder / id).read_text())
    except FileNotFoundError as error:
        raise BackupUntried(
            f"the key {id} is not here",
            where=str(folder),
            hint="give the one that was kept when these backups were set up: golive backup key --import",
        ) from error
    except OSError as error:
        raise StateError(f"the key {id} cannot be read", where=str(folder / id), why=error.strerror) from error


def add(folder: Path, key: Key) -> None:
    """New backups are sealed with it from here on; the others stay for what they sealed."""
    private_directory(folder)
    id = key.id
    write_atomic(folder / id, key.secret.reveal() + "\n")
    if _id(folder) != id:
        with contextlib.suppress(FileNotFoundError):
            (folder / KEPT).unlink()
        write_atomic(folder / CURRENT, id + "\n")


def is_kept(folder: Path) -> bool:
    """Whether somebody has the current key elsewhere. True too while there is none."""
    return _id(folder) is None or (folder / KEPT).exists()


def keep(folder: Path) -> None:
    write_atomic(folder / KEPT, f"{_id(folder)}\n")


def _id(folder: Path) -> str | None:
    with contextlib.suppress(FileNotFoundError):
        return (folder / CURRENT).read_text().strip()
    return None
