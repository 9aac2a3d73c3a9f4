"""In which order things happen to instances and the edge, and what is left when something fails in between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from release_fakes import SHOP, WEB, WORKER, World, blueprint

from golive.daemon.boot import boot, settle_interrupted
from golive.errors import EdgeRejected, GoliveError, StartFailed
from golive.release import changeover
from golive.release.drain import Drain
from golive.release.undo import undo
from golive.release.verify import Evidence
from golive.state.records import DeploymentState, Generation, GenerationState
from golive.supervise.unit import Status

G = GenerationState
ONE = blueprint({"web": WEB, "worker": WORKER})
TWO = blueprint({"web": {**WEB, "command": "two"}, "worker": {**WORKER, "command": "two"}})
SINGLE: dict[str, Any] = {**WEB, "overlap": False, "port": 9000}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changeover, "FLUSH", 0.0)


async def attempt(world: World, number: int) -> tuple[BaseException | None, int]:
    """A rollback as the daemon makes it: what it raised, and its number."""
    row = world.deployment("rollback", {"release": number})
    try:
        await world.run(row)
    except (GoliveError, asyncio.CancelledError) as error:
        current = world.state.deployment(row.id)
        assert not current.committed
        await undo(world.host, current)
        world.state.end_deployment(row.id, DeploymentState.FAILED)
        return error, row.id
    return None, row.id


def is_whole(world: World, live: dict[str, Generation]) -> None:
    """These serve, each with its instances ready, and nobody else does."""
    app = world.state.app(SHOP)
    assert app and app.live == next(iter(live.values())).release
    assert {g.service: g.id for g in world.state.generations(SHOP, (G.LIVE,))} == {s: g.id for s, g in live.items()}
    for generation in live.values():
        units = [i.unit for i in world.state.instances(generation.id)]
        assert units
        assert {world.supervisor.units[unit].status for unit in units} <= {Status.READY, Status.STARTING}
    routed = {rule.targets[0][0] for _, rule in world.gateway.applied[-1].rules()}
    assert routed == {live["web"].upstream}
    assert not (world.host.held or world.host.switching or world.host.claimed or world.host.building)


async def test_new_ones_are_ready_before_traffic_moves_and_old_ones_stay(world: World) -> None:
    old = await world.live(ONE)
    del world.did[:]
    new = await world.live(TWO, 2)
    moved = world.did.index(f"edge /→{new['web'].upstream}")
    assert {f"ready {g.upstream}/0" for g in new.values()} <= set(world.did[:moved])
    assert not [line for line in world.did if line.startswith("stop")]
    assert {world.state.generation(g.id).state for g in old.values()} == {G.DRAINING}
    is_whole(world, new)


async def test_one_that_does_not_become_ready_never_gets_traffic(world: World) -> None:
    old = await world.live(ONE)
    world.release(TWO, 2)
    world.supervisor.broken.add("d3")
    world.supervisor.broken.add("shop/production/web/d3/0")
    error, _ = await attempt(world, 2)
    assert isinstance(error, StartFailed)
    is_whole(world, old)
    assert len(world.supervisor.units) == 2
    assert not [line for line in world.did if line.startswith("edge") and "/d3" in line]


async def test_an_edge_that_refuses_leaves_everything_as_it_was(world: World) -> None:
    old = await world.live(ONE)
    world.release(TWO, 2)
    world.gateway.fails.append(EdgeRejected("no"))
    error, _ = await attempt(world, 2)
    assert isinstance(error, EdgeRejected)
    is_whole(world, old)


async def test_a_release_that_does_not_answer_is_taken_back(world: World) -> None:
    old = await world.live(ONE)
    world.release(TWO, 2)
    world.evidence = [Evidence("service web", False, "GET / → 500")]
    error, _ = await attempt(world, 2)
    assert isinstance(error, StartFailed)
    assert "GET / → 500" in error.what
    is_whole(world, old)
    await Drain(world.host).tick()
    is_whole(world, old)


async def test_housekeeping_during_the_verification_takes_nothing_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old worker drains at once; without its generation a retraction would leave no worker at all."""
    from golive.release import verify

    old = await world.live(ONE)
    world.release(TWO, 2)
    drain = Drain(world.host)

    async def meanwhile(*_: Any) -> list[Evidence]:
        await drain.tick()
        await drain.settled()
        return [Evidence("service web", False, "no")]

    monkeypatch.setattr(verify, "through_the_edge", meanwhile)
    error, _ = await attempt(world, 2)
    assert isinstance(error, StartFailed)
    is_whole(world, old)


async def test_a_warm_release_is_live_again_without_a_start(world: World) -> None:
    first = await world.live(blueprint({"web": WEB}))
    await world.live(blueprint({"web": {**WEB, "command": "two"}}), 2)
    del world.did[:]
    again = await world.deploy(1)
    assert again["web"].id == first["web"].id
    assert not [line for line in world.did if line.startswith(("start", "stop"))]
    is_whole(world, again)


