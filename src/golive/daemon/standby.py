"""The daemon of a standby: it takes over bundles, keeps a server replaying for each database, and serves nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from golive.backup import following
from golive.backup.following import Followed, Seen
from golive.daemon.door import door
from golive.daemon.wiring import build_host
from golive.errors import Conflict, GoliveError, in_words
from golive.home import Home
from golive.release import standby
from golive.release.host import Host
from golive.secret import Secret
from golive.supervise.supervisor import Supervisor
from golive.supervise.unit import Unit
from golive.system import passphrase
from golive.system.offload import Offload

if TYPE_CHECKING:
    from starlette.applications import Starlette

log = logging.getLogger("golive.standby")
NEAR, FAR = 2.0, 10.0
"""Seconds between two looks at a folder, and at a bucket."""
FAR_BEHIND = ("name", "state", "behind_bytes", "behind_seconds", "behind_files", "last_write")
"""What the host that is followed is told of each database."""
REFRESH = (5.0, 15.0)
"""The same for a newer bundle, a newer base backup, and whether the other host is there."""


class StandbyMode:
    """See `golive.daemon.main.Mode`."""

    again = False

    def __init__(self, home: Home) -> None:
        self._home = home
        self._standing = standby.require(home)
        self._supervisor = Supervisor()
        self._offload = Offload(idle=timedelta(seconds=60))
        self._databases: list[Followed] | None = None
        self._listed = ""
        """The bundle that these databases are of."""
        self._seen: dict[str, Seen] = {}
        self._trouble: dict[str, str] = {}
        self._heard: float | None = None
        self._looked: float | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self, shut_down: Callable[[], None]) -> Starlette:
        self._task = asyncio.create_task(self._run())
        return door(self._home, shut_down, self._refusal, {("GET", "/v1/standby"): self.status})

    def _refusal(self) -> GoliveError:
        return Conflict(
            f"this host is a standby of {self._standing.hostname}, and serves nothing itself",
            where=str(self._home.root),
            hint="golive standby status shows how far it is; golive standby promote makes it serve",
        )

    def close(self) -> None:
        if self._task:
            self._task.cancel()

    async def stop(self) -> None:
        """The servers go on, as with any daemon; the next one starts them anew."""
        if self._task:
            await asyncio.gather(self._task, return_exceptions=True)
        await self._supervisor.release()
        await self._offload.close()

    async def _run(self) -> None:
        refreshed = float("-inf")
        near = self._standing.source.to.startswith("/")
        while True:
            if time.monotonic() - refreshed >= REFRESH[not near]:
                refreshed = time.monotonic()
                await self._guarded("host", self._refresh)
            for each in self._databases or []:
                await self._guarded(each.server.label, self._tend, each)
            await asyncio.sleep(NEAR if near else FAR)

    async def _guarded(self, what: str, action: Callable[..., Any], *given: Any) -> None:
        try:
            await action(*given)
        except (GoliveError, OSError, RuntimeError) as error:
            text = in_words(error)
            if self._trouble.get(what) != text:
                log.warning("%s: %s", what, text)
            self._trouble[what] = text
        except Exception:
            log.exception("%s", what)
            self._trouble[what] = f"golive itself failed; {self._home.daemon_log} says more"
        else:
            self._trouble.pop(what, None)

    async def _refresh(self) -> None:
        shown = [self._shown(each) for each in self._databases or []]
        far = tuple({name: value for name, value in each.items() if name in FAR_BEHIND} for each in shown)
        self._standing = await self._offload.call(standby.refresh, self._home, far)
        self._heard = await self._offload.call(standby.heard, self._home)
        self._looked = time.time()
        if self._databases is None or self._standing.bundle != self._listed:
            found = await self._offload.call(_databases, self._home, passphrase.given())
            left = {each.server.label for each in found}
            for gone in (each for each in self._databases or [] if each.server.label not in left):
                await self._supervisor.stop(_unit_name(gone.server.label))
                await standby.drop(gone)
                self._seen.pop(gone.server.label, None)
            self._databases, self._listed = found, self._standing.bundle
        for each in self._databases:
            if each.base is not None and await self._offload.call(standby.is_over, each):
                log.warning("%s: what it followed is over, it begins anew", each.server.label)
                await self._supervisor.stop(_unit_name(each.server.label))
                await following.end(each)
                await self._offload.call(standby.unpack, each)

    async def _tend(self, each: Followed) -> None:
        if each.base is None and not await self._offload.call(standby.unpack, each):
            return
        unit = _unit_name(each.server.label)
        state = self._supervisor.state(unit)
        if state is None or state.over:
            await following.end(each)
            await self._supervisor.start(await _unit(unit, each))
        seen = self._seen[each.server.label] = await self._offload.call(standby.look, each)
        if seen.paused:  # it stands still until it has what its primary has by now
            await self._supervisor.stop(unit)

    async def status(self) -> dict[str, Any]:
        """As JSON: times in seconds since the epoch, sizes in bytes."""
        standing = self._standing
        return {
            "role": "standby",
            "from": standing.source.to,
            "host": standing.source.host,
            "hostname": standing.hostname,
            "apps": list(standing.apps),
            "since": standing.begun,
            "bundle": {"id": standing.bundle, "made": standing.made},
            "heard": self._heard,
            "alive": self._heard is not None and time.time() - self._heard < standby.LIFE,
            "looked": self._looked,
            "databases": [self._shown(each) for each in self._databases or []],
            "trouble": dict(self._trouble),
        }

    def _shown(self, each: Followed) -> dict[str, Any]:
        seen, label = self._seen.get(each.server.label), each.server.label
        state = self._supervisor.state(_unit_name(label))
        follows = seen is not None and state is not None and not state.over
        word = "waits for a backup" if each.base is None else "follows" if follows else "starts"
        found: dict[str, Any] = {"name": label, "state": word, "trouble": self._trouble.get(label)}
        if seen is None:
            return found | {"backup": None, "behind_bytes": None, "behind_seconds": None, "behind_files": None}
        late = time.time() - seen.last if seen.last and seen.behind else 0.0
        return found | {
            "backup": seen.base,
            "behind_bytes": seen.behind,
            "behind_seconds": round(late, 1),
            "behind_files": seen.files,
            "last_write": seen.last,
            "arrived": seen.came,
        }


async def _unit(name: str, each: Followed) -> Unit:
    async def before_start() -> None:
        await following.end(each)

    return Unit(
        name, await following.spec(each), restart="always", stop_timeout=timedelta(seconds=60), stop_signal=2,
        before_start=before_start,
    )  # fmt: skip


def _unit_name(label: str) -> str:
    return f"{label}/standby"


def open_host(home: Home) -> Host:
    return build_host(home)[0]


async def _databases(home: Home, known: Secret | None) -> list[Followed]:
    passphrase.hand_over(known)
    return await standby.databases(home, lambda: open_host(home))
