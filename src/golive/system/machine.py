"""The machine as a program on it may use it: cores and memory after control groups, the C library, free disk."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
UNLIMITED = 1 << 60
"""Control groups of version 1 say "no limit" with a number near 2^63."""


@dataclass(frozen=True)
class Machine:
    """`cores` may be a fraction (a quota), `memory` is bytes; both after the control group's limit.

    `os` is linux or macos, `arch` x86_64 or aarch64 (arm64 on macOS is aarch64 here), `libc` glibc, musl or system.
    """

    cores: float
    memory: int
    os: str
    arch: str
    libc: str
    libc_version: tuple[int, ...] = ()

    @property
    def platform(self) -> str:
        return f"{self.os}-{self.arch}"

    @property
    def libc_text(self) -> str:
        return f"{self.libc} {'.'.join(map(str, self.libc_version))}".strip()


def inspect() -> Machine:
    """What this machine has now."""
    name = {"darwin": "macos"}.get(sys.platform, sys.platform)
    arch = {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    libc, version = _libc()
    return Machine(_cores(), _memory(), name, arch, libc, version)


def free_disk(path: Path) -> int:
    """Bytes that may still be written where `path` is or will be."""
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


def _libc() -> tuple[str, tuple[int, ...]]:
    if sys.platform != "linux":
        return "system", ()
    with contextlib.suppress(ValueError, OSError):
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        if name == "glibc":
            return name, tuple(int(part) for part in version.split(".")[:2])
    return "musl", ()


def _cores() -> float:
    count = float(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else float(os.cpu_count() or 1)
    quota = _quota()
    return min(count, quota) if quota else count


def _quota() -> float | None:
    """Cores allowed by the control group, the smallest on the way up."""
    quotas = []
    for group in _groups("cpu"):
        with contextlib.suppress(OSError, ValueError):
            allowed, period = (group / "cpu.max").read_text().split()
            if allowed != "max":
                quotas.append(int(allowed) / int(period))
        with contextlib.suppress(OSError, ValueError):
            allowed_us = int((group / "cpu.cfs_quota_us").read_text())
            if allowed_us > 0:
                quotas.append(allowed_us / int((group / "cpu.cfs_period_us").read_text()))
    return min(quotas, default=None)


def _memory() -> int:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [total]
    for group in _groups("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with contextlib.suppress(OSError, ValueError):
                limits.append(int((group / name).read_text()))
    return min(limit for limit in limits if limit < UNLIMITED)


def _groups(controller: str) -> list[Path]:
    """This process's control group and those above it: a limit on any of them binds.

    Inside a container the path in /proc is the host's and the group's files are at the root of the mount.
    """
    found: list[Path] = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            root = CGROUP / controller if controllers else CGROUP
            place = root / path.lstrip("/")
            found += [place, *(p for p in place.parents if p.is_relative_to(root))]
    return [group for group in dict.fromkeys([*found, CGROUP, CGROUP / controller]) if group.is_dir()]
