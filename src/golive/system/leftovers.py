"""Processes that a killed server left behind, found by the data directory they work in.

PostgreSQL's and Redis's processes all have their data directory as working directory. After `kill -9` of a postmaster
its backends go on until they notice (one in a long query does not), and a new postmaster refuses to start while they
hold the old shared memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from pathlib import Path

import psutil


def working_in(folder: Path, programs: Sequence[str]) -> list[psutil.Process]:
    """The processes of those programs (by the start of their name) whose working directory is `folder`."""
    found = []
    real = str(folder.resolve())
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error, OSError):
            if (process.info["name"] or "").startswith(tuple(programs)) and process.cwd() == real:
                found.append(process)
    return found


async def end(processes: Sequence[psutil.Process], number: int, grace: float) -> None:
    """`number` to each, SIGKILL to what is there after `grace` seconds; returns when all are gone."""
    for each, seconds in ((number, grace), (signal.SIGKILL, 5.0)):
        # psutil refuses to signal a number that belongs to another process by now.
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.send_signal(each)
        _, processes = await asyncio.to_thread(psutil.wait_procs, processes, seconds)
        if not processes:
            return
