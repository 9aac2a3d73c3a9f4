"""A service's redirects, rewrites, headers and slashes reach the rules of its routes, and no other's."""

from __future__ import annotations

from release_fakes import WEB, World, blueprint

from golive.release.traffic import edge_config


async def test_rules_reach_every_route_of_their_service_alone(world: World) -> None:
    web = {
        **WEB,
        "route": ["/", "/shop"],
        "redirects": [{"source": "/a", "destination": "/b"}],
        "trailing_slash": False,
    }
    await world.live(blueprint({"web": web, "api": {**WEB, "route": ["/api"]}}))
    rules = {rule.prefix: rule for _, rule in edge_config(world.host).rules()}
    assert [r.kind for r in rules["/"].rules] == ["redirect", "redirect"]
    assert rules["/shop"].rules == rules["/"].rules
    assert rules["/api"].rules == ()
    assert not any(rule.serves_files for rule in rules.values())


async def test_a_static_service_leaves_slashes_to_the_edge_that_was_told_about_them(world: World) -> None:
    site = {"kind": "static", "route": ["/"], "headers": [{"source": "/(.*)", "headers": {"x-a": "1"}}]}
    for number, (slash, sent) in enumerate(((None, None), (True, "edge"), (False, "edge")), 1):
        await world.live(blueprint({"site": {**site, "trailing_slash": slash}}), number)
        (_, rule) = next(iter(edge_config(world.host).rules()))
        assert dict(rule.request_headers).get("x-golive-slash") == sent
        assert rule.serves_files
        assert rule.rules[-1].kind == "headers"
