"""What a release changes: fingerprints, plans, and how many instances."""

from __future__ import annotations

import random
from typing import Any

import pytest
from release_fakes import SHOP, WEB, WORKER, blueprint

from golive.blueprint.models import Service
from golive.release.desired import EDGE_ONLY, Action, fingerprint, instances_wanted, plan_services, replaced
from golive.secret import Secret
from golive.state.records import Generation, GenerationState

G = GenerationState
ENV = {"A": Secret("1"), "GOLIVE_RELEASE": Secret("7")}


def service(**settings: Any) -> Service:
    return Service.model_validate({**WEB, **settings})


def generation(
    id: int, print_: str, state: GenerationState = G.LIVE, name: str = "web", warm_until: float | None = 9e9
) -> Generation:
    return Generation(id, SHOP, name, 1, 1, print_, state, None, warm_until if state is G.WARM else None)


@pytest.mark.parametrize(
    "change",
    [
        {"route": ["/other"]},
        {"strip_prefix": True},
        {"domains": ["a.example.com"]},
        {"rate_limit": [{"limit": "5/min"}]},
        {"timeout": "30s"},
        {"idle_timeout": "1h"},
        {"scale": {"min": 2, "max": 3, "cpu": "70%"}},
        {"timezone": "Europe/Berlin"},
        {"schedule": "@daily"},
    ],
)
def test_what_the_edge_or_the_daemon_does_needs_no_new_instance(change: dict[str, Any]) -> None:
    assert set(change) <= EDGE_ONLY
    assert fingerprint(service(**change), "a", ENV) == fingerprint(service(), "a", ENV)


@pytest.mark.parametrize(
    "change",
    [
        {"command": "serve --fast"},
        {"port": 9000},
        {"health": {"ready": {"path": "/ready"}}},
        {"limits": {"memory": "512MB"}},
        {"env": {"B": "2"}},
        {"restart": "never"},
        {"stop_timeout": "30s"},
        {"overlap": False},
        {"source": "elsewhere"},
    ],
)
def test_what_a_process_is_made_of_does(change: dict[str, Any]) -> None:
    assert fingerprint(service(**change), "a", ENV) != fingerprint(service(), "a", ENV)


def test_every_setting_is_one_or_the_other() -> None:
    assert set(Service.model_fields) >= EDGE_ONLY


def test_artifact_and_environment_count_and_the_releases_number_does_not() -> None:
    plain = fingerprint(service(), "a", ENV)
    assert fingerprint(service(), "b", ENV) != plain
    assert fingerprint(service(), "a", {**ENV, "A": Secret("2")}) != plain
    assert fingerprint(service(), "a", {**ENV, "B": Secret("")}) != plain
    assert fingerprint(service(), "a", {"A": Secret("1")}) == plain
    assert fingerprint(service(), "a", {**ENV, "GOLIVE_RELEASE": Secret("8")}) == plain
    assert fingerprint(service(), "a", dict(reversed(ENV.items()))) == plain
    assert "1" not in {plain, plain[:1] * 0 or None}


def plan_web(running: list[Generation], *, force: tuple[str, ...] = (), **settings: Any) -> tuple[Action, int | None]:
    made = blueprint({"web": {**WEB, **settings}})
    (found,) = plan_services(made, {"web": "a"}, {}, running, force)
    return found.action, found.generation


def own_print(**settings: Any) -> str:
    return fingerprint(service(**settings), "a", {})


def test_plans() -> None:
    same = own_print()
    assert plan_web([]) == (Action.START, None)
    assert plan_web([generation(1, same)]) == (Action.KEEP, 1)
    assert plan_web([generation(1, "other")]) == (Action.START, None)
    assert plan_web([generation(1, same)], force=("web",)) == (Action.START, None)
    assert plan_web([generation(1, same, G.WARM), generation(2, "other")]) == (Action.REUSE, 1)
    assert plan_web([generation(1, same, G.WARM), generation(3, same, G.DRAINING)]) == (Action.REUSE, 3)
    assert plan_web([generation(1, same, G.WARM), generation(2, same)]) == (Action.KEEP, 2)
    assert plan_web([generation(1, same, name="other")]) == (Action.START, None)


