"""Services that are suspended and environments in maintenance: what runs, and what the edge is told."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from release_fakes import SHOP, WEB, WORKER, World, blueprint

from golive.daemon.boot import boot, settle_interrupted
from golive.errors import Conflict, EdgeRejected, NotFound, StartFailed, UsageError
from golive.release import closed, maintenance, suspension
from golive.release.maintenance import Wish
from golive.release.scaling import Autoscaler, scale
from golive.state.records import Generation, GenerationState

API: dict[str, Any] = {**WEB, "route": ["/api"], "scale": {"min": 1, "max": 3, "cpu": "50%"}}
TWO = blueprint({"web": WEB, "api": API, "worker": WORKER})


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspension, "SETTLE", 0)


def closures(world: World) -> dict[str, str | None]:
    """Service → what is said in its place, as last applied."""
    return {rule.service: rule.closed and rule.closed.title for _, rule in world.gateway.applied[-1].rules()}


def running(world: World) -> set[str]:
    return {id.split("/")[2] for id in world.supervisor.units}


def live(world: World) -> dict[str, Generation]:
    return {g.service: g for g in world.state.generations(SHOP, (GenerationState.LIVE,))}


async def test_the_edge_refuses_before_the_instances_end(world: World) -> None:
    api = (await world.live(TWO))["api"]
    world.did.clear()
    assert await suspension.suspend(world.host, SHOP, ("api",), "me") == {"suspended": ["api"], "already": []}
    assert [line.split()[0] for line in world.did] == ["edge", "stop"]
    assert closures(world) == {"web": None, "api": "Suspended"}
    assert running(world) == {"web", "worker"}
    assert live(world)["api"].id == api.id
    assert world.state.instances(api.id) == []
    assert await suspension.suspend(world.host, SHOP, (), "me") == {
        "suspended": ["web", "worker"],
        "already": ["api"],
    }
    assert running(world) == set()


async def test_a_deploy_does_not_start_it_and_resume_does(world: World) -> None:
    await world.live(TWO)
    await suspension.suspend(world.host, SHOP, ("api", "worker"), "me")
    world.release(TWO, 2, artifact="b")
    await world.deploy(2)
    assert running(world) == {"web"}
    assert live(world)["api"].release == 2
    assert closures(world)["api"] == "Suspended"
    starts = [s.detail for s in world.state.steps(2) if s.name == "start"]
    assert starts == ["1 new instance; api, worker suspended, not started"]
    assert await suspension.resume(world.host, SHOP, (), "me") == {"resumed": ["api", "worker"], "already": []}
    assert running(world) == {"web", "api", "worker"}
    assert closures(world) == {"web": None, "api": None}
    assert await suspension.resume(world.host, SHOP, ("api",), "me") == {"resumed": [], "already": ["api"]}


async def test_what_does_not_come_up_stays_suspended(world: World) -> None:
    await world.live(TWO)
    await suspension.suspend(world.host, SHOP, ("api",), "me")
    world.supervisor.broken.add("api")
    with pytest.raises(StartFailed):
        await suspension.resume(world.host, SHOP, ("api",), "me")
    assert running(world) == {"web", "worker"}
    assert [*world.state.suspended(SHOP)] == ["api"]
    assert closures(world)["api"] == "Suspended"


async def test_nobody_brings_it_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither somebody who scales, nor the autoscaler, nor a daemon that starts."""
    await world.live(TWO)
    await suspension.suspend(world.host, SHOP, ("api",), "me")
    with pytest.raises(Conflict, match="api is suspended"):
        await scale(world.host, SHOP, "api", 2)
    scaler = Autoscaler(world.host)
    monkeypatch.setattr(scaler, "_cores_used", lambda *_: 9.0)
    await scaler.tick()
    await boot(world.host)
    assert running(world) == {"web", "worker"}


async def test_a_daemon_that_died_while_it_suspended_is_made_up_for(world: World) -> None:
    api = (await world.live(TWO))["api"]
    world.state.suspend(SHOP, "api", "me")
    await boot(world.host)
    await settle_interrupted(world.host)
    assert running(world) == {"web", "worker"}
    assert world.state.instances(api.id) == []


async def test_only_what_is_there_can_be_suspended(world: World) -> None:
    with pytest.raises(NotFound, match="has no live release"):
        await suspension.suspend(world.host, SHOP, ("api",), "me")
    await world.live(TWO)
    with pytest.raises(NotFound) as caught:
        await suspension.suspend(world.host, SHOP, ("api", "wrker"), "me")
    assert caught.value.hint == "did you mean worker?"
    assert world.state.suspended(SHOP) == {}
    async with world.host.changing(SHOP):
        with pytest.raises(Conflict):
            await suspension.suspend(world.host, SHOP, ("api",), "me")


async def test_maintenance_of_all_of_one_service_and_of_nothing(world: World) -> None:
    await world.live(TWO)
    found = await maintenance.turn_on(world.host, SHOP, Wish(message="Soon"), "me")
    link = found["links"][0]
    assert link.startswith("https://shop.localhost/.golive/pass?key=")
    site = world.gateway.applied[-1].sites[0]
    assert site.closed
    assert (site.closed.text, closures(world)) == ("Soon", {"web": None, "api": None})
    narrower = await maintenance.turn_on(world.host, SHOP, Wish(services=("api",)), "me")
    assert (narrower["changed"], narrower["links"]) == (True, [link])
    assert world.gateway.applied[-1].sites[0].closed is None
    assert closures(world) == {"web": None, "api": "Down for maintenance"}
    assert not (await maintenance.turn_on(world.host, SHOP, Wish(services=("api",)), "me"))["changed"]
    assert (await maintenance.turn_off(world.host, SHOP, "me"))["changed"]
    assert closures(world) == {"web": None, "api": None}
    assert not (await maintenance.turn_off(world.host, SHOP, "me"))["changed"]


async def test_what_the_edge_refuses_is_not_remembered(world: World) -> None:
    await world.live(TWO)
    world.gateway.fails = [EdgeRejected("no")]
    with pytest.raises(EdgeRejected):
        await maintenance.turn_on(world.host, SHOP, Wish(), "me")
    assert world.state.maintenance(SHOP) is None


async def test_it_ends_when_its_time_has_come(world: World) -> None:
    await world.live(TWO)
    await maintenance.turn_on(world.host, SHOP, Wish(until=time.time() + 100), "me")
    assert 90 < maintenance.seconds_left(world.host) <= 100
    await maintenance.end_what_is_over(world.host)
    assert world.state.maintenance(SHOP)
    row = world.state.maintenance(SHOP)
    assert row
    world.state.set_maintenance(replace(row, until=time.time() - 1))
    assert maintenance.view(world.host, SHOP) is None
    await maintenance.end_what_is_over(world.host)
    assert world.state.maintenance(SHOP) is None
    assert world.gateway.applied[-1].sites[0].closed is None
    assert maintenance.seconds_left(world.host) == float("inf")


async def test_a_worker_answers_nobody(world: World) -> None:
    await world.live(TWO)
    with pytest.raises(UsageError, match="worker answers no requests"):
        await maintenance.turn_on(world.host, SHOP, Wish(services=("worker",)), "me")


def test_a_suspended_service_is_not_asked_for() -> None:
    assert closed.serving(TWO, ()) is TWO
    served = closed.serving(TWO, {"api"})
    assert (served.services["api"].route, served.services["web"].route) == ((), ("/",))
