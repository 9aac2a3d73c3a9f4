"""A release on trial: what the edge is told, what goes on without it, and what is left when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from release_fakes import SHOP, WEB, WORKER, World, blueprint

from golive.daemon.boot import boot, settle_interrupted
from golive.edge.counts import Counts
from golive.edge.model import Canary
from golive.errors import CanaryStopped, Conflict, GoliveError, NotFound, UsageError
from golive.release import canary, steering
from golive.release.drain import Drain
from golive.release.undo import undo
from golive.secret import Secret
from golive.state.records import Deployment, DeploymentState, GenerationState, Maintenance, Shift

G = GenerationState
FAST = {"steps": ["5%", "50%"], "every": "0s", "requests": 10, "wait": "1h", "slower": False}
RELEASE = {"verify": "0s", "stable": "0s", "strategy": "canary", "canary": FAST}
SITE = {"kind": "static", "route": ["/site"]}
ONE = {"web": WEB, "site": SITE, "worker": WORKER}
TWO = {"web": {**WEB, "command": "two"}, "site": {**SITE, "spa": True}, "worker": {**WORKER, "command": "two"}}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "LOOK", 0.0)


@pytest.fixture
def shares(world: World) -> Iterator[list[int | None]]:
    """The canary's percentage at every change of the edge; None without one."""
    seen: list[int | None] = []
    apply = world.gateway.apply

    async def applied(config: Any) -> bool:
        found = next((site.canary for site in config.sites), None)
        seen.append(found.share.percent if found else None)
        return await apply(config)

    world.gateway.apply = applied  # type: ignore[method-assign]
    yield seen


def counting(world: World, answer: Callable[[str, int], Counts]) -> None:
    """What the edge says of an upstream at the n-th question."""
    asked: dict[str, int] = {}

    def counted(upstream: str) -> Counts:
        asked[upstream] = asked.get(upstream, -1) + 1
        return answer(upstream, asked[upstream])

    world.gateway.counted = counted


async def begun(world: World, two: Any = TWO, artifact: str = "b") -> Deployment:
    """Release 1 is live, release 2 about to be."""
    await world.live(blueprint(ONE, release=RELEASE))
    world.release(blueprint(two, release=RELEASE), 2, artifact=artifact)
    del world.did[:]
    return world.deployment("rollback", {"release": 2, "canary": True})


async def stopped(world: World, row: Deployment) -> GoliveError:
    with pytest.raises(GoliveError) as caught:
        await world.run(row)
    await undo(world.host, world.state.deployment(row.id))
    world.state.end_deployment(row.id, DeploymentState.FAILED)
    return caught.value


async def test_a_good_one_goes_by_its_steps_to_everybody(world: World, shares: list[int | None]) -> None:
    row = await begun(world)
    del shares[:]
    counting(world, lambda upstream, n: Counts(20 * n, 0) if "/d4" in upstream else Counts(400 * n, 1 * n))
    await world.run(row)
    assert shares[:3] == [5, 50, None]
    live = {g.service: g for g in world.state.generations(SHOP, (G.LIVE,))}
    assert {g.release for g in live.values()} == {2}
    work = f"start {live['worker'].upstream}/0"
    moved = world.did.index(f"edge /→{live['web'].upstream}, /site→static")
    assert world.did.index(f"ready {live['web'].upstream}/0") < world.did.index(work) < moved
    steps = [(s.name, s.detail) for s in world.state.steps(row.id) if s.name == "canary"]
    assert steps == [
        ("canary", "5%: 20 requests, 0 failed; release 1: 400 requests, 1 failed"),
        ("canary", "50%: 20 requests, 0 failed; release 1: 400 requests, 1 failed"),
    ]
    assert not world.host.trials


async def test_a_bad_one_is_stopped_and_what_is_open_on_it_ends(world: World, shares: list[int | None]) -> None:
    row = await begun(world)
    counting(world, lambda upstream, n: Counts(100 * n, 5 * n) if "/d4" in upstream else Counts(1900 * n, 0))
    error = await stopped(world, row)
    assert isinstance(error, CanaryStopped)
    assert error.what == "the canary was stopped at 5%: web of release 2 does worse than before"
    assert "5 of its 100 requests failed (5.0%), 0 of 1,900 (0.0%) on release 1" in str(error.why)
    assert "of 4,000 requests (5.0%) came to release 2" in str(error.why)
    assert "golive logs web" in str(error.hint)
    assert shares[-1] is None
    states = world.states()
    assert (states[1], states[4]) == ("live", "draining")
    assert not [line for line in world.did if line.startswith("start") and "worker" in line]
    drain = Drain(world.host)
    world.gateway.busy["shop/production/web/d4"] = 1
    assert await drain.tick()
    world.gateway.busy.clear()
    world.state.set_generation(4, G.DRAINING, drain_until=0.0)
    await drain.tick()
    await drain.settled()
    assert world.states()[4] == "stopped"
    assert "stop shop/production/web/d1/0" not in world.did