@pytest.mark.parametrize("state", [G.STARTING, G.READY, G.STOPPED])
def test_what_is_not_served_yet_or_any_more_is_never_taken_over(state: GenerationState) -> None:
    assert plan_web([generation(1, own_print(), state)]) == (Action.START, None)


def test_a_warm_one_that_is_being_stopped_is_not_traffics_way_back() -> None:
    assert plan_web([generation(1, own_print(), G.WARM, warm_until=0)]) == (Action.START, None)


@pytest.mark.parametrize("state", [G.WARM, G.DRAINING])
def test_what_cannot_overlap_does_not_come_back_from_draining(state: GenerationState) -> None:
    assert plan_web([generation(1, own_print(overlap=False), state)], overlap=False) == (Action.START, None)
    made = blueprint({"worker": WORKER})
    old = generation(1, fingerprint(made.services["worker"], "a", {}), state, "worker")
    assert plan_services(made, {"worker": "a"}, {}, [old])[0].action is Action.START


def test_live_generations_of_changed_and_of_removed_services_are_replaced() -> None:
    made = blueprint({"web": WEB, "api": {**WEB, "route": ["/api"]}})
    kept = generation(1, fingerprint(made.services["web"], "a", {}))
    running = [kept, generation(2, "old", name="api"), generation(3, "x", name="gone"), generation(4, "x", G.WARM)]
    plans = plan_services(made, {"web": "a", "api": "a"}, {}, running)
    assert [g.id for g in replaced(plans, running)] == [2, 3]


@pytest.mark.parametrize(
    ("settings", "asked", "wanted"),
    [
        ({}, None, 1),
        ({"scale": {"min": 2, "max": 4}}, None, 2),
        ({"scale": {"min": 2, "max": 4}}, 3, 3),
        ({"scale": {"min": 2, "max": 4}}, 9, 4),
        ({"scale": {"min": 2, "max": 4}}, 0, 2),
        ({"scale": {"min": 3, "max": 1}}, None, 3),
        ({"scale": {"min": 0, "max": 2}}, 0, 0),
        ({"kind": "static", "scale": {"min": 2, "max": 2}}, 5, 0),
        ({"kind": "cron", "schedule": "@daily"}, None, 0),
    ],
)
def test_instances_wanted(settings: dict[str, Any], asked: int | None, wanted: int) -> None:
    assert instances_wanted(service(**settings), asked) == wanted


@pytest.mark.parametrize("seed", range(30))
def test_any_plan_names_each_service_once_and_takes_over_only_its_own(seed: int) -> None:
    choose = random.Random(seed)
    made = blueprint({n: {**WEB, "overlap": choose.random() < 0.7} for n in ("web", "api", "admin")})
    prints = [fingerprint(s, "a", {}) for s in made.services.values()] + ["x"]
    running = [
        generation(n, choose.choice(prints), choose.choice(list(G)), choose.choice([*made.services, "gone"]), n % 3)
        for n in range(1, choose.randrange(2, 12))
    ]
    force = [name for name in made.services if choose.random() < 0.3]
    plans = plan_services(made, dict.fromkeys(made.services, "a"), {}, running, force)
    by_id = {g.id: g for g in running}
    assert [p.name for p in plans] == list(made.services)
    for plan in plans:
        assert (plan.generation is None) == (plan.action is Action.START)
        assert plan.action is Action.START or plan.name not in force
        if plan.generation:
            taken = by_id[plan.generation]
            assert (taken.service, taken.fingerprint) == (plan.name, plan.fingerprint)
            assert (taken.state is G.LIVE) == (plan.action is Action.KEEP)
    kept = {p.generation for p in plans if p.action is Action.KEEP}
    assert {g.id for g in replaced(plans, running)} | kept >= {g.id for g in running if g.state is G.LIVE}
