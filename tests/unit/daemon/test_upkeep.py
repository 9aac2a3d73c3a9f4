"""Housekeeping: each chore at its time, none in another's way, and loops that come back."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from daemon_fakes import Running
from release_fakes import SHOP, WEB, blueprint

from golive.daemon import daemon as daemon_module
from golive.daemon import upkeep as module
from golive.daemon.upkeep import BUSY, IDLE, SLOWEST, Upkeep
from golive.release import shifts
from golive.state.records import DeploymentState, Shift


class Pauses:
    """Stands in for the pauses of the loop: counts, and ends it after so many."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> bool:
        self.taken.append(seconds)
        await asyncio.sleep(0)
        if len(self.taken) >= self.count:
            raise asyncio.CancelledError
        return False


async def looks(upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch, count: int) -> list[float]:
    pauses = Pauses(count)
    monkeypatch.setattr(upkeep, "_woken", pauses)
    with pytest.raises(asyncio.CancelledError):
        await upkeep.run()
    monkeypatch.undo()
    return pauses.taken


@pytest.fixture
def upkeep(running: Running) -> Upkeep:
    made = Upkeep(running.host)
    made._last = {"certificates": time.monotonic(), "logs": time.monotonic()}
    return made


async def test_nothing_to_do_is_looked_at_seldom(upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await looks(upkeep, monkeypatch, 3) == [IDLE] * 3


async def test_a_long_drain_is_asked_about_less_and_less(upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch) -> None:
    async def drains() -> bool:
        return True

    monkeypatch.setattr(upkeep._drain, "tick", drains)
    taken = await looks(upkeep, monkeypatch, 40)
    assert taken[0] == BUSY
    assert taken == sorted(taken)
    assert taken[-1] == SLOWEST


async def test_a_chore_that_fails_or_hangs_holds_up_none(upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch) -> None:
    done = []

    async def hangs() -> None:
        done.append("scale")
        await asyncio.Event().wait()

    async def fails() -> bool:
        done.append("drain")
        raise OSError("full")

    monkeypatch.setattr(upkeep._autoscaler, "tick", hangs)
    monkeypatch.setattr(upkeep._drain, "tick", fails)
    monkeypatch.setitem(module.EVERY, "scale", module.timedelta(0))
    await looks(upkeep, monkeypatch, 3)
    assert done.count("drain") == 3
    assert done.count("scale") == 1
    await upkeep.stop()
    assert all(task.done() for task in upkeep._beside.values())


async def test_after_a_deployment_what_no_release_needs_goes(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[tuple[set[str], int]] = []

    async def prune(keep: set[str], budget: int) -> None:
        kept.append((keep, budget))

    monkeypatch.setattr(running.host.builder, "prune", prune, raising=False)
    made = blueprint(
        {"web": {**WEB, "route": []}}, release={"keep": 1, "verify": "0s", "stable": "0s"}, build={"disk": 7}
    )
    for number in (1, 2, 3):
        running.world.release(made, number, artifact=f"a{number}")
        running.state.end_deployment(running.rollback(number), DeploymentState.DONE)
    running.state.set_live(SHOP, 3)
    upkeep = Upkeep(running.host)
    upkeep.tidy(SHOP)
    await upkeep._apart("tidy", upkeep._prune)
    await upkeep._beside["tidy"]
    assert kept == [({"a3"}, 7)]
    assert [r.state for r in running.state.releases(SHOP)] == ["ready", "pruned", "pruned"]


async def test_history_is_forgotten_once_a_day(
    upkeep: Upkeep, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(running.state, "forget_history", asked.append)
    pauses = Pauses(5)
    monkeypatch.setattr(upkeep, "_woken", pauses)
    with pytest.raises(asyncio.CancelledError):
        await upkeep.run()
    assert len(asked) == 1
    assert asked[0] == pytest.approx(time.time() - 90 * 86400, abs=60)


async def test_a_share_that_has_changed_is_told_to_the_edge_once(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = {"web": WEB, "next": {**WEB, "replaces": "web"}}
    await running.world.live(blueprint(pair))
    upkeep, began = Upkeep(running.host), time.time()
    running.state.set_shift(Shift(SHOP, "next", "web", 0, 100, began, began + 100))
    applied: list[int] = []
    for seconds in (0.0, 10.5, 10.6, 99.0, 200.0, 300.0):
        monkeypatch.setattr(shifts.time, "time", lambda later=seconds: began + later)
        before = len(running.world.gateway.applied)
        await upkeep._shift()
        applied.append(len(running.world.gateway.applied) - before)
    assert applied == [1, 1, 0, 1, 1, 0]
    assert {rule.service for _, rule in running.world.gateway.applied[-1].rules()} == {"next"}


async def test_a_loop_that_fails_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    async def loop() -> None:
        begun.append(1)
        if len(begun) == 3:
            raise asyncio.CancelledError
        raise OSError("full")

    async def soon(_: float) -> None:
        return

    monkeypatch.setattr("golive.daemon.daemon.asyncio.sleep", soon)
    with pytest.raises(asyncio.CancelledError):
        await daemon_module._forever(loop)
    assert len(begun) == 3


async def test_settings_of_all_live_services_are_those_of_each(running: Running) -> None:
    one = {"web": WEB, "jobs": {"kind": "cron", "command": "x", "schedule": "@daily"}}
    await running.world.live(blueprint(one))
    await running.world.live(blueprint({**one, "jobs": {**one["jobs"], "schedule": "@hourly"}}), 2)
    found = running.host.live_services()
    assert {g.service: s.schedule for g, s in found} == {"web": None, "jobs": "@hourly"}
    assert all(running.host.service(g) == s for g, s in found)


async def test_an_edge_that_does_not_open_stops_no_daemon(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands answer, instances are looked after, and the edge is tried again."""
    from golive.errors import Conflict

    running.keep(1)
    await running.ended(running.rollback(1))
    gateway, running.host.opened = running.host.opened, None
    interrupted = running.state.queue_deployment(SHOP, "rollback", {"release": 1}, "me")
    running.state.begin_deployment(interrupted, 1)
    tries: list[Any] = [Conflict("port 443 is taken"), gateway]

    async def opens(*_: Any) -> Any:
        found = tries.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr("golive.daemon.daemon.open_gateway", opens)
    monkeypatch.setattr("golive.daemon.daemon.REOPEN", 0.0)
    monkeypatch.setattr(running.host, "engines", None)
    await running.daemon._open_edge()
    assert running.host.opened is None
    assert running.state.deployment(interrupted).state is DeploymentState.RUNNING
    follower = asyncio.create_task(running.ended(interrupted))
    task = asyncio.create_task(running.daemon._keep_edge_in_line())
    assert (await follower).state is DeploymentState.UNDONE
    assert running.host.opened is gateway
    task.cancel()


def test_what_stores_and_their_receivers_write_is_kept_short_too(running: Running) -> None:
    running.state.remember_app(SHOP, "/src")
    home = running.host.home
    written = [home.logs(*SHOP) / "web.0.log", home.resource(*SHOP, "db") / "postgres.log"]
    written.append(home.resource(*SHOP, "db") / "wal.log")
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("one line\n")
    assert set(written) < set(running.daemon._output_files())
