"""A host in whose place another one serves: it ends everything that it runs, and says why."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterable
from datetime import timedelta

from golive.errors import Conflict, Fenced, GoliveError, from_json
from golive.home import Home
from golive.release import companions
from golive.release.gateway import EDGE, QUOTA, STATIC
from golive.release.host import Host
from golive.release.resources import unit_name
from golive.system.files import write_atomic
from golive.system.processes import ProcessId, adopt

GRACE = timedelta(seconds=15)
DATA = timedelta(seconds=60)


def note(host: Host, error: Conflict) -> None:
    """Another machine writes the backups. Does it serve as well, this one must not any more, whatever is killed now."""
    host.replaced = str(error)
    if isinstance(error, Fenced) and not host.fenced.is_set():
        write_atomic(host.home.fenced, json.dumps(error.to_json()))
        host.fenced.set()


def read(home: Home) -> GoliveError | None:
    """Why this host serves nothing; None when it may."""
    try:
        return from_json(json.loads(home.fenced.read_text()))
    except FileNotFoundError:
        return None


async def end_all(host: Host) -> int:
    """Every process that any daemon has started: the edge, then apps, then their data. How many there were."""
    known = host.state.processes()
    stores = {unit_name(app.place, row.name) for app in host.state.apps() for row in host.state.resources(app.place)}
    edge = [unit for unit in known if unit in (EDGE, STATIC, QUOTA, *companions.ALL)]
    data = [unit for unit in known if unit in stores or unit.removesuffix("/wal") in stores]
    rest = [unit for unit in known if unit not in edge and unit not in data]
    count = await _end(host, edge, GRACE, signal.SIGTERM)
    count += await _end(host, rest, GRACE, signal.SIGTERM)
    return count + await _end(host, data, DATA, signal.SIGINT)


async def _end(host: Host, units: Iterable[str], grace: timedelta, number: int) -> int:
    async def one(unit: str) -> bool:
        pid, started, _ = host.state.process(unit) or (0, "", 0)
        process = adopt(ProcessId(pid, started)) if pid else None
        if process is not None:
            await process.stop(grace, number)
        host.state.forget_process(unit)
        return process is not None

    return sum(await asyncio.gather(*map(one, units)))
