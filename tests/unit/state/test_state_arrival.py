"""A state that came to another machine: nothing runs there yet, and what names an address may be changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from state_rows import SHOP, add_release, generation, open_state

from golive.secret import Secret
from golive.state.records import Copy, DeploymentState, GenerationState, ResourceRow
from golive.state.store import State


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = open_state(tmp_path)
    yield opened
    opened.close()


def resource(state: State, name: str, port: int) -> ResourceRow:
    state.add_resource(ResourceRow(SHOP, name, "postgres", "15.1", port, b""), Secret("password"))
    return next(row for row in state.resources(SHOP) if row.name == name)


def test_what_was_true_of_the_old_machine_is_taken_out(state: State) -> None:
    state.remember_app(SHOP, "/src")
    add_release(state, 1)
    state.set_release(SHOP, 1, "ready")
    state.set_live(SHOP, 1)
    add_release(state, 2)
    under_way = state.queue_deployment(SHOP, "deploy", {}, "me")
    state.begin_deployment(under_way, 1)
    state.begin_step(under_way, "build")
    live, warm = generation(state), generation(state, to=GenerationState.WARM)
    for made in (live, warm):
        state.add_instance(f"{made.upstream}/0", made.id, 0, 20000 + made.id)
        state.remember_process(f"{made.upstream}/0", 4711, "then", 0)
    resource(state, "db", 21000)
    resource(state, "db@try-1", 21001)
    state.add_copy(Copy(SHOP, "db@try-1", "db", "branch", "ready", "the live one", {}, 1.0, "me", None))

    assert state.arrive() == ["shop/production/db@try-1"]
    assert state.arrive() == []

    assert [row.name for row in state.resources(SHOP)] == ["db"]
    assert [each.id for each in state.generations()] == [live.id]
    assert len(state.instances(live.id)) == 1
    assert state.instances(warm.id) == []
    assert state.process(f"{live.upstream}/0") is None
    assert state.deployment(under_way).state is DeploymentState.UNDONE
    assert [step.state for step in state.steps(under_way)] == ["undone"]
    assert state.release(SHOP, 2).state == "failed"
    assert state.release(SHOP, 1).state == "ready"


def test_ports_and_what_names_them_may_be_changed(state: State) -> None:
    state.remember_app(SHOP, "/src")
    add_release(state, 1, environment={"DATABASE_URL": "postgresql://127.0.0.1:21000/shop"})
    row = resource(state, "db", 21000)
    made = generation(state)
    instance = state.add_instance(f"{made.upstream}/0", made.id, 0, 20000)

    state.move_resource(row, 22000)
    state.move_instance(instance, 20001, 20002)
    state.replace_environments(state.release(SHOP, 1), {"web": {"DATABASE_URL": Secret("another")}})
    state.replace_fingerprint(made, "other print")

    assert state.resources(SHOP)[0].port == 22000
    assert state.resource_password(state.resources(SHOP)[0]) == Secret("password")
    assert [(each.port, each.grpc_port) for each in state.instances(made.id)] == [(20001, 20002)]
    assert state.release_environments(SHOP, 1) == {"web": {"DATABASE_URL": Secret("another")}}
    assert state.generation(made.id).fingerprint == "other print"


def test_a_change_is_told_from_none(state: State) -> None:
    before = state.last_change()
    assert state.last_change() == before
    state.audit("me", "env.set", SHOP, name="X")
    after = state.last_change()
    assert after != before
    id = state.queue_deployment(SHOP, "deploy", {}, "me")
    state.begin_deployment(id, None)
    begun = state.last_change()
    state.end_deployment(id, DeploymentState.DONE)
    assert len({before, after, begun, state.last_change()}) == 4