def on_trial(world: World) -> Canary:
    found = world.gateway.applied[-1].sites[0].canary
    assert found
    return found


async def until_it_runs(world: World, row: Deployment) -> asyncio.Task[Any]:
    task = asyncio.create_task(world.run(row))
    async with asyncio.timeout(120):
        while SHOP not in world.host.trials or not world.host.trials[SHOP].window:
            await asyncio.sleep(0.005)
    return task


async def test_the_edge_has_both_releases_whole(world: World) -> None:
    task = await until_it_runs(world, await begun(world))
    made = on_trial(world)
    assert (made.share.key, made.share.other, made.share.percent) == ("2", "1.2", 5)
    assert (made.rest.key, made.rest.percent) == ("1.2", None)
    old, new = world.gateway.applied[-1].sites[0].routes, made.routes
    assert [rule.targets[0][0] for rule in new] == ["shop/production/web/d4", "static"]
    assert [rule.targets[0][0] for rule in old] == ["shop/production/web/d1", "static"]
    assert dict(old[1].request_headers) == {"x-golive-root": "a", "x-golive-previous": "b,a"}
    assert dict(new[1].request_headers)["x-golive-root"] == "b"
    assert {u.name for u in world.gateway.applied[-1].upstreams} >= {r.targets[0][0] for r in (*old, *new)}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_somebody_chooses_stays_until_he_says_otherwise(world: World) -> None:
    row = await begun(world)
    counting(world, lambda upstream, n: Counts(1, 0))
    task = await until_it_runs(world, row)
    found = await steering.hold(world.host, SHOP, 20, "me")
    assert (found["canary"]["percent"], found["canary"]["held"]) == (20, True)
    counting(world, lambda upstream, n: Counts(1000 * n, 0))
    for _ in range(50):
        await asyncio.sleep(0)
    assert on_trial(world).share.percent == 20
    assert not task.done()
    await steering.hold(world.host, SHOP, None, "me")
    await task
    assert [s.detail.partition(":")[0] for s in world.state.steps(row.id) if s.name == "canary"] == ["20%", "50%"]
    assert world.state.app(SHOP).live == 2  # type: ignore[union-attr]


async def test_a_step_does_not_end_while_the_app_is_closed(world: World) -> None:
    row = await begun(world)
    world.state.set_maintenance(Maintenance(SHOP, 0.0, None, "me", Secret("pass")))
    counting(world, lambda upstream, n: Counts(1000 * n, 0))
    task = await until_it_runs(world, row)
    for _ in range(50):
        await asyncio.sleep(0)
    assert not task.done()
    world.state.end_maintenance(SHOP)
    await task


async def test_everything_by_hand_is_its_end_and_what_is_worse_is_stopped_also_by_hand(world: World) -> None:
    row = await begun(world)
    task = await until_it_runs(world, row)
    await steering.hold(world.host, SHOP, 100, "me")
    await task
    assert world.state.app(SHOP).live == 2  # type: ignore[union-attr]
    with pytest.raises(Conflict, match="no canary"):
        await steering.hold(world.host, SHOP, 5, "me")


async def test_without_anything_to_compare_it_is_a_deploy_like_any_other(
    world: World, shares: list[int | None]
) -> None:
    row = await begun(world, {**ONE, "worker": {**WORKER, "command": "two"}}, artifact="a")
    await world.run(row)
    assert set(shares) == {None}
    assert any("no canary" in event.get("text", "") for event in world.events)
    world.release(blueprint(TWO, release=RELEASE), 3)
    await world.run(world.deployment("rollback", {"release": 3}))
    assert set(shares) == {None}


async def test_a_daemon_that_died_meanwhile_takes_it_back_and_lets_what_is_open_end(world: World) -> None:
    row = await begun(world)
    task = await until_it_runs(world, row)
    for unit, state in world.supervisor.units.items():
        assert state.process
        world.state.remember_process(unit, state.process.pid, state.process.started, 0)
        world.supervisor.alive.add(state.process.pid)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    world.host.trials.clear()
    world.supervisor.units.clear()
    await boot(world.host)
    await settle_interrupted(world.host)
    assert world.state.deployment(row.id).state is DeploymentState.UNDONE
    error = world.state.deployment(row.id).error or {}
    assert "interrupted during its canary" in error["what"]
    assert "serves all users" in error["hint"]
    assert (world.states()[1], world.states()[4]) == ("live", "draining")
    assert world.gateway.applied[-1].sites[0].canary is None
    assert "stop shop/production/web/d4/0" not in world.did


