"""What a deployment leaves behind: it drains, stays warm, ends; and never what is needed."""

from __future__ import annotations

import time
from typing import Any

import pytest
from release_fakes import SHOP, WEB, WORKER, World, blueprint

from golive.release import drain as module
from golive.release.drain import SETTLE, Drain
from golive.state.records import Generation, GenerationState
from golive.supervise.unit import Status

G = GenerationState


class Clock:
    """Both clocks of the module, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.time()
        monkeypatch.setattr(module.time, "time", lambda: self.now)
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def replaced(world: World, settings: dict[str, Any], **release: Any) -> Generation:
    """The generation before the live one."""
    policy = {"verify": "0s", "stable": "0s", "drain": "2m", "keep_warm": "10m", **release}
    old = await world.live(blueprint({"main": settings}, release=policy))
    await world.live(blueprint({"main": {**settings, "command": "newer"}}, release=policy), 2)
    found = world.state.generation(old["main"].id)
    assert found.state is G.DRAINING
    return found


async def look(world: World, drain: Drain, clock: Clock, seconds: float = 0.0) -> bool:
    clock.now += seconds
    again = await drain.tick()
    await drain.settled()
    return again


WORKS = {**WEB, "route": []}
ROUTED = {**WEB, "command": "serve"}


async def routed(world: World, **release: Any) -> Generation:
    """As `replaced`, of a service with a route; made without the prober of a deployment."""
    policy = {"verify": "0s", "stable": "0s", "drain": "2m", "keep_warm": "10m", **release}
    world.release(blueprint({"main": ROUTED}, release=policy))
    row = world.deployment("restart", {})
    world.state.set_deployment_release(row.id, 1)
    old, new = (world.state.add_generation(SHOP, "main", 1, row.id, p) for p in ("old", "new"))
    for made in (old, new):
        unit = world.state.add_instance(f"{made.upstream}/0", made.id, 0, 20000 + made.id).unit
        world.supervisor.set(unit, Status.READY)
    world.state.commit(row.id, [old.id], [], (0.0, 0.0))
    settings = blueprint({"main": ROUTED}, release=policy).release
    now = module.time.time()
    until = (now + settings.drain.total_seconds(), now + settings.keep_warm.total_seconds())
    world.state.commit(row.id, [new.id], [old.id], until)
    return world.state.generation(old.id)


async def test_one_that_is_asked_nothing_more_stays_warm_and_then_ends(world: World, clock: Clock) -> None:
    old = await routed(world)
    drain = Drain(world.host)
    assert await look(world, drain, clock)
    assert await look(world, drain, clock, SETTLE / 2)
    assert not await look(world, drain, clock, SETTLE)
    assert world.state.generation(old.id).state is G.WARM
    assert f"{old.upstream}/0" in world.supervisor.units
    assert old.upstream not in {u.name for u in world.gateway.applied[-1].upstreams}
    await look(world, drain, clock, 590)
    assert world.state.generation(old.id).state is G.WARM
    await look(world, drain, clock, 10)
    assert world.state.generation(old.id).state is G.STOPPED
    assert f"{old.upstream}/0" not in world.supervisor.units
    assert world.state.instances(old.id) == []


async def test_an_open_socket_holds_it_until_the_deadline_and_no_longer(world: World, clock: Clock) -> None:
    old = await routed(world)
    drain = Drain(world.host)
    world.gateway.busy[old.upstream] = 1
    for _ in range(11):
        assert await look(world, drain, clock, 10)
    assert world.state.generation(old.id).state is G.DRAINING
    assert not await look(world, drain, clock, 11)
    assert world.state.generation(old.id).state is G.STOPPED


async def test_a_late_request_starts_the_settling_anew(world: World, clock: Clock) -> None:
    old = await routed(world)
    drain = Drain(world.host)
    await look(world, drain, clock)
    world.gateway.busy[old.upstream] = 1
    await look(world, drain, clock, SETTLE * 2)
    world.gateway.busy[old.upstream] = 0
    assert await look(world, drain, clock, SETTLE * 2)
    assert world.state.generation(old.id).state is G.DRAINING


async def test_nothing_stays_warm_when_the_blueprint_says_so(world: World, clock: Clock) -> None:
    old = await routed(world, keep_warm="0s")
    drain = Drain(world.host)
    await look(world, drain, clock)
    await look(world, drain, clock, SETTLE * 2)
    assert world.state.generation(old.id).state is G.STOPPED


@pytest.mark.parametrize("settings", [WORKER, {**WORKS, "overlap": False}])
async def test_workers_and_singletons_end_at_once(world: World, clock: Clock, settings: dict[str, Any]) -> None:
    old = await replaced(world, settings)
    await look(world, Drain(world.host), clock)
    assert world.state.generation(old.id).state is G.STOPPED
    assert [id for id in world.supervisor.units if id.startswith(old.upstream)] == []


async def test_only_the_newest_stays_warm(world: World, clock: Clock) -> None:
    drain = Drain(world.host)
    first = await replaced(world, WORKS)
    await look(world, drain, clock)
    assert world.state.generation(first.id).state is G.WARM
    await world.live(blueprint({"main": {**WORKS, "command": "newest"}}), 3)
    await look(world, drain, clock)
    assert sorted(world.states().values()) == ["live", "stopped", "warm"]
    assert world.state.generation(first.id).state is G.STOPPED


@pytest.mark.parametrize("state", ["draining", "warm"])
async def test_what_a_deployment_counts_on_is_left_alone(world: World, clock: Clock, state: str) -> None:
    old = await replaced(world, WORKER if state == "draining" else WORKS)
    drain = Drain(world.host)
    if state == "warm":
        await look(world, drain, clock)
    world.host.claimed.add(old.id)
    await look(world, drain, clock, 10_000)
    assert world.state.generation(old.id).state == state
    assert [id for id in world.supervisor.units if id.startswith(old.upstream)]
    world.host.claimed.clear()
    await look(world, drain, clock)
    assert world.state.generation(old.id).state is G.STOPPED


async def test_one_that_went_live_again_while_the_edge_was_asked_stays_live(world: World, clock: Clock) -> None:
    old = await routed(world)
    drain = Drain(world.host)
    await look(world, drain, clock)
    world.gateway.on_ask = lambda: world.state.set_generation(old.id, G.LIVE)
    await look(world, drain, clock, SETTLE * 2)
    assert world.state.generation(old.id).state is G.LIVE
    assert f"{old.upstream}/0" in world.supervisor.units


async def test_one_that_takes_long_to_end_holds_up_nothing(world: World, clock: Clock) -> None:
    old = await replaced(world, WORKER)
    drain = Drain(world.host)
    assert not await drain.tick()
    assert f"{old.upstream}/0" in world.supervisor.units
    assert not await drain.tick()  # not stopped a second time
    await drain.settled()
    assert world.did.count(f"stop {old.upstream}/0") == 1
    assert world.state.generation(old.id).state is G.STOPPED
