"""Scheduled runs: one of a service at a time, each moment once, through the daemon's own death."""

from __future__ import annotations

import asyncio

import pytest
from daemon_fakes import Running
from release_fakes import SHOP, blueprint

from golive.daemon.cron import Cron
from golive.state.records import Generation
from golive.system.processes import Exit

NIGHTLY = {"kind": "cron", "command": "clean", "schedule": "* * * * *"}


async def job(running: Running) -> Generation:
    return (await running.world.live(blueprint({"nightly": NIGHTLY})))["nightly"]


def last(running: Running) -> tuple[float, str]:
    found = running.state.last_cron_run(SHOP, "nightly")
    assert found
    return found["due_at"], found["outcome"]


async def finish(running: Running, made: Generation, exit: Exit) -> None:
    unit = f"{made.upstream}/cron"
    for _ in range(20):
        await asyncio.sleep(0)
    running.world.supervisor.exits.pop(unit).set_result(exit)
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("exit", "outcome"), [(Exit(code=0), "ok"), (Exit(code=3), str(Exit(code=3)))])
async def test_a_run_and_its_outcome(running: Running, exit: Exit, outcome: str) -> None:
    made, cron = await job(running), Cron(running.host)
    cron._start(made, 60.0)
    cron._start(made, 60.0)
    await finish(running, made, exit)
    assert last(running) == (60.0, outcome)
    assert running.world.did.count(f"start {made.upstream}/cron") == 1
    assert running.state.process(f"{made.upstream}/cron") is None
    assert f"{made.upstream}/cron" not in running.world.supervisor.units


async def test_one_that_goes_on_is_not_joined_by_another(running: Running) -> None:
    made, cron = await job(running), Cron(running.host)
    cron._start(made, 60.0)
    await asyncio.sleep(0)
    cron._start(made, 120.0)
    assert last(running) == (120.0, "skipped: the last run still goes on")
    await finish(running, made, Exit(code=0))
    cron._start(made, 180.0)
    await finish(running, made, Exit(code=0))
    assert last(running) == (180.0, "ok")


async def test_a_look_starts_what_is_due_once(running: Running) -> None:
    made, cron = await job(running), Cron(running.host)
    service = running.host.service(made)
    assert cron._look(made, service, 100.0, 110.0) == 120.0
    assert running.state.last_cron_run(SHOP, "nightly") is None
    assert cron._look(made, service, 110.0, 121.0) == 180.0
    assert cron._look(made, service, 110.0, 122.0) == 180.0  # the clock went back a little
    assert running.state.open_cron_runs() == [(SHOP, "nightly", 120.0)]
    await finish(running, made, Exit(code=0))
    # After hours asleep one of the missed moments runs, not all.
    assert cron._look(made, service, 122.0, 9000.5) == 9060.0
    assert last(running)[0] == 180.0
    await finish(running, made, Exit(code=0))
    # Set back by hours: what has run does not run again.
    assert cron._look(made, service, 9000.5, 150.0) == 180.0
    cron._start(made, 180.0)
    assert running.state.open_cron_runs() == []


async def test_a_changed_schedule_holds_though_nothing_was_started(running: Running) -> None:
    made = await job(running)
    changed = {**NIGHTLY, "schedule": "30 4 * * *", "timezone": "Europe/Berlin"}
    again = (await running.world.live(blueprint({"nightly": changed}), 2))["nightly"]
    assert again.id == made.id
    ((_, service),) = Cron(running.host)._scheduled()
    assert (service.schedule, service.timezone) == ("30 4 * * *", "Europe/Berlin")


async def test_a_run_outlives_the_daemon_and_is_taken_up(running: Running) -> None:
    made, cron = await job(running), Cron(running.host)
    unit = f"{made.upstream}/cron"
    cron._start(made, 60.0)
    for _ in range(5):
        await asyncio.sleep(0)
    await cron.stop()
    assert last(running) == (60.0, "running")
    process = running.world.supervisor.units[unit].process
    assert process
    running.state.remember_process(unit, process.pid, process.started, 0)
    running.world.supervisor.units.clear()
    running.world.supervisor.alive.add(process.pid)
    running.world.supervisor.exits.clear()

    following = Cron(running.host)
    following._resume()
    assert running.world.did[-1] == f"adopt {unit}"
    following._start(made, 120.0)
    assert last(running) == (120.0, "skipped: the last run still goes on")
    await finish(running, made, Exit(code=0))
    assert running.state.open_cron_runs() == []


async def test_a_run_that_ended_unseen_is_closed(running: Running) -> None:
    made, cron = await job(running), Cron(running.host)
    unit = f"{made.upstream}/cron"
    running.state.begin_cron_run(SHOP, "nightly", 60.0)
    running.state.remember_process(unit, 99, "t", 0)
    cron._resume()
    assert "not seen" in last(running)[1]
    assert running.state.process(unit) is None
    cron._start(made, 120.0)
    await finish(running, made, Exit(code=0))
    assert last(running) == (120.0, "ok")


async def test_what_golive_cannot_start_is_an_outcome(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    made, cron = await job(running), Cron(running.host)

    async def full(_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(running.world.supervisor, "start", full)
    cron._start(made, 60.0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert last(running) == (60.0, "golive itself failed: OSError")


async def test_the_trouble_of_one_is_not_the_others(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await job(running)
    cron = Cron(running.host)
    calls = []

    def look(*args: object) -> float:
        calls.append(args)
        if len(calls) == 1:
            raise ValueError("a schedule that croniter does not take")
        return 9e9

    async def ends(_: float) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(cron, "_look", look)
    monkeypatch.setattr(cron, "_scheduled", lambda: [(made, running.host.service(made))] * 2)
    monkeypatch.setattr("golive.daemon.cron.asyncio.sleep", ends)
    with pytest.raises(asyncio.CancelledError):
        await cron.run()
    assert len(calls) == 2
