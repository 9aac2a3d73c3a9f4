"""Processes beside the edge that only some apps need: each runs while a route leads to it, and not otherwise.

None of them is in the way of a request when it is dead, so nobody waits for one to be ready.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import golive
from golive.edge.edge import Edge
from golive.edge.model import EdgeConfig
from golive.home import Home
from golive.release.renewal import command_line, is_outdated, renew_static
from golive.supervise.supervisor import Supervisor
from golive.supervise.unit import Unit
from golive.system import users
from golive.system.processes import Limits, ProcessId, Spec
from golive.system.users import User

CACHE, IMAGES = "cache", "images"
ALL = (CACHE, IMAGES)
"""Units that may be there beside the edge and the static server."""


def own_unit(name: str, module: str, arguments: tuple[str, ...], home: Home, user: User | None) -> Unit:
    """A program of golive's own, as the engines' user where that user can read golive's code, else as golive's."""
    package = Path(golive.__file__).parent
    if user and not (users.can_reach(user, Path(sys.executable)) and users.can_reach(user, package)):
        user = None
    spec = Spec(
        argv=(sys.executable, "-m", module, *arguments, "--version", golive.__version__),
        env={"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"},
        cwd=home.artifacts,
        output=home.root / f"{name}.log",
        user=user,
        limits=Limits(files=16384),
        name=name,
    )
    return Unit(name, spec, stop_timeout=timedelta(seconds=15))


@dataclass
class Companions:
    """`alive` is the process that an earlier daemon left running for a unit."""

    home: Home
    edge: Edge
    supervisor: Supervisor
    alive: Callable[[str], ProcessId | None]
    user: User | None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _looked: set[str] = field(default_factory=set)

    async def start(self, config: EdgeConfig) -> None:
        """Those that it needs; before it is applied."""
        async with self._lock:
            for name in wanted(config):
                await self._start(name)

    async def stop(self, config: EdgeConfig) -> None:
        """Those that it does not need; after it was applied."""
        async with self._lock:
            for name in set(ALL) - wanted(config):
                if name not in self._looked and (before := self.alive(name)):
                    self.supervisor.adopt(self._unit(name), before)
                self._looked.add(name)
                if self.supervisor.state(name) is not None:
                    await self.supervisor.stop(name)

    async def _start(self, name: str) -> None:
        if self.supervisor.state(name) is not None:
            return
        self._looked.add(name)
        unit, before = self._unit(name), self.alive(name)
        if before is None:
            await self.supervisor.start(unit)
        elif is_outdated(command_line(before.pid), unit.spec.argv):
            await renew_static(self.supervisor, unit, self._socket(name), before)
        else:
            self.supervisor.adopt(unit, before)

    def _socket(self, name: str) -> Path:
        return {CACHE: self.edge.layout.cache, IMAGES: self.edge.layout.images}[name]

    def _unit(self, name: str) -> Unit:
        layout = self.edge.layout
        module = {CACHE: "golive.edge.cache_server", IMAGES: "golive.edge.image_server"}[name]
        arguments = {
            CACHE: ("--origin", str(layout.origin)),
            IMAGES: ("--inside", str(layout.images.parent), "--folder", str(layout.directory / "images")),
        }[name]
        where = ("--socket", str(self._socket(name)), "--mode", "666")
        return own_unit(name, module, (*arguments, *where), self.home, self.user)


def wanted(config: EdgeConfig) -> set[str]:
    """Pure: the units that a configuration needs."""
    return {name for name, needed in ((CACHE, config.caches), (IMAGES, config.pictures)) if needed}
