"""The daemon of a host in whose place another one serves: it ends all that runs, and says so to whoever asks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from golive.daemon.door import door
from golive.daemon.wiring import build_host
from golive.errors import Conflict, GoliveError
from golive.home import Home
from golive.release import fence, host_bundle

if TYPE_CHECKING:
    from starlette.applications import Starlette

log = logging.getLogger("golive.fenced")


class FencedMode:
    """See `golive.daemon.main.Mode`."""

    again = False

    def __init__(self, home: Home) -> None:
        self._host, _ = build_host(home)
        self._shut_down: Callable[[], None] = lambda: None

    async def open(self, shut_down: Callable[[], None]) -> Starlette:
        self._shut_down = shut_down
        log.warning("%s", self._refusal())
        if count := await fence.end_all(self._host):
            log.warning("%d processes ended", count)
        more = {("POST", "/v1/backups/take-over"): self._take_over}
        return door(self._host.home, shut_down, self._refusal, more)

    def _refusal(self) -> GoliveError:
        return fence.read(self._host.home) or Conflict("this host begins to serve again", hint="try again in a moment")

    async def _take_over(self) -> dict[str, Any]:
        """This machine is the one from now on; the other one is told in the same way."""
        found = host_bundle.locations(self._host)
        for _, repository in found.values():
            await host_bundle.take_over(self._host.offload, self._host.home, repository.location())
        self._host.state.audit("golive", "backup.take-over", None)
        self._host.home.fenced.unlink(missing_ok=True)
        self.again = True
        self._shut_down()
        return {"places": list(found)}

    def close(self) -> None:
        """Nobody follows anything here."""

    async def stop(self) -> None:
        await self._host.offload.close()
        self._host.state.close()
