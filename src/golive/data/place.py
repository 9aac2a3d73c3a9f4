"""Where a resource lives: its folders, who may enter them, and what share of the machine it has.

    apps/<app>/<environment>/resources/<name>/   golive's: configuration (read by the engine's group), the log
        data/                                    the engine user's, 0700: nothing of golive writes in it
        data.new/                                an unfinished first start; never ran, so it may be deleted
    run/<engine>-<hash>/                         the engine user's: the Unix socket

Where golive is root it never writes in a folder of the engine's user: a symlink there would make root write elsewhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from golive.blueprint.models import Resource
from golive.errors import ResourceFailed
from golive.home import Home
from golive.system import users
from golive.system.files import write_atomic
from golive.system.machine import Machine
from golive.system.users import User

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class Placement:
    """Everything about a resource that is not in the blueprint.

    `user` runs it and owns its data (None: golive's own user; not allowed for root). `neighbours` is how many resources
    golive runs on this machine, this one included: they share the memory.
    """

    app: str
    environment: str
    home: Home
    port: int
    user: User | None
    machine: Machine
    neighbours: int = 1

    def folder(self, name: str) -> Path:
        return self.home.resource(self.app, self.environment, name)

    def sockets(self, engine: str, name: str) -> Path:
        """A folder for the Unix socket with a path short enough for one."""
        digest = hashlib.sha256(bytes(self.folder(name))).hexdigest()[:8]
        return self.home.run / f"{engine[:2]}-{digest}"

    def label(self, name: str) -> str:
        return f"{self.app}/{self.environment}/{name}"


def memory_budget(engine: str, machine: Machine, neighbours: int) -> int:
    """Bytes for a resource that names no budget: PostgreSQL shares half of the machine with its neighbours, at most
    16 GiB; Redis, which holds it for good, a sixteenth, at most 1 GiB."""
    if engine == "postgres":
        return max(128 * MIB, min(16 * GIB, machine.memory // 2 // max(1, neighbours)))
    return max(64 * MIB, min(GIB, machine.memory // 16 // max(1, neighbours)))


def kept_major(resource: Resource, folder: Path) -> int | None:
    """The major version that wrote the data in `Placement.folder`, to ask the engine store for; None before the first
    start. A resource without a version stays on the one it began with, whatever the machine is upgraded to."""
    source = folder / ("data/PG_VERSION" if resource.engine == "postgres" else "version")
    with contextlib.suppress(OSError, ValueError):
        return int(source.read_text(errors="replace").split(".")[0])
    return None


def open_folder(place: Placement, name: str) -> Path:
    """The resource's folder, made; passable for the engine's user where that is another one."""
    folder = place.folder(name)
    steps = [step for step in (folder, *folder.parents) if step.is_relative_to(place.home.root)]
    try:
        place.home.root.parent.mkdir(parents=True, exist_ok=True)
        for step in reversed(steps):
            step.mkdir(mode=0o700, exist_ok=True)
            if place.user is not None:
                step.chmod(stat.S_IMODE(step.stat().st_mode) | 0o011)
        if place.user is None:
            folder.chmod(0o700)
    except OSError as error:
        raise failed(name, f"its folder {folder} cannot be made", error) from error
    return folder


def open_sockets(place: Placement, engine: str, name: str) -> Path:
    """The socket folder, made again when a reboot has emptied the run-time directory."""
    folder = place.sockets(engine, name)
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = folder.parent.lstat()
        if info.st_uid != os.geteuid() or not stat.S_ISDIR(info.st_mode):
            raise ResourceFailed(
                f"{folder.parent} belongs to somebody else",
                where=name,
                hint="set XDG_RUNTIME_DIR, or use a shorter GOLIVE_HOME",
            )
        if place.user is not None:
            folder.parent.chmod(stat.S_IMODE(info.st_mode) | 0o011)
        own(folder, place.user)
    except OSError as error:
        raise failed(name, f"the socket folder {folder} cannot be made", error) from error
    return folder


def own(folder: Path, user: User | None) -> None:
    """A folder of the engine's user, 0700. ResourceFailed when that user cannot get there."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if user is None:
        folder.chmod(0o700)
        return
    os.chown(folder, user.uid, user.gid)
    folder.chmod(0o700)
    require_reach(user, folder)


def require_reach(user: User | None, path: Path) -> None:
    if user is None or users.can_reach(user, path):
        return
    raise ResourceFailed(
        f"the user {user.name} cannot reach {path}",
        why="a folder above it is closed to other users",
        hint="use a GOLIVE_HOME that others may pass through, such as /var/lib/golive",
    )


def write_config(path: Path, text: str, user: User | None, *, sync: bool = True) -> None:
    """A configuration file that the engine's group may read and only golive may change."""
    group = user.gid if user else None
    write_atomic(path, text, mode=0o600 if group is None else 0o640, group=group, sync=sync)


def log_tail(path: Path, lines: int = 15) -> str:
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16384))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    return ""


def failed(name: str, what: str, error: OSError) -> ResourceFailed:
    return ResourceFailed(f"{name}: {what}", where=name, why=error.strerror or str(error))
