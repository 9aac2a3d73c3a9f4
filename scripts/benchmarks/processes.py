"""Starting the programs under test, and what their process trees cost."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil


class NotReadyError(Exception):
    """A program did not do what it was started for."""


def free_port() -> int:
    """Below the range that the kernel takes for connections out, so that it stays free until it is used."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def running(argv: list[str], log: Path, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A program for the time of the block; ended with SIGTERM, then SIGKILL, children included."""
    with log.open("ab") as output:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env)
    try:
        yield process
    finally:
        tree = family([process.pid])
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for member in tree:
            if member.is_running():
                member.kill()


def wait_for(what: str, condition: Callable[[], bool], seconds: float = 20, log: Path | None = None) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:]) if log and log.exists() else ""
            raise NotReadyError(f"{what}: not within {seconds:.0f} s\n{tail}".rstrip())
        time.sleep(0.02)


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def family(roots: Iterable[int]) -> list[psutil.Process]:
    members: dict[int, psutil.Process] = {}
    for pid in roots:
        try:
            root = psutil.Process(pid)
            members.update({member.pid: member for member in (root, *root.children(recursive=True))})
        except psutil.NoSuchProcess:
            continue
    return list(members.values())


def cpu_seconds(roots: Iterable[int]) -> float:
    """User and system time of process trees so far."""
    total = 0.0
    for member in family(roots):
        try:
            times = member.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def resident(roots: Iterable[int]) -> int:
    """Bytes of memory of process trees; shared pages count in each process."""
    total = 0
    for member in family(roots):
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total
