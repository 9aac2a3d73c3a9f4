"""What clients may ask for to close and open: maintenance of an environment, services suspended and resumed, links."""

from __future__ import annotations

from typing import Any

from golive.daemon import api
from golive.daemon.daemon import Daemon
from golive.errors import Conflict, NotFound
from golive.release import maintenance, passing, suspension
from golive.state.records import Place


class Closures:
    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._host = daemon.host

    def maintenance(self, place: Place) -> dict[str, Any]:
        if self._host.state.app(place) is None:
            raise NotFound(f"there is no {place}", hint="golive status lists what there is")
        return maintenance.view(self._host, place) or {"on": False}

    def links(self, place: Place, actor: str) -> dict[str, Any]:
        """By which a protected environment opens; the audit log keeps who has seen them."""
        found = passing.links(self._host, place)
        if found:
            self._host.state.audit(actor, "link.show", place)
        return {"links": found}

    def entry(self, place: Place, actor: str) -> dict[str, Any]:
        """By which golive's own commands ask a protected environment; `cookie` is a secret."""
        found = passing.entry(self._host, place)
        if found is None:
            return {"urls": [], "cookie": None}
        self._host.state.audit(actor, "link.use", place)
        return {"urls": found[0], "cookie": found[1]}

    async def turn_on(self, call: api.MaintenanceCall, actor: str) -> dict[str, Any]:
        """At any time, also in the middle of a deployment: that goes on behind it."""
        wish = maintenance.Wish(call.services, call.until, call.message, call.page, call.allow)
        found = await maintenance.turn_on(self._host, call.place, wish, actor)
        self._daemon.upkeep.wake()  # so that it knows when it has to end it
        return found

    async def turn_off(self, call: api.PlaceCall, actor: str) -> dict[str, Any]:
        return await maintenance.turn_off(self._host, call.place, actor)

    async def suspend(self, call: api.ServicesCall, actor: str) -> dict[str, Any]:
        self._idle(call.place)
        found = await suspension.suspend(self._host, call.place, call.services, actor)
        self._daemon.upkeep.wake()
        return found

    async def resume(self, call: api.ServicesCall, actor: str) -> dict[str, Any]:
        self._idle(call.place)
        return await suspension.resume(self._host, call.place, call.services, actor)

    def _idle(self, place: Place) -> None:
        if self._daemon.is_busy(place):
            hint = "try again when it has ended: golive status"
            raise Conflict(f"a deployment of {place} is under way", hint=hint)
