"""System users: who a process runs as when golive is root, and what that user can reach."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class User:
    """A user of this machine. `groups` are its supplementary groups."""

    name: str
    uid: int
    gid: int
    home: Path
    groups: tuple[int, ...] = ()


def find(name: str) -> User | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    groups = tuple(g.gr_gid for g in grp.getgrall() if name in g.gr_mem)
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir), groups)


def ensure(name: str) -> User | None:
    """The system user of that name, made when golive is root and it is missing; None when golive is not root.

    Without `useradd` (macOS) the user `nobody` serves.
    """
    if os.geteuid() != 0:
        return None
    if user := find(name):
        return user
    if sys.platform == "linux" and (useradd := shutil.which("useradd") or shutil.which("useradd", path="/usr/sbin")):
        argv = [useradd, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        subprocess.run([*argv, "--shell", "/usr/sbin/nologin", name], check=False, capture_output=True)
    return find(name) or find("nobody")


def app_user_name(app: str) -> str:
    """32 bytes is the longest name useradd takes; longer ones end in a hash, so that two apps never share a user."""
    name = f"golive-{app}"
    return name if len(name) <= 32 else f"{name[:25]}-{hashlib.sha256(app.encode()).hexdigest()[:6]}"


def remove(name: str) -> None:
    """Take away a user that `ensure` made. Other users are never touched."""
    if os.geteuid() == 0 and name.startswith("golive-") and find(name):
        userdel = shutil.which("userdel") or shutil.which("userdel", path="/usr/sbin")
        if userdel:
            subprocess.run([userdel, name], check=False, capture_output=True)


def can_reach(user: User, path: Path) -> bool:
    """Whether that user may read (and, for a program or folder, enter) a path, links followed."""
    real = path.resolve()
    if not real.exists():
        return False
    hops = {p for start in (real, path.absolute()) for p in start.parents}
    return all(_allowed(user, hop, stat.S_IXOTH) for hop in hops if hop.exists()) and _allowed(
        user, real, stat.S_IROTH | (stat.S_IXOTH if os.access(real, os.X_OK) else 0)
    )


def _allowed(user: User, path: Path, bits: int) -> bool:
    info = path.stat()
    if info.st_uid == user.uid:
        bits <<= 6
    elif info.st_gid == user.gid or info.st_gid in user.groups:
        bits <<= 3
    return info.st_mode & bits == bits
