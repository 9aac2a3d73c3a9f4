"""Bundles of this host by themselves: after every change that lasts, and once a day, to each place of its backups."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass, field
from datetime import timedelta

from golive.backup import keyring
from golive.backup.repository import Repository
from golive.errors import Conflict, GoliveError
from golive.release import fence, host_bundle
from golive.release.host import Host
from golive.state.records import Place
from golive.system.files import write_atomic
from golive.system.offload import Offload

log = logging.getLogger("golive.bundles")
LOOK = 2.0
"""Seconds between two looks at whether anything has changed."""
QUIET = 3.0
"""Seconds without a change before one is made: changes come in rows."""
DAY = 86400.0
CHECK = 600.0
"""Seconds between two looks at whether another machine has taken over."""
FOLLOWED = 15.0
"""The same while a standby follows, which wants to hear of this host, and may take over."""
AGAIN = (60.0, 3600.0)
"""Seconds until what failed is tried again: at first, and at most."""


@dataclass
class _Place:
    """A location, as this daemon has seen it. Times are monotonic but for what is kept in the file."""

    has: object = None
    """What the newest bundle knows of, see `State.last_change`."""
    failures: int = 0
    not_before: float = 0.0


@dataclass
class HostBundles:
    """Runs for the daemon's life."""

    host: Host
    _places: dict[str, _Place] = field(default_factory=dict)
    _last: object = None
    _since: float = 0.0
    _checked: float = -CHECK
    _asking: Offload = field(default_factory=lambda: Offload(idle=timedelta(0)))

    async def run(self) -> None:
        while True:
            if time.monotonic() - self._checked >= (FOLLOWED if self.host.home.followed.exists() else CHECK):
                await self.check()
                self.host.asked.set()
            await asyncio.sleep(LOOK)
            if self.host.replaced:
                continue
            change = self.host.state.last_change()
            if change != self._last:
                self._last, self._since = change, time.monotonic()
            if time.monotonic() - self._since < QUIET or self.host.state.unfinished_deployments():
                continue
            for to, (place, repository) in host_bundle.locations(self.host).items():
                seen = self._places.setdefault(to, _Place())
                thorough = time.time() - self._kept().get(to, {}).get("thorough", 0) >= DAY
                if (seen.has != change or thorough) and time.monotonic() >= seen.not_before:
                    await self._make(to, place, repository, seen, thorough=thorough)

    async def check(self) -> None:
        """Whether this machine is still the one that writes. Where it cannot be asked, it is."""
        self._checked = time.monotonic()
        offload = self._asking
        said = None
        try:
            found = [repository.location() for _, repository in host_bundle.locations(self.host).values()]
            followed = [await host_bundle.check(offload, self.host.home, location) for location in found]
            self.host.followers = list({each.machine: each for some in followed for each in some}.values())
            self._note_followed(bool(self.host.followers))
        except Conflict as error:
            said = str(error)
            if self.host.replaced is None:
                log.warning("%s: %s", error, error.why)
            fence.note(self.host, error)
        except (GoliveError, RuntimeError, OSError) as error:
            log.warning("whether another machine has taken over cannot be seen: %s", error)
            said = self.host.replaced
        self.host.replaced = said

    def _note_followed(self, followed: bool) -> None:
        """In the home: the next daemon asks whether it may serve before it does. The process that asks stays as long
        as it is needed every few seconds."""
        if not followed:
            self.host.home.followed.unlink(missing_ok=True)
        self._asking.idle = timedelta(seconds=FOLLOWED * 2 if followed else 0)

    async def stop(self) -> None:
        await self._asking.close()

    async def take_over(self) -> list[str]:
        """This machine writes from now on; where."""
        found = host_bundle.locations(self.host)
        for _, repository in found.values():
            await host_bundle.take_over(self.host.offload, self.host.home, repository.location())
        self.host.replaced = None
        self._places.clear()
        return list(found)

    async def _make(self, to: str, place: Place, repository: Repository, seen: _Place, *, thorough: bool) -> None:
        change, now = self._last, time.time()
        offload = Offload(idle=timedelta(0))
        try:
            key = keyring.current(self.host.home.backup_keys)
            made = await host_bundle.make(
                offload, self.host.home, repository.location(), key, lambda _: None, thorough=thorough
            )
        except Conflict as error:
            fence.note(self.host, error)
            return
        except (GoliveError, RuntimeError, OSError) as error:
            seen.failures += 1
            seen.not_before = time.monotonic() + min(AGAIN[0] * 2 ** min(seen.failures - 1, 10), AGAIN[1])
            text = f"this host is not in {to} as it is now: {error}"
            if self.host.backup_trouble.get((place, host_bundle.NAME)) != text:
                log.warning(text)
            self.host.backup_trouble[place, host_bundle.NAME] = text
            return
        finally:
            await offload.close()
        seen.has, seen.failures = change, 0
        self.host.backup_trouble.pop((place, host_bundle.NAME), None)
        known = self._kept()
        since = now if thorough else known.get(to, {}).get("thorough", 0)
        kept = known | {to: {"host": made.host, "id": made.id, "made": now, "thorough": since}}
        write_atomic(self.host.home.bundles, json.dumps(kept, indent=2))
        log.info("bundle %s of this host is in %s", made.id, to)

    def _kept(self) -> dict[str, dict[str, float]]:
        try:
            found: dict[str, dict[str, float]] = json.loads(self.host.home.bundles.read_text())
        except (OSError, ValueError):
            return {}
        return found