async def test_what_died_of_a_warm_release_is_started_before_it_serves(world: World) -> None:
    first = (await world.live(blueprint({"web": WEB})))["web"]
    await world.live(blueprint({"web": {**WEB, "command": "two"}}), 2)
    world.state.set_scale(SHOP, "web", 2)
    del world.supervisor.units[f"{first.upstream}/0"], world.did[:]
    again = await world.deploy(1)
    assert again["web"].id == first.id
    moved = world.did.index(f"edge /→{first.upstream}")
    assert f"ready {first.upstream}/0" in world.did[:moved]
    is_whole(world, again)


async def test_a_service_that_is_gone_stops_being_live(world: World) -> None:
    old = await world.live(ONE)
    new = await world.live(blueprint({"web": WEB}), 2)
    assert new["web"].id == old["web"].id
    assert world.state.generation(old["worker"].id).state is G.DRAINING


async def test_what_cannot_overlap_never_does_and_its_requests_wait(world: World) -> None:
    old = (await world.live(blueprint({"web": SINGLE})))["web"]
    del world.did[:]
    new = (await world.live(blueprint({"web": {**SINGLE, "command": "two"}}), 2))["web"]
    assert world.did[:4] == [
        f"edge /→{new.upstream}", f"stop {old.upstream}/0", f"start {new.upstream}/0", f"ready {new.upstream}/0"
    ]  # fmt: skip
    assert world.did[4:] == [f"edge /→{new.upstream}"] * 2
    assert world.gateway.endpoints(new.upstream) == [9000]
    is_whole(world, {"web": new})


async def test_a_changeover_that_fails_starts_the_old_one_again(world: World) -> None:
    old = (await world.live(blueprint({"web": SINGLE})))["web"]
    world.release(blueprint({"web": {**SINGLE, "command": "two"}}), 2)
    world.supervisor.broken.add("shop/production/web/d2/0")
    del world.did[:]
    error, _ = await attempt(world, 2)
    assert isinstance(error, StartFailed)
    new = "shop/production/web/d2"
    lines = [line for line in world.did if not line.startswith("edge")]
    assert lines == [
        f"stop {old.upstream}/0", f"start {new}/0", f"stop {new}/0",
        f"start {old.upstream}/0", f"ready {old.upstream}/0"
    ]  # fmt: skip
    # What waited for the new one was answered by the old: it stood in before the route went back.
    before = world.gateway.applied[-2]
    assert [e.port for u in before.upstreams if u.name == new for e in u.endpoints] == [9000]
    is_whole(world, {"web": old})


async def test_a_changed_over_service_that_does_not_answer_goes_back_one_at_a_time(world: World) -> None:
    old = (await world.live(blueprint({"web": SINGLE})))["web"]
    world.release(blueprint({"web": {**SINGLE, "command": "two"}}), 2)
    world.evidence = [Evidence("service web", False, "no")]
    error, _ = await attempt(world, 2)
    assert isinstance(error, StartFailed)
    running = 0
    for line in world.did:
        running += line.startswith("start") - line.startswith("stop")
        assert running <= 1
    assert running == 1
    is_whole(world, {"web": old})


async def test_an_edge_write_of_somebody_else_does_not_end_a_changeover(world: World) -> None:
    from golive.release.traffic import edge_config

    await world.live(blueprint({"web": SINGLE}))
    seen: list[str] = []

    def look(_: str) -> None:
        seen.extend(rule.targets[0][0] for _, rule in edge_config(world.host).rules())

    world.supervisor.on_stop = look
    new = (await world.live(blueprint({"web": {**SINGLE, "command": "two"}}), 2))["web"]
    assert seen == [new.upstream]


async def test_undo_stops_what_was_started_even_when_the_edge_is_away(world: World) -> None:
    old = await world.live(ONE)
    world.release(TWO, 2)
    row = world.deployment("rollback", {"release": 2})
    made = world.state.add_generation(SHOP, "web", 2, row.id, "p")
    world.supervisor.set(world.state.add_instance(f"{made.upstream}/0", made.id, 0, 20001).unit, Status.STARTING)
    world.gateway.fails.append(EdgeRejected("away"))
    with pytest.raises(EdgeRejected):
        await undo(world.host, row)
    assert world.state.generation(made.id).state is G.STOPPED
    assert set(world.supervisor.units) == {f"{g.upstream}/0" for g in old.values()}


async def test_a_deploy_that_is_undone_leaves_a_failed_release_and_no_running_step(world: World) -> None:
    await world.live(ONE)
    world.release(TWO, 2)
    world.state.set_release(SHOP, 2, "making")
    row = world.deployment("deploy", {})
    world.state.set_deployment_release(row.id, 2)
    world.state.begin_step(row.id, "start")
    await undo(world.host, row)
    await undo(world.host, row)
    assert world.state.release(SHOP, 2).state == "failed"
    assert [s.state for s in world.state.steps(row.id)] == ["undone"]


# After the daemon's death


