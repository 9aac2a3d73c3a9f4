"""What clients may ask of the traffic: who gets how much of it, and the end of a canary."""

from __future__ import annotations

from typing import Any

from golive.daemon import api
from golive.daemon.daemon import Daemon
from golive.errors import UsageError
from golive.release import steering
from golive.state.records import Place


def view(daemon: Daemon, place: Place) -> dict[str, Any]:
    return steering.view(daemon.host, place)


async def steer(daemon: Daemon, call: api.TrafficCall, actor: str) -> dict[str, Any]:
    if call.service is None:
        if call.over is not None:
            raise UsageError("a canary goes by its own steps", hint="`over` is about a service that replaces another")
        return await steering.hold(daemon.host, call.place, call.percent, actor)
    if call.percent is None:
        raise UsageError(f"which share is {call.service} to get?", hint=f"golive traffic {call.service}=20%")
    found = await steering.shift(daemon.host, call.place, call.service, call.percent, call.over, actor)
    daemon.upkeep.wake()  # so that it knows when the next percent is due
    return found


async def end_canary(daemon: Daemon, call: api.RollbackCall, actor: str) -> dict[str, Any] | None:
    """Going back while a canary is under way is its end, at once: `{"canary": …, "live": …}`.

    None when there is none, or it is live by now, or another release is asked for.
    """
    trial = daemon.host.trials.get(call.place)
    if trial is None or not await daemon.cancel(trial.deployment, actor):
        return None
    if call.release not in (None, trial.before):
        return None
    return {"canary": trial.release, "live": trial.before}
