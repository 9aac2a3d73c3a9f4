"""Replacing the edge's own processes after an upgrade of golive, without a refused connection.

Envoy hands its sockets to a successor (hot restart): the old one answers what it has begun and ends by itself. The
static server's successor takes over its socket's path; the old one is told to stop once the new one listens.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import psutil

from golive.edge.edge import Edge
from golive.errors import StartFailed
from golive.supervise.supervisor import Supervisor
from golive.supervise.unit import Unit
from golive.system.processes import ProcessId, adopt

READY = timedelta(seconds=30)
STOP = timedelta(seconds=15)


@dataclass(frozen=True)
class Running:
    """An Envoy that runs: what a successor has to know of it."""

    epoch: int
    base_id: int


def command_line(pid: int) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).cmdline()
    return []


def running_envoy(argv: Sequence[str]) -> Running | None:
    """Pure: from its arguments. None when they are not those of an Envoy that can be succeeded."""
    if "--disable-hot-restart" in argv:
        return None
    values = dict(pairwise(argv))
    try:
        return Running(int(values.get("--restart-epoch", 0)), int(values["--base-id"]))
    except (KeyError, ValueError):
        return None


def is_outdated(argv: Sequence[str], wanted: Sequence[str]) -> bool:
    """Pure: whether a process is not what `wanted`, which may begin with a launcher's words, would start."""
    have = _steady(argv)
    return bool(have) and have != _steady(wanted)[-len(have) :]


def _steady(argv: Sequence[str]) -> list[str]:
    """Without what differs from one start of Envoy to the next."""
    kept, skip = [], False
    for word in argv:
        if skip or word in ("--restart-epoch", "--base-id"):
            skip = not skip
            continue
        kept.append(word)
    return kept


async def renew_envoy(edge: Edge, supervisor: Supervisor, name: str, old: ProcessId) -> None:
    """A successor of the running Envoy; a plain restart where the old one cannot hand over."""
    running = running_envoy(command_line(old.pid))
    if running is None:
        process = adopt(old)
        if process:
            await process.stop(STOP)
        await supervisor.start(envoy_unit(edge, name, Running(0, edge.base_id)))
        return
    await supervisor.start(envoy_unit(edge, name, Running(running.epoch + 1, running.base_id)))
    if not await edge.wait_ready(READY):
        raise StartFailed("the new Envoy does not become ready", hint=f"look at {edge.layout.log}")
    # Should it die, a fresh one starts: under another base id, since the old one may still be draining under this.
    supervisor.update(envoy_unit(edge, name, Running(0, running.base_id ^ 1)))


def envoy_unit(edge: Edge, name: str, which: Running) -> Unit:
    spec = edge.process_spec(epoch=which.epoch, base_id=which.base_id)
    return Unit(name, spec, stop_timeout=timedelta(seconds=5))


async def renew_static(supervisor: Supervisor, unit: Unit, socket: Path, old: ProcessId) -> None:
    """The new server listens at the socket's path before the old one is told to end."""
    before = socket.stat().st_ino if socket.exists() else None
    await supervisor.start(unit)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + READY.total_seconds()
    while not socket.exists() or socket.stat().st_ino == before:
        if loop.time() > deadline:
            raise StartFailed("the new static server does not listen", hint=f"look at {unit.spec.output}")
        await asyncio.sleep(0.02)
    process = adopt(old)
    if process:
        await process.stop(STOP)
