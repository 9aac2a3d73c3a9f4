"""More and fewer instances: the decision, and that the edge knows before and after."""

from __future__ import annotations

import asyncio
import random

import pytest
from release_fakes import SHOP, WEB, World, blueprint

from golive.errors import Conflict, NotFound, StartFailed, UsageError
from golive.release.desired import instances_wanted
from golive.release.scaling import LOWER, Autoscaler, cpu_seconds, decide, scale
from golive.supervise.unit import Status

SCALED = blueprint(
    {"web": {**WEB, "scale": {"min": 1, "max": 3, "cpu": "50%"}, "health": {}}, "site": {"kind": "static"}}
)


@pytest.mark.parametrize(
    ("count", "cpu", "settled", "wanted"),
    [
        (1, 0.5, True, 1),
        (1, 0.51, False, 2),
        (2, 1.2, True, 3),
        (3, 0.2, True, 2),
        (3, 0.2, False, 3),
        (1, 0.0, True, 1),
    ],
)
def test_decisions(count: int, cpu: float, settled: bool, wanted: int) -> None:
    assert decide(count, cpu, 0.5, settled) == wanted


@pytest.mark.parametrize("seed", range(60))
def test_a_steady_load_comes_to_rest_and_stays(seed: int) -> None:
    choose = random.Random(seed)
    service = SCALED.services["web"].model_copy(
        update={"scale": SCALED.services["web"].scale.model_copy(update={"max": choose.randrange(1, 12)})}
    )
    target, load, count = choose.uniform(0.1, 1), choose.uniform(0, 8), choose.randrange(1, 12)
    seen = []
    for _ in range(30):
        wanted = decide(count, load, target, settled=True)
        assert abs(wanted - count) <= 1
        count = instances_wanted(service, wanted)
        seen.append(count)
    assert len(set(seen[-15:])) == 1
    assert count == service.scale.max or load <= target * count
    assert count == 1 or load >= target * LOWER * (count - 1)


async def test_a_new_instance_takes_requests_when_it_is_ready(world: World) -> None:
    web = (await world.live(SCALED))["web"]
    applied = len(world.gateway.applied)
    del world.did[:]
    assert await scale(world.host, SHOP, "web", 2) == {"from": 1, "to": 2}
    assert world.did == [f"start {web.upstream}/1", f"ready {web.upstream}/1", "edge /→" + web.upstream]
    assert len(world.gateway.applied) == applied + 1
    assert len(world.gateway.endpoints(web.upstream)) == 2
    assert world.state.scale(SHOP, "web") == 2
    assert world.host.aside == set()


async def test_nobody_elses_edge_write_lets_an_instance_in_before_it_is_ready(world: World) -> None:
    from golive.release.traffic import edge_config

    web = (await world.live(SCALED))["web"]
    task = asyncio.create_task(scale(world.host, SHOP, "web", 3))
    while f"start {web.upstream}/2" not in world.did:
        await asyncio.sleep(0)
    upstreams = {u.name: u for u in edge_config(world.host).upstreams}
    assert len(upstreams[web.upstream].endpoints) == 1
    await task
    assert len(world.gateway.endpoints(web.upstream)) == 3


async def test_one_that_does_not_come_up_is_taken_away_again(world: World) -> None:
    web = (await world.live(SCALED))["web"]
    world.supervisor.broken.add(f"{web.upstream}/1")
    with pytest.raises(StartFailed):
        await scale(world.host, SHOP, "web", 2)
    assert [i.slot for i in world.state.instances(web.id)] == [0]
    assert list(world.supervisor.units) == [f"{web.upstream}/0"]
    assert world.state.scale(SHOP, "web") is None
    assert world.host.aside == set()


async def test_an_instance_leaves_the_edge_before_it_is_stopped(world: World) -> None:
    web = (await world.live(SCALED))["web"]
    await scale(world.host, SHOP, "web", 3)
    ports = {i.slot: i.port for i in world.state.instances(web.id)}
    del world.did[:]
    await scale(world.host, SHOP, "web", 1)
    assert world.did[0].startswith("edge")
    assert set(world.did[1:]) == {f"stop {web.upstream}/1", f"stop {web.upstream}/2"}
    assert world.gateway.endpoints(web.upstream) == [ports[0]]
    assert [i.slot for i in world.state.instances(web.id)] == [0]


async def test_what_cannot_be_scaled_is_said(world: World) -> None:
    await world.live(SCALED)
    with pytest.raises(UsageError, match="web may have 1 to 3 instances, not 4"):
        await scale(world.host, SHOP, "web", 4)
    with pytest.raises(NotFound, match="no live service api"):
        await scale(world.host, SHOP, "api", 1)
    with pytest.raises(UsageError, match="no instances to scale"):
        await scale(world.host, SHOP, "site", 1)
    async with world.host.changing(SHOP):
        with pytest.raises(Conflict, match="is being changed"):
            await scale(world.host, SHOP, "web", 2)


async def test_new_bounds_hold_without_new_instances(world: World) -> None:
    web = (await world.live(SCALED))["web"]
    wider = blueprint({"web": {**WEB, "scale": {"min": 2, "max": 9}}, "site": {"kind": "static"}})
    again = (await world.live(wider, 2))["web"]
    assert again.id == web.id
    assert len(world.gateway.endpoints(web.upstream)) == 2
    assert await scale(world.host, SHOP, "web", 5) == {"from": 2, "to": 5}


async def test_the_autoscaler_adds_one_under_load(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    web = (await world.live(SCALED))["web"]
    used = {"seconds": 0.0, "now": 1000.0}
    monkeypatch.setattr("golive.release.scaling.time.monotonic", lambda: used["now"])
    monkeypatch.setattr(
        "golive.release.scaling.cpu_seconds",
        lambda: {s.process.pid: used["seconds"] for s in world.supervisor.states()},
    )
    scaler = Autoscaler(world.host)
    await scaler.tick()
    used.update(seconds=9.0, now=1010.0)
    async with world.host.changing(SHOP):
        await scaler.tick()
    assert len(world.state.instances(web.id)) == 1
    used.update(seconds=18.0, now=1020.0)
    await scaler.tick()
    assert len(world.state.instances(web.id)) == 2
    assert world.state.audit_log()[0].actor == "autoscaler"
    world.supervisor.set(f"{web.upstream}/0", Status.READY)
    used.update(seconds=18.0, now=1200.0)
    await scaler.tick()
    used.update(now=1300.0)
    await scaler.tick()
    assert len(world.state.instances(web.id)) == 1
    world.state.set_generation(web.id, web.state.WARM)
    await scaler.tick()
    assert not scaler._seen
    assert not scaler._changed


def test_processor_time_is_counted_by_session() -> None:
    import os

    before = cpu_seconds()[os.getsid(0)]
    sum(n * n for n in range(300_000))
    assert cpu_seconds()[os.getsid(0)] >= before
