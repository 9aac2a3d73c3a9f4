"""The state: what is written is read again, all of it or none, and what belongs to one place only."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from state_rows import SHOP, add_release, generation, open_state, release

from golive.errors import NotFound, StateError
from golive.secret import Secret
from golive.state.records import DeploymentState, GenerationState, Place, ResourceRow
from golive.state.store import State

G = GenerationState


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = open_state(tmp_path)
    yield opened
    opened.close()


def deployed(state: State, number: int = 1) -> int:
    """A running deployment of a release."""
    state.remember_app(SHOP, "/src")
    add_release(state, number)
    id = state.queue_deployment(SHOP, "deploy", {"checkout": "/src"}, "me")
    state.begin_deployment(id, None)
    state.set_deployment_release(id, number)
    return id


# Apps and releases


def test_an_app_is_remembered_once_with_its_last_checkout(state: State) -> None:
    state.remember_app(SHOP, "/old")
    first = state.app(SHOP)
    state.remember_app(SHOP, "/new")
    found = state.app(SHOP)
    assert first and found and found.checkout == "/new" and found.live is None
    assert found.created_at == first.created_at
    assert [a.place for a in state.apps()] == [SHOP]
    assert state.app(Place("shop", "staging")) is None


def test_releases_are_numbered_and_kept(state: State) -> None:
    assert state.next_release_number(SHOP) == 1
    add_release(state, 1)
    add_release(state, 2)
    state.set_release(SHOP, 1, "ready", "0003")
    state.set_release(SHOP, 1, "pruned")
    assert state.next_release_number(SHOP) == 3
    assert [r.number for r in state.releases(SHOP)] == [2, 1]
    assert state.release(SHOP, 1).state == "pruned"
    assert state.release(SHOP, 1).schema_version == "0003"
    assert state.release(SHOP, 2) == release(2)
    with pytest.raises(NotFound, match="has no release 3"):
        state.release(SHOP, 3)


def test_the_database_refuses_what_it_does_not_know(state: State) -> None:
    add_release(state)
    with pytest.raises(sqlite3.IntegrityError):
        state.set_release(SHOP, 1, "perfect")
    with pytest.raises(sqlite3.IntegrityError):
        add_release(state)
    with pytest.raises(sqlite3.IntegrityError):
        state.begin_step(99, "build")


# Deployments


def test_a_deployment_from_the_queue_to_its_end(state: State) -> None:
    id = state.queue_deployment(SHOP, "deploy", {"checkout": "/src"}, "me")
    assert state.deployment(id).state is DeploymentState.QUEUED
    assert [d.id for d in state.unfinished_deployments()] == [id]
    state.begin_deployment(id, 4)
    state.set_deployment_result(id, {"url": "https://x"})
    state.end_deployment(id, DeploymentState.FAILED, {"what": "no"})
    row = state.deployment(id)
    assert (row.state, row.previous, row.result, row.error) == (
        DeploymentState.FAILED, 4, {"url": "https://x"}, {"what": "no"}
    )  # fmt: skip
    assert row.queued_at <= (row.started_at or 0) <= (row.ended_at or 0)
    assert state.unfinished_deployments() == []
    with pytest.raises(NotFound):
        state.deployment(id + 1)


def test_deployments_are_newest_first_and_limited(state: State) -> None:
    other = Place("blog", "production")
    ids = [state.queue_deployment(place, "deploy", {}, "me") for place in (SHOP, other, SHOP)]
    assert [d.id for d in state.deployments()] == ids[::-1]
    assert [d.id for d in state.deployments(SHOP)] == [ids[2], ids[0]]
    assert [d.id for d in state.deployments(limit=1)] == [ids[2]]
    assert [d.id for d in state.unfinished_deployments()] == ids


def test_steps_stand_in_the_order_they_began(state: State) -> None:
    id = deployed(state)
    for name in ("validate", "build"):
        position = state.begin_step(id, name)
        state.end_step(id, position, "done", f"{name} well")
    state.begin_step(id, "start")
    steps = state.steps(id)
    assert [(s.position, s.name, s.state, s.detail) for s in steps] == [
        (0, "validate", "done", "validate well"), (1, "build", "done", "build well"), (2, "start", "running", "")
    ]  # fmt: skip
    assert steps[2].ended_at is None


def test_a_commit_moves_everything_at_once(state: State) -> None:
    id = deployed(state)
    old, new = generation(state), generation(state, to=G.READY)
    state.commit(id, [new.id], [old.id], (50.0, 90.0))
    assert state.generation(new.id).state is G.LIVE
    before = state.generation(old.id)
    assert (before.state, before.drain_until, before.warm_until) == (G.DRAINING, 50.0, 90.0)
    app = state.app(SHOP)
    assert app and app.live == 1
    assert state.release(SHOP, 1).state == "ready"
    assert state.deployment(id).committed


def test_a_commit_that_fails_half_way_changes_nothing(state: State) -> None:
    id = deployed(state)
    old, new = generation(state), generation(state, to=G.READY)
    before = (state.generations(), state.app(SHOP), state.deployment(id), state.release(SHOP, 1))
    state._db.execute("CREATE TRIGGER t BEFORE UPDATE OF committed ON deployment BEGIN SELECT raise(ABORT, 'no'); END")
    with pytest.raises(sqlite3.IntegrityError):
        state.commit(id, [new.id], [old.id], (50.0, 90.0))
    assert (state.generations(), state.app(SHOP), state.deployment(id), state.release(SHOP, 1)) == before


def test_a_retraction_is_the_commits_inverse(state: State) -> None:
    id = deployed(state, 2)
    old, new = generation(state), generation(state, to=G.READY)
    state.set_live(SHOP, 1)
    state.commit(id, [new.id], [old.id], (50.0, 90.0))
    state.retract(id, 1, [new.id], [old.id])
    app = state.app(SHOP)
    assert app and app.live == 1
    assert state.generation(old.id).state is G.LIVE
    assert state.generation(old.id).drain_until is None
    assert state.generation(new.id).state is G.DRAINING
    assert not state.deployment(id).committed


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_a_transaction_is_all_or_nothing(state: State, error: BaseException) -> None:
    with pytest.raises(type(error)), state.transaction():
        state.remember_app(SHOP, "/src")
        raise error
    assert state.apps() == []
    with state.transaction():
        state.remember_app(SHOP, "/src")
    assert len(state.apps()) == 1


def test_a_transaction_inside_another_is_refused_and_takes_the_outer_back(state: State) -> None:
    with pytest.raises(StateError, match="cannot be used"), state.transaction():
        state.remember_app(SHOP, "/src")
        with state.transaction():
            pass
    assert state.apps() == []


def test_history_goes_and_what_is_needed_stays(state: State) -> None:
    first, second, third = (deployed(state, n) for n in (1, 2, 3))
    gone = generation(state, to=G.STOPPED, deployment=first)
    live = generation(state, deployment=second)
    for id in (first, second, third):
        state.begin_step(id, "build")
        state.end_deployment(id, DeploymentState.DONE)
    state.begin_cron_run(SHOP, "nightly", 1.0)
    state.end_cron_run(SHOP, "nightly", 1.0, "ok")
    state.begin_cron_run(SHOP, "nightly", 2.0)
    state.audit("me", "deploy", SHOP)
    running = state.queue_deployment(Place("blog", "production"), "deploy", {}, "me")

    state.forget_history(time.time() - 1000)
    assert {d.id for d in state.deployments()} == {first, second, third, running}

    state.forget_history(time.time() + 1)
    assert {d.id for d in state.deployments()} == {second, third, running}  # live, newest, not ended
    assert state.steps(first) == []
    assert state.steps(second) != []
    assert state.generation(live.id) == live
    with pytest.raises(NotFound):
        state.generation(gone.id)
    assert state.open_cron_runs() == [(SHOP, "nightly", 2.0)]
    assert len(state.audit_log()) == 1
    assert [r.number for r in state.releases(SHOP)] == [3, 2, 1]


# What runs


def test_generations_by_state_and_place(state: State) -> None:
    other = Place("blog", "production")
    made = [generation(state, to=s) for s in G] + [generation(state, other)]
    assert state.generations() == [g for g in made if g.state is not G.STOPPED]
    assert state.generations(SHOP, (G.LIVE, G.STOPPED)) == [g for g in made[:-1] if g.state in (G.LIVE, G.STOPPED)]
    assert state.generations(other) == [made[-1]]
    assert state.generations(SHOP, ()) == []


def test_numbers_of_generations_are_never_given_twice(state: State) -> None:
    state.remember_app(SHOP, "/src")
    first = generation(state)
    state.forget_app(SHOP)
    assert generation(state).id > first.id


def test_instances_go_with_their_process(state: State) -> None:
    made = generation(state)
    unit = f"{made.upstream}/0"
    state.add_instance(unit, made.id, 0, 20001)
    state.remember_process(unit, 41, "t1", 0)
    state.remember_process(unit, 42, "t2", 3)
    assert state.process(unit) == (42, "t2", 3)
    assert state.processes() == {unit: (42, "t2", 3)}
    state.remove_instance(unit)
    assert state.instances(made.id) == []
    assert state.process(unit) is None


def test_promised_ports_are_those_of_what_runs_and_of_resources(state: State) -> None:
    for to, port in ((G.STARTING, 20001), (G.WARM, 20002), (G.STOPPED, 20003), (G.LIVE, None)):
        made = generation(state, to=to)
        state.add_instance(f"{made.upstream}/0", made.id, 0, port)
    state.add_resource(ResourceRow(SHOP, "db", "postgres", "16.1", 20009, b""), Secret("pw"))
    assert state.ports() == {20001, 20002, 20009}


def test_scale_is_kept_by_service(state: State) -> None:
    assert state.scale(SHOP, "web") is None
    state.set_scale(SHOP, "web", 2)
    state.set_scale(SHOP, "web", 3)
    assert state.scale(SHOP, "web") == 3
    assert state.scale(SHOP, "worker") is None


def test_a_scheduled_moment_is_begun_once(state: State) -> None:
    assert state.begin_cron_run(SHOP, "nightly", 60.0)
    assert not state.begin_cron_run(SHOP, "nightly", 60.0)
    assert state.begin_cron_run(SHOP, "other", 60.0)
    assert state.begin_cron_run(SHOP, "nightly", 120.0)
    state.end_cron_run(SHOP, "nightly", 60.0, "ok")
    assert not state.begin_cron_run(SHOP, "nightly", 60.0)
    last = state.last_cron_run(SHOP, "nightly")
    assert last and (last["due_at"], last["outcome"], last["ended_at"]) == (120.0, "running", None)
    assert state.open_cron_runs() == [(SHOP, "other", 60.0), (SHOP, "nightly", 120.0)]
    assert state.last_cron_run(SHOP, "never") is None


# What goes and what stays


def fill(state: State, place: Place, port: int) -> None:
    state.remember_app(place, "/src")
    add_release(state, 1, place)
    id = state.queue_deployment(place, "deploy", {}, "me")
    state.begin_step(id, "build")
    made = generation(state, place, deployment=id)
    state.add_instance(f"{made.upstream}/0", made.id, 0, port)
    state.remember_process(f"{made.upstream}/0", port, "t", 0)
    state.remember_process(f"{made.upstream}/cron", port, "t", 0)
    state.add_resource(ResourceRow(place, "db", "postgres", "16", port + 1, b""), Secret("pw"))
    state.remember_process(f"{place}/resource/db", port, "t", 0)
    state.set_variable(place, "KEY", Secret("v"), "me")
    state.set_scale(place, "web", 2)
    state.begin_cron_run(place, "web", 1.0)
    state.audit("me", "deploy", place)


def rows(state: State) -> dict[str, int]:
    tables = [r[0] for r in state._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    counts = {t: state._db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables}
    return {name: count for name, count in counts.items() if name != "sqlite_sequence"}


def test_a_forgotten_app_leaves_its_audit_log_and_nothing_else(state: State) -> None:
    state.remember_process("edge", 1, "t", 0)
    fill(state, SHOP, 20001)
    state.forget_app(SHOP)
    assert {name: count for name, count in rows(state).items() if count} == {"audit": 1, "process": 1, "vault": 1}


@pytest.mark.parametrize("other", ["shop/preview/x", "shop/Preview", "shop/preview-2", "shop/prev_ew"])
def test_forgetting_a_place_touches_no_other(state: State, other: str) -> None:
    app, _, environment = other.partition("/")
    fill(state, Place(app, environment), 20001)
    before = rows(state)
    for place in (Place("shop", "preview"), Place("shop", "pre%"), Place("shop", "prev_e_")):
        fill(state, place, 21000)
        state.forget_app(place)
    assert rows(state) == {**before, "audit": before["audit"] + 3}


def test_the_audit_log_is_newest_first_by_place(state: State) -> None:
    state.audit("me", "deploy", SHOP, deployment=1)
    state.audit("me", "daemon.stop")
    assert [(e.action, e.app, e.detail) for e in state.audit_log()] == [
        ("daemon.stop", None, {}), ("deploy", "shop", {"deployment": 1})
    ]  # fmt: skip
    assert [e.action for e in state.audit_log(SHOP)] == ["deploy"]
    assert [e.action for e in state.audit_log(limit=1)] == ["daemon.stop"]
