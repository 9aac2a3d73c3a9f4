"""Control groups: memory and CPU limits where the kernel lets us set them (version 2, or 1 as root), else nothing.

Where this returns None, memory is watched by the supervisor instead and CPU is not limited; `available` says so.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import secrets
import sys
import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


@functools.cache
def version() -> int | None:
    """2, 1, or None when this process may not make groups."""
    if sys.platform != "linux":
        return None
    if (ROOT / "cgroup.controllers").exists():
        base = _own_v2()
        return 2 if base and _writable_v2(base) else None
    memory, cpu = ROOT / "memory", ROOT / "cpu"
    return (
        1 if os.access(memory, os.W_OK) and os.access(cpu, os.W_OK) and memory.is_dir() and os.geteuid() == 0 else None
    )


def available() -> bool:
    return version() is not None


def create(name: str, memory: int | None, cpu: float | None) -> str | None:
    """A group for one process tree, or None where there is nothing to limit or no way to."""
    if (memory is None and cpu is None) or version() is None:
        return None
    group = f"golive-{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')[:40]}-{secrets.token_hex(4)}"
    try:
        if version() == 2:
            _create_v2(group, memory, cpu)
        else:
            _create_v1(group, memory, cpu)
    except OSError:
        remove(group)
        return None
    return group


def _create_v1(group: str, memory: int | None, cpu: float | None) -> None:
    if memory is not None:
        (ROOT / "memory" / group).mkdir()
        (ROOT / "memory" / group / "memory.limit_in_bytes").write_text(str(memory))
    if cpu is not None:
        (ROOT / "cpu" / group).mkdir()
        (ROOT / "cpu" / group / "cpu.cfs_quota_us").write_text(str(int(cpu * 100_000)))


def _create_v2(group: str, memory: int | None, cpu: float | None) -> None:
    base = _own_v2() or ROOT
    (base / group).mkdir()
    if memory is not None:
        (base / group / "memory.max").write_text(str(memory))
        with contextlib.suppress(OSError):
            (base / group / "memory.swap.max").write_text("0")
    if cpu is not None:
        (base / group / "cpu.max").write_text(f"{int(cpu * 100_000)} 100000")


def task_files(group: str | None) -> list[str]:
    """The files a process writes its own number to, to enter the group."""
    return [str(directory / "cgroup.procs") for directory in _directories(group)]


def members(group: str | None) -> list[int]:
    """The processes in the group now, those that left the session too."""
    found: set[int] = set()
    for directory in _directories(group):
        with contextlib.suppress(OSError):
            found |= {int(pid) for pid in (directory / "cgroup.procs").read_text().split()}
    return sorted(found)


def limits_memory(group: str | None) -> bool:
    """Whether the kernel itself holds the group to a memory limit."""
    return any((d / "memory.max").exists() or (d / "memory.limit_in_bytes").exists() for d in _directories(group))


def change(group: str | None, memory: int) -> None:
    """A new memory limit for a running group. OSError when the kernel refuses: more is in use than that."""
    for directory in _directories(group):
        for name in ("memory.max", "memory.limit_in_bytes"):
            if (directory / name).exists():
                (directory / name).write_text(str(memory))


def out_of_memory(group: str | None) -> bool:
    """Whether the kernel killed something in the group for memory."""
    for directory in _directories(group):
        for name, key in (("memory.events", "oom_kill"), ("memory.oom_control", "oom_kill")):
            with contextlib.suppress(OSError):
                counts = dict(line.split() for line in (directory / name).read_text().splitlines())
                if int(counts.get(key, 0)) > 0:
                    return True
    return False


def remove(group: str | None) -> None:
    """Blocks for up to a second: what was killed a moment ago may still be counted in the group."""
    for directory in _directories(group):
        for _ in range(50):
            try:
                directory.rmdir()
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.02)
            else:
                break


def sweep(age: float = 60.0) -> None:
    """Remove the empty groups of processes that ended while nobody watched.

    Younger ones (`age` in seconds) are left: another golive may be about to start a process in them.
    """
    base = _own_v2()
    for place in (ROOT / "memory", ROOT / "cpu", *([base] if base else [])):
        for directory in place.glob("golive-*"):
            with contextlib.suppress(OSError):
                if time.time() - directory.stat().st_mtime > age:
                    directory.rmdir()  # refused while anything is in it


def group_of(pid: int) -> str | None:
    """The golive group a running process is in."""
    with contextlib.suppress(OSError):
        match = re.search(r"/(golive-[a-z0-9-]+)$", Path(f"/proc/{pid}/cgroup").read_text(), re.MULTILINE)
        return match[1] if match else None
    return None


def _directories(group: str | None) -> list[Path]:
    if not group:
        return []
    base = _own_v2()
    places = [ROOT / "memory" / group, ROOT / "cpu" / group, *([base / group] if base else [])]
    return [place for place in places if place.is_dir()]


@functools.cache
def _own_v2() -> Path | None:
    """The group in which children may be made: the delegated parent of our own, or the root for root."""
    if not (ROOT / "cgroup.controllers").exists():
        return None
    if os.geteuid() == 0:
        return ROOT
    with contextlib.suppress(OSError, IndexError):
        own = Path("/proc/self/cgroup").read_text().split("0::", 1)[1].split()[0]
        return (ROOT / own.lstrip("/")).parent
    return None


def _writable_v2(base: Path) -> bool:
    with contextlib.suppress(OSError):
        control = base / "cgroup.subtree_control"
        missing = {"memory", "cpu"} - set(control.read_text().split())
        if missing:
            control.write_text(" ".join(f"+{name}" for name in missing))
        return os.access(base, os.W_OK)
    return False
