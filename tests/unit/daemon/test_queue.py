"""One deployment at a time in each environment, each ended once, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from daemon_fakes import Running
from release_fakes import SHOP

from golive.errors import Conflict, StateError
from golive.release.scaling import scale
from golive.state.records import DeploymentState, GenerationState, Place

D = DeploymentState
BLOG = Place("blog", "production")


async def test_deployments_of_a_place_run_one_after_the_other(running: Running) -> None:
    for number in (1, 2, 3):
        running.keep(number, f"serve {number}")
    running.gate.clear()
    ids = [running.rollback(number) for number in (1, 2, 3)]
    await running.reaches(ids[0], "ready")
    assert [running.state.deployment(id).state for id in ids] == [D.RUNNING, D.QUEUED, D.QUEUED]
    assert running.daemon.is_busy(SHOP)
    running.gate.set()
    assert [(await running.ended(id)).state for id in ids] == [D.DONE] * 3
    rows = [running.state.deployment(id) for id in ids]
    assert all((a.ended_at or 0) <= (b.started_at or 0) for a, b in itertools.pairwise(rows))
    assert [row.previous for row in rows] == [None, 1, 2]
    app = running.state.app(SHOP)
    assert app and app.live == 3
    assert not running.daemon.is_busy(SHOP)


async def test_places_do_not_wait_for_each_other(running: Running) -> None:
    running.keep(1)
    running.keep(1, place=BLOG)
    running.gate.clear()
    ids = [running.rollback(1), running.rollback(1, BLOG)]
    for id in ids:
        await running.reaches(id, "ready")
    running.gate.set()
    assert [(await running.ended(id)).state for id in ids] == [D.DONE, D.DONE]


async def test_a_deploy_that_waits_gives_way_to_a_newer_one_of_the_same(running: Running) -> None:
    running.keep(1)
    running.gate.clear()
    first = running.rollback(1)
    await running.reaches(first, "ready")
    request = {"checkout": "/nowhere/at/all"}
    old, other, new = (
        running.daemon.submit("deploy", SHOP, r, "me") for r in (request, {"checkout": "/elsewhere"}, request)
    )
    running.gate.set()
    assert (await running.ended(old)).state is D.UNDONE
    assert (running.state.deployment(old).error or {})["kind"] == "Cancelled"
    assert running.state.steps(old) == []
    assert (await running.ended(other)).state is D.FAILED  # it was tried
    assert (await running.ended(new)).state is D.FAILED
    assert (running.state.deployment(new).error or {})["kind"] == "BlueprintError"


async def test_one_that_fails_is_undone_and_the_next_gets_its_turn(running: Running) -> None:
    running.keep(1)
    running.keep(2, "serve two")
    await running.ended(running.rollback(1))
    running.world.supervisor.broken.add("shop/production/web/d2/0")
    bad, good = running.rollback(2), running.rollback(2)
    row = await running.ended(bad)
    assert (row.state, (row.error or {})["kind"]) == (D.FAILED, "StartFailed")
    assert (await running.ended(good)).state is D.DONE
    assert sorted(running.world.states().values()) == ["draining", "live", "stopped"]


async def test_a_bug_is_an_error_of_the_deployment_without_its_secrets(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.keep(1)

    async def broken(_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("golive.release.deploy.Deploy.run", broken)
    row = await running.ended(running.rollback(1))
    assert row.state is D.FAILED
    assert (row.error or {})["what"] == "golive itself failed"
    assert "ZeroDivisionError" in (row.error or {})["why"]


async def test_a_state_that_cannot_be_written_does_not_stop_the_queue(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.keep(1)
    real, full = running.state.begin_deployment, [StateError("full")]

    def begin(*args: object) -> None:
        if full:
            raise full.pop()
        real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(running.state, "begin_deployment", begin)
    first, second = running.rollback(1), running.rollback(1)
    assert (await running.ended(second)).state is D.DONE
    assert running.state.deployment(first).state is D.QUEUED  # the next daemon takes it up


# Cancelling


async def test_one_that_waits_is_cancelled_without_a_trace(running: Running) -> None:
    running.keep(1)
    running.gate.clear()
    first, waiting = running.rollback(1), running.rollback(1)
    await running.reaches(first, "ready")
    assert await running.daemon.cancel(waiting, "me")
    running.gate.set()
    assert (await running.ended(first)).state is D.DONE
    assert (await running.ended(waiting)).state is D.UNDONE
    assert running.state.steps(waiting) == []


async def test_one_that_runs_is_undone(running: Running) -> None:
    running.keep(1)
    running.keep(2, "serve two")
    await running.ended(running.rollback(1))
    running.gate.clear()
    id = running.rollback(2)
    await running.reaches(id, "ready")
    assert await running.daemon.cancel(id, "me")
    running.gate.set()
    row = await running.ended(id)
    assert (row.state, (row.error or {})["kind"]) == (D.UNDONE, "Cancelled")
    assert {s.name: s.state for s in running.state.steps(id)}["ready"] == "undone"
    assert sorted(running.world.states().values()) == ["live", "stopped"]
    app = running.state.app(SHOP)
    assert app and app.live == 1
    assert running.state.audit_log()[0].action == "cancel"


async def test_what_has_traffic_is_not_cancelled(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from golive.release import verify

    running.keep(1)
    going = asyncio.Event()

    async def long(*_: object) -> list[verify.Evidence]:
        await going.wait()
        return []

    monkeypatch.setattr(verify, "through_the_edge", long)
    id = running.rollback(1)
    await running.reaches(id, "verify")
    assert not await running.daemon.cancel(id, "me")
    going.set()
    assert (await running.ended(id)).state is D.DONE
    assert not await running.daemon.cancel(id, "me")


# Between deployments


async def test_scaling_waits_for_no_deployment_and_deployments_for_scaling(running: Running) -> None:
    running.keep(1)
    await running.ended(running.rollback(1))
    async with running.host.changing(SHOP):
        id = running.rollback(1)
        await asyncio.sleep(0.01)
        assert running.state.deployment(id).state is D.QUEUED
        with pytest.raises(Conflict):
            await scale(running.host, SHOP, "web", 1)
    assert (await running.ended(id)).state is D.DONE


async def test_the_end_of_the_daemon_leaves_a_deployment_to_the_next_one(running: Running) -> None:
    running.keep(1)
    running.keep(2, "serve two")
    await running.ended(running.rollback(1))
    running.gate.clear()
    id = running.rollback(2)
    await running.reaches(id, "ready")
    rows: list[DeploymentState] = []
    close = running.state.close
    running.state.close = lambda: (rows.append(running.state.deployment(id).state), close())[1]  # type: ignore[method-assign]
    await running.daemon.stop()
    assert rows == [D.RUNNING]
    assert running.world.did[-1] == "released"
    assert len([u for u in running.world.supervisor.units if u.startswith("shop/")]) == 2
    running.daemon.stop = _nothing  # type: ignore[method-assign]


async def _nothing() -> None:
    return


async def test_an_instance_that_turns_unready_leaves_the_edge_even_during_a_deployment_elsewhere(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from release_fakes import WEB, blueprint

    from golive.supervise.unit import Status

    monkeypatch.setattr("golive.daemon.daemon.asyncio.sleep", _soon)
    web = (await running.world.live(blueprint({"web": {**WEB, "scale": {"min": 2, "max": 2}}})))["web"]
    running.keep(1, place=BLOG)
    running.gate.clear()
    id = running.rollback(1, BLOG)
    await running.reaches(id, "ready")
    task = asyncio.create_task(running.daemon._keep_edge_in_line())
    one, two = running.state.instances(web.id)
    running.world.supervisor.set(one.unit, Status.UNREADY)
    running.daemon._on_change(running.world.supervisor.units[one.unit])
    async with asyncio.timeout(120):
        while running.world.gateway.endpoints(web.upstream) != [two.port]:
            await _soon(0)
    assert running.state.process(one.unit) is not None
    task.cancel()
    running.gate.set()
    await running.ended(id)
    assert running.state.generation(web.id).state is GenerationState.LIVE


_real_sleep = asyncio.sleep


async def _soon(_: float) -> None:
    await _real_sleep(0)
