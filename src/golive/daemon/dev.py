"""Sessions of `golive dev`: resources and routes that last as long as their client reads.

The kernel closes a client's connection however it ends, so nothing outlives a kill: what the client had started is
ended by the record it kept, its routes go, its resources stop and keep their data.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golive.daemon import api
from golive.dev.leftovers import end_left_behind, record_path
from golive.errors import Conflict
from golive.release.dev import DevEnvironment, Wanted, prepare, stop_resources
from golive.release.traffic import edge_config
from golive.state.records import DeploymentState, Place

if TYPE_CHECKING:
    from golive.daemon.daemon import Daemon

log = logging.getLogger("golive.dev")
DEVELOPMENT = "development"
"""The environment of `golive dev`. Without a release it needs no edge while nobody develops."""
GRACE = 15.0
"""Seconds that a client has to come back after the daemon was killed, before its resources are stopped."""
LOOK = 0.02
"""Seconds between two looks whether a session has closed."""


@dataclass(frozen=True)
class _Open:
    """A session by the name that its client gave it; `ended` when it closes."""

    name: str
    ended: asyncio.Event


class DevSessions:
    """One per environment. `stopping`: the daemon ends, and what runs goes on without it."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._host = daemon.host
        self._open: dict[Place, _Open] = {}
        self._ends: set[asyncio.Task[None]] = set()
        self.stopping = False

    def is_open(self, place: Place) -> bool:
        return place in self._open

    async def session(self, call: api.DevCall, actor: str) -> AsyncIterator[dict[str, Any]]:
        """What is fetched, then what the developer's processes get, then nothing until the client goes.

        Conflict when the environment is in use already; else what `prepare` raises.
        """
        place = call.place
        while place in self._open and self._open[place].ended.is_set():
            await asyncio.sleep(LOOK)
        self._refuse(place)
        ended = asyncio.Event()
        self._open[place] = _Open(call.session, ended)
        lines: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        work = asyncio.create_task(self._prepare(call, actor, lines))
        work.add_done_callback(lambda _: lines.put_nowait({"type": "prepared"}))
        try:
            while (line := await lines.get())["type"] != "prepared":
                yield line
            yield self._answer(work.result())
            await ended.wait()
        finally:
            ended.set()
            if not self.stopping:
                task = asyncio.create_task(self._close(place, work))
                self._ends.add(task)
                task.add_done_callback(self._ends.discard)

    async def end(self, call: api.EndDevCall) -> dict[str, Any]:
        """Ended on purpose; returns when everything of it is gone. `idle`: nothing else needs this daemon."""
        while (session := self._open.get(call.place)) and session.name == call.session:
            session.ended.set()
            await asyncio.sleep(LOOK)
        return {"idle": self._idle()}

    async def sweep(self) -> None:
        """After a start: what an earlier daemon had started for a client that does not come back."""
        left = [a.place for a in self._host.state.apps() if a.live is None and a.place.environment == DEVELOPMENT]
        if not left:
            return
        await asyncio.sleep(GRACE)
        for place in left:
            app = self._host.state.app(place)
            if place not in self._open and app is not None and app.live is None and not self._daemon.is_busy(place):
                await end_left_behind(record_path(self._host.home, *place))
                await stop_resources(self._host, place)
        await self._close_edge()

    def _refuse(self, place: Place) -> None:
        app = self._host.state.app(place)
        if place in self._open:
            raise Conflict(f"golive dev of {place.app} runs already", hint="end it there with Ctrl-C, then try again")
        if app is not None and app.live is not None:
            hint = f"golive down --app {place.app} -e {place.environment} stops it and keeps its data"
            raise Conflict(f"a release is live in {place}", hint=hint)
        if self._daemon.is_busy(place) or self._host.changing(place).locked():
            raise Conflict(f"a deployment of {place} is under way", hint="wait for it, or cancel it")

    async def _prepare(self, call: api.DevCall, actor: str, lines: asyncio.Queue[dict[str, Any]]) -> DevEnvironment:
        def progress(what: Any) -> None:
            lines.put_nowait({"type": "progress", "what": what.name, "done": what.done, "total": what.total})

        wanted = Wanted(call.place, Path(call.checkout), actor, call.services, call.ports, call.grpc_ports)
        await self._daemon.open_gateway(progress)
        found = await prepare(self._host, wanted, progress)
        self._host.dev[call.place] = found.site
        await self._host.gateway.apply(edge_config(self._host))
        return found

    def _answer(self, found: DevEnvironment) -> dict[str, Any]:
        """As JSON. With `exec` the only answer that holds secrets."""
        gateway, site = self._host.gateway, found.site
        https = site.blueprint.edge.https
        return {
            "type": "ready",
            "urls": {domain: gateway.url(domain, https=https) for domain in site.domains},
            "ports": dict(site.ports),
            "grpc_ports": dict(site.grpc_ports),
            "environments": {s: {n: v.reveal() for n, v in e.items()} for s, e in found.environments.items()},
            "secret_names": sorted(found.secret_names),
            "resources": {name: report.version for name, report in found.reports.items()},
            "notes": [*gateway.notes, *found.notes],
            "database_url": found.database_url.reveal() if found.database_url else None,
            "ca": str(gateway.authority.ensure()),
        }

    async def _close(self, place: Place, work: asyncio.Task[DevEnvironment]) -> None:
        work.cancel()
        await asyncio.wait([work])
        try:
            await end_left_behind(record_path(self._host.home, *place))
            if self._host.dev.pop(place, None) and self._host.opened is not None:
                await self._host.gateway.apply(edge_config(self._host))
            await stop_resources(self._host, place)
        except Exception:
            log.exception("ending golive dev of %s", place)
        finally:
            del self._open[place]
        await self._close_edge()

    async def _close_edge(self) -> None:
        """Opened for development only, it ends with it."""
        if self._idle() and self._host.opened is not None:
            with contextlib.suppress(Exception):
                await self._daemon.close_gateway()

    def _idle(self) -> bool:
        """Nothing is live, nothing is deployed, nobody develops."""
        live = any(app.live is not None for app in self._host.state.apps())
        busy = any(
            d.state in (DeploymentState.QUEUED, DeploymentState.RUNNING)
            for d in self._host.state.unfinished_deployments()
        )
        return not (live or busy or self._open)

    async def settle(self) -> None:
        """Ends that are under way are waited for: the daemon is about to go."""
        if self._ends:
            await asyncio.wait(self._ends)
