"""From the state to what the edge serves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from release_fakes import SHOP, WEB, WORKER, World, blueprint

from golive.errors import Conflict
from golive.release.traffic import STATIC, edge_config
from golive.state.records import GenerationState, Place
from golive.supervise.unit import Status

G = GenerationState
TWO = {**WEB, "scale": {"min": 2, "max": 2}}


def targets(world: World) -> dict[str, str]:
    return {rule.prefix: rule.targets[0][0] for _, rule in edge_config(world.host).rules()}


def ports(world: World, upstream: str) -> set[int]:
    return {e.port for u in edge_config(world.host).upstreams if u.name == upstream for e in u.endpoints}


async def test_services_become_routes_and_generations_upstreams(world: World) -> None:
    live = await world.live(blueprint({"web": WEB, "api": {**WEB, "route": ["/api", "/v2"]}, "worker": WORKER}))
    config = edge_config(world.host)
    web, api = live["web"].upstream, live["api"].upstream
    assert targets(world) == {"/": web, "/api": api, "/v2": api}
    assert {u.name for u in config.upstreams} == {STATIC, web, api}
    assert [site.domains for site in config.sites] == [("shop.localhost",)]
    assert [c.names for c in config.certificates] == [("shop.localhost",)]


async def test_settings_of_a_route_reach_its_rule(world: World) -> None:
    settings: dict[str, Any] = {
        **WEB, "route": ["/api"], "strip_prefix": True, "timeout": "9s", "idle_timeout": "8s",
        "rate_limit": [{"limit": "5/min"}], "domains": ["shop.localhost"],
    }  # fmt: skip
    await world.live(blueprint({"api": settings}))
    (_, rule) = next(iter(edge_config(world.host).rules()))
    assert (rule.strip_prefix, rule.timeout, rule.idle_timeout) == (True, timedelta(seconds=9), timedelta(seconds=8))
    assert (len(rule.rate_limits), rule.domains, rule.hold) == (1, ("shop.localhost",), None)


async def test_what_cannot_overlap_is_held_as_long_as_a_changeover_may_last(world: World) -> None:
    policy = {"verify": "0s", "stable": "0s", "ready_timeout": "20s", "drain": "10s"}
    await world.live(blueprint({"web": {**WEB, "overlap": False}}, release=policy))
    (_, rule) = next(iter(edge_config(world.host).rules()))
    assert rule.hold == timedelta(seconds=30)


async def test_a_static_service_goes_to_the_server_of_all_by_its_artifact(world: World) -> None:
    await world.live(blueprint({"site": {"kind": "static", "route": ["/"]}}))
    (_, rule) = next(iter(edge_config(world.host).rules()))
    assert rule.targets == ((STATIC, 100),)
    assert rule.request_headers == (("x-golive-root", "a"), ("x-golive-previous", "a"))


async def test_without_https_there_is_no_certificate(world: World) -> None:
    await world.live(blueprint({"web": WEB}, edge={"https": False}))
    assert edge_config(world.host).certificates == ()


async def test_an_unready_instance_leaves_while_another_is_well(world: World) -> None:
    web = (await world.live(blueprint({"web": TWO})))["web"]
    one, two = world.state.instances(web.id)
    assert ports(world, web.upstream) == {one.port, two.port}
    world.supervisor.set(one.unit, Status.UNREADY)
    assert ports(world, web.upstream) == {two.port}
    world.supervisor.set(two.unit, Status.UNREADY)
    assert ports(world, web.upstream) == {one.port, two.port}


async def test_a_crashed_instance_stays_since_it_is_back_in_a_moment(world: World) -> None:
    web = (await world.live(blueprint({"web": TWO})))["web"]
    one, two = world.state.instances(web.id)
    world.supervisor.set(one.unit, Status.BACKING_OFF)
    assert ports(world, web.upstream) == {one.port, two.port}


async def test_one_that_leaves_or_was_never_ready_gets_nothing(world: World) -> None:
    web = (await world.live(blueprint({"web": TWO})))["web"]
    one, two = world.state.instances(web.id)
    world.host.aside.add(one.unit)
    assert ports(world, web.upstream) == {two.port}
    world.host.aside.add(two.unit)
    assert ports(world, web.upstream) == set()


async def test_a_held_upstream_has_nobody_or_a_stand_in(world: World) -> None:
    first = (await world.live(blueprint({"web": WEB})))["web"]
    second = (await world.live(blueprint({"web": {**WEB, "command": "two"}}), 2))["web"]
    world.host.held[second.upstream] = None
    assert ports(world, second.upstream) == set()
    world.host.held[second.upstream] = first
    assert ports(world, second.upstream) == {i.port for i in world.state.instances(first.id)}


async def test_draining_generations_keep_their_upstream_and_warm_ones_do_not(world: World) -> None:
    first = (await world.live(blueprint({"web": WEB})))["web"]
    await world.live(blueprint({"web": {**WEB, "command": "two"}}), 2)
    assert ports(world, first.upstream)
    world.state.set_generation(first.id, G.WARM, warm_until=9e9)
    assert first.upstream not in {u.name for u in edge_config(world.host).upstreams}


async def test_a_kept_generation_follows_the_live_release(world: World) -> None:
    """Routes need no new instance, so its own release may know none."""
    first = await world.live(blueprint({"web": {**WEB, "route": []}}))
    assert targets(world) == {}
    second = await world.live(blueprint({"web": {**WEB, "route": ["/new"]}}), 2)
    assert second == first
    assert targets(world) == {"/new": first["web"].upstream}
    assert ports(world, first["web"].upstream)
    await world.live(blueprint({"web": {**WEB, "route": []}}), 3)
    assert targets(world) == {}


async def test_switching_holds_whoever_writes_the_edge(world: World) -> None:
    first = (await world.live(blueprint({"web": WEB})))["web"]
    new = world.state.add_generation(SHOP, "web", 1, 9, "new")
    world.host.switching[(*SHOP, "web")] = new
    world.host.held[new.upstream] = None
    assert targets(world) == {"/": new.upstream}
    assert ports(world, first.upstream)
    other = Place("blog", "production")
    await world.live(blueprint({"web": {**WEB, "route": ["/blog"]}}, name="blog", domains=["blog.localhost"]), 1, other)
    assert targets(world)["/"] == new.upstream


async def test_an_app_that_is_not_live_is_not_served(world: World) -> None:
    world.release(blueprint({"web": WEB}))
    assert edge_config(world.host).sites == ()
    await world.deploy(1)
    world.state.clear_live(SHOP)
    assert edge_config(world.host).sites == ()


async def test_two_apps_cannot_have_one_domain(world: World) -> None:
    await world.live(blueprint({"web": WEB}))
    world.release(blueprint({"web": WEB}), 1, Place("blog", "production"))
    with pytest.raises(Conflict, match=r"shop\.localhost is claimed by two"):
        await world.deploy(1, Place("blog", "production"))
    assert set(targets(world).values()) == {world.state.generations(SHOP)[0].upstream}