def forget_everything(world: World, *, alive: bool) -> None:
    """As a new daemon finds it: the processes are remembered, and live or not."""
    for unit, state in world.supervisor.units.items():
        assert state.process
        world.state.remember_process(unit, state.process.pid, state.process.started, 0)
        if alive:
            world.supervisor.alive.add(state.process.pid)
    world.supervisor.units.clear()
    world.host.aside.clear()
    world.host.claimed.clear()
    del world.did[:]


async def test_a_new_daemon_adopts_what_runs_and_starts_nothing(world: World) -> None:
    old = await world.live(ONE)
    new = await world.live(TWO, 2)
    forget_everything(world, alive=True)
    await boot(world.host)
    await settle_interrupted(world.host)
    everything = [*old.values(), *new.values()]
    assert sorted(world.did[:-1]) == sorted(f"adopt {g.upstream}/0" for g in everything)
    is_whole(world, new)


async def test_after_a_reboot_only_what_is_live_is_started(world: World) -> None:
    old = await world.live(blueprint({"web": SINGLE}))
    new = await world.live(blueprint({"web": {**SINGLE, "command": "two"}}), 2)
    forget_everything(world, alive=False)
    await boot(world.host)
    assert world.did == [f"start {new['web'].upstream}/0"]
    assert world.state.generation(old["web"].id).state is G.DRAINING


@pytest.mark.parametrize("committed", [False, True])
async def test_an_interrupted_deployment_is_undone_or_finished(world: World, committed: bool) -> None:
    old = await world.live(ONE)
    world.release(TWO, 2)
    row = world.deployment("rollback", {"release": 2})
    world.state.set_deployment_release(row.id, 2)
    made = {}
    for service in old:
        made[service] = world.state.add_generation(SHOP, service, 2, row.id, "p")
        unit = world.state.add_instance(f"{made[service].upstream}/0", made[service].id, 0, 20001 + len(made)).unit
        world.supervisor.set(unit, Status.READY)
    world.state.begin_step(row.id, "shift")
    if committed:
        world.state.commit(row.id, [g.id for g in made.values()], [g.id for g in old.values()], (9e9, 9e9))
    forget_everything(world, alive=True)
    await boot(world.host)
    await settle_interrupted(world.host)
    settled = world.state.deployment(row.id)
    assert settled.state is (DeploymentState.DONE if committed else DeploymentState.UNDONE)
    assert [s.state for s in world.state.steps(row.id)] == ["done" if committed else "undone"]
    is_whole(world, made if committed else old)
    assert (len(world.supervisor.units) == 4) == committed


@pytest.mark.parametrize("begun", [False, True])
async def test_required_checks_that_were_cut_short_are_said(world: World, begun: bool) -> None:
    await world.live(ONE)
    two = TWO.model_copy(update={"release": TWO.release.model_copy(update={"require": ("tls", "health-answers")})})
    world.release(two, 2)
    row = world.deployment("deploy", {})
    world.state.set_deployment_release(row.id, 2)
    world.state.commit(row.id, [], [], (9e9, 9e9))
    world.state.begin_step(row.id, "require" if begun else "verify")
    forget_everything(world, alive=True)
    await boot(world.host)
    await settle_interrupted(world.host)
    settled = world.state.deployment(row.id)
    assert settled.state is DeploymentState.DONE
    assert [s.state for s in world.state.steps(row.id)] == ["failed" if begun else "done"]
    assert settled.error is not None
    said = "release 2 is live, but its required checks were " + ("interrupted" if begun else "not made")
    assert settled.error["what"] == said
    assert "golive check --only tls --only health-answers" in settled.error["hint"]


async def test_a_changeover_cut_short_by_the_daemons_death_is_taken_back(world: World) -> None:
    old = (await world.live(blueprint({"web": SINGLE})))["web"]
    world.release(blueprint({"web": {**SINGLE, "command": "two"}}), 2)
    row = world.deployment("rollback", {"release": 2})
    new = world.state.add_generation(SHOP, "web", 2, row.id, "p")
    world.supervisor.units.clear()
    world.supervisor.set(world.state.add_instance(f"{new.upstream}/0", new.id, 0, 9000).unit, Status.STARTING)
    world.state.begin_step(row.id, "changeover")
    forget_everything(world, alive=True)
    await boot(world.host)
    await settle_interrupted(world.host)
    is_whole(world, {"web": old})
    assert list(world.supervisor.units) == [f"{old.upstream}/0"]


async def test_what_an_undo_could_not_stop_is_stopped_at_the_next_start(world: World) -> None:
    old = await world.live(ONE)
    row = world.deployment("rollback", {"release": 1})
    left = world.state.add_generation(SHOP, "web", 1, row.id, "p")
    world.state.end_deployment(row.id, DeploymentState.FAILED)
    await settle_interrupted(world.host)
    assert world.state.generation(left.id).state is G.STOPPED
    is_whole(world, old)


async def test_deployments_of_this_daemon_are_not_settled(world: World) -> None:
    await world.live(ONE)
    row = world.deployment("rollback", {"release": 1})
    await settle_interrupted(world.host, under_way=(row.id,))
    assert world.state.deployment(row.id).state is DeploymentState.RUNNING
