"""The daemon of a host that serves, until it sees that another one does in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from golive.daemon.daemon import Daemon
from golive.daemon.server import Server
from golive.daemon.wiring import build_host
from golive.home import Home

if TYPE_CHECKING:
    from starlette.applications import Starlette

PATIENCE = 20.0
"""Seconds for the place of the backups to say whether another host serves; one that is away does not keep this one
from serving."""


class ServingMode:
    """See `golive.daemon.main.Mode`."""

    again = False

    def __init__(self, home: Home) -> None:
        self._host, wires = build_host(home)
        self._daemon = Daemon(self._host, wires)
        self._door: Server | None = None
        self._watching: asyncio.Task[None] | None = None

    async def open(self, shut_down: Callable[[], None]) -> Starlette | None:
        """A host that a standby follows asks before anything of it runs."""
        if self._host.home.followed.exists():
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._daemon.bundles.check()
            except TimeoutError:
                pass
            if self._host.fenced.is_set():
                return None
        await self._daemon.start()
        self._door = Server(self._daemon, shut_down)
        self._watching = asyncio.create_task(self._end_when_fenced(shut_down))
        return self._door.app()

    async def _end_when_fenced(self, shut_down: Callable[[], None]) -> None:
        await self._host.fenced.wait()
        self.again = True
        shut_down()

    def close(self) -> None:
        if self._watching:
            self._watching.cancel()
        if self._door:
            self._door.close()

    async def stop(self) -> None:
        await self._daemon.stop()