async def test_one_that_was_warm_drains_before_it_is_that_again(world: World) -> None:
    await world.live(blueprint({"web": WEB}, release=RELEASE))
    await world.live(blueprint({"web": {**WEB, "command": "two"}}, release=RELEASE), 2)
    world.state.set_generation(1, G.WARM, warm_until=9e9)
    world.release(blueprint({"web": WEB}, release=RELEASE), 3)
    row = world.deployment("rollback", {"release": 3, "canary": True})
    counting(world, lambda upstream, n: Counts(100 * n, 50 * n) if "/d1" in upstream else Counts(1900 * n, 0))
    assert isinstance(await stopped(world, row), CanaryStopped)
    warm = world.state.generation(1)
    assert (warm.state, warm.warm_until) == (G.DRAINING, 9e9)
    assert "stop shop/production/web/d1/0" not in world.did
    world.state.set_generation(1, G.DRAINING, drain_until=9e9, warm_until=9e9)
    drain = Drain(world.host)
    await drain.tick()
    drain._idle_since[1] = 0.0
    await drain.tick()
    assert world.state.generation(1).state is G.WARM


# One service replaces another

PAIR = {
    "page": {"kind": "static", "route": ["/"]},
    "next": {**WEB, "replaces": "page"},
    "api": {**WEB, "route": ["/a"]},
}


async def shifted(world: World, percent: int) -> list[tuple[str, int | None]]:
    await steering.shift(world.host, SHOP, "next", percent, None, "me")
    rules = world.gateway.applied[-1].sites[0].rules_for("shop.localhost")
    return [(r.service, r.share.percent if r.share else -1) for r in rules if r.prefix == "/"]


async def test_visitors_shift_to_the_service_that_replaces_another(world: World) -> None:
    await world.live(blueprint(PAIR))
    assert [r.service for r in world.gateway.applied[-1].sites[0].routes] == ["page", "api"]
    assert await shifted(world, 20) == [("next", 20), ("page", None)]
    assert await shifted(world, 100) == [("next", -1)]
    assert await shifted(world, 0) == [("page", -1)]
    with pytest.raises(UsageError, match="page replaces no other"):
        await steering.shift(world.host, SHOP, "page", 5, None, "me")
    with pytest.raises(NotFound, match="no service nxt"):
        await steering.shift(world.host, SHOP, "nxt", 5, None, "me")


async def test_a_share_was_said_of_a_pair_and_holds_for_no_other(world: World) -> None:
    await world.live(blueprint(PAIR))
    await shifted(world, 100)
    await world.live(blueprint({"next": WEB, "api": PAIR["api"]}), 2)
    other = {"web": WEB, "next": {**WEB, "replaces": "web"}, "api": PAIR["api"]}
    await world.live(blueprint(other), 3)
    assert [rule.service for rule in await applied(world)] == ["web", "api"]
    assert steering.view(world.host, SHOP)["shifts"][0]["percent"] == 0


async def test_nobody_is_sent_to_one_that_is_suspended(world: World) -> None:
    await world.live(blueprint(PAIR))
    world.state.set_shift(Shift(SHOP, "next", "page", 0, 50, 0.0))
    world.state.suspend(SHOP, "next", "me")
    assert [rule.share for rule in (await applied(world)) if rule.prefix == "/"] == [None]


async def applied(world: World) -> Any:
    from golive.release.traffic import edge_config

    return edge_config(world.host).sites[0].routes


async def test_a_share_on_its_way_rises_evenly(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from golive.release import shifts

    await world.live(blueprint(PAIR))
    row = Shift(SHOP, "next", "page", 10, 60, 1000.0, 1500.0)
    assert [shifts.percent_at(row, t) for t in (900, 1000, 1005, 1010, 1499, 1500, 9999)] == [
        10,
        10,
        10,
        11,
        59,
        60,
        60,
    ]
    down = Shift(SHOP, "next", "page", 60, 10, 1000.0, 1500.0)
    assert [shifts.percent_at(down, t) for t in (1000, 1250, 1500)] == [60, 35, 10]
    world.state.set_shift(row)
    monkeypatch.setattr(shifts.time, "time", lambda: 1004.0)
    assert shifts.next_change(world.host) == pytest.approx(6.0)
    assert shifts.everywhere(world.host) == {(SHOP, "next"): 10}
    monkeypatch.setattr(shifts.time, "time", lambda: 2000.0)
    assert shifts.next_change(world.host) == float("inf")
