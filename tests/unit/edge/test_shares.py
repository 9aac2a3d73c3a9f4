"""Two ways beside each other, and the Envoy routes made of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edge_examples import API, LAYOUT, config, limit, rule

from golive.blueprint.models import Service
from golive.blueprint.routing import rules_of
from golive.edge.model import Canary, EdgeConfig, Endpoint, Share, Upstream
from golive.edge.routes import render_routes

NEW, NEXT = "threadr/production/api/d18", "threadr/production/next/d9"
COMES = Share("golive-release", "8", "7.8", 5)
STAYS = Share("golive-release", "7.8", "8", None)


def brings(cookie: str, **more: Any) -> dict[str, Any]:
    regex = rf"(?:.*[;,]\s*)?{cookie}(?:\s*[;,].*)?"
    return {"name": "cookie", "string_match": {"safe_regex": {"regex": regex}}, **more}


def lacks(cookie: str) -> dict[str, Any]:
    return brings(cookie, invert_match=True, treat_missing_header_as_empty=True)


def given(cookie: str) -> dict[str, Any]:
    value = f"{cookie}; Path=/; HttpOnly; SameSite=Lax; Secure"
    return {"header": {"key": "set-cookie", "value": value}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}


def with_canary(made: EdgeConfig, *rules: Any, share: Share = COMES) -> EdgeConfig:
    sites = tuple(replace(site, canary=Canary(share, STAYS, rules)) for site in made.sites)
    return replace(made, sites=sites, upstreams=(*made.upstreams, Upstream(NEW, (Endpoint(port=20002),))))


def routes(made: EdgeConfig) -> list[dict[str, Any]]:
    found = render_routes(made, LAYOUT, tls=True)["resources"][0]
    return list(found["virtual_hosts"][0]["routes"][1:])


def short(route: dict[str, Any]) -> tuple[str, list[Any], int | None, list[Any]]:
    """Where to, which cookies are asked for, the fraction, which cookie is given."""
    clusters = route.get("route", {}).get("weighted_clusters", {"clusters": [{"name": "-"}]})["clusters"]
    cookies = [test for test in route["match"].get("headers", ()) if test["name"] == "cookie"]
    drawn = route["match"].get("runtime_fraction", {}).get("default_value", {})
    added = [h for h in route.get("response_headers_to_add", ()) if h["header"]["key"] == "set-cookie"]
    return clusters[0]["name"], cookies, drawn.get("numerator"), added


def test_a_canary_is_a_whole_release_before_the_other() -> None:
    plain = routes(config(rule("/api"), rule("/", ("web", 100))))
    made = routes(with_canary(config(rule("/api"), rule("/", ("web", 100))), rule("/", (NEW, 100))))
    assert (made[0], made[-1]) == (plain[0], plain[-1])
    stay, come, old = made[1:5], made[5:9], made[9:-1]
    assert [short(r) for r in stay] == [(name, [brings("golive-release=8")], None, []) for name in [NEW] * 3 + ["-"]]
    drawn = ([lacks(r"golive-release=7\.8")], 5, [given("golive-release=8")])
    assert [short(r) for r in come] == [(name, *drawn) for name in [NEW] * 3 + ["-"]]
    assert come[0]["match"]["runtime_fraction"] == {"default_value": {"numerator": 5, "denominator": "HUNDRED"}}
    assert (stay[3]["direct_response"]["status"], come[3]["direct_response"]["status"]) == (404, 404)
    names = [API] * 3
    kept = [(name, [brings(r"golive-release=7\.8")], None, []) for name in [*names, *["web"] * 3]]
    rest = [(name, [], None, [given("golive-release=7.8")]) for name in [*names, *["web"] * 3]]
    assert [short(r) for r in old] == kept + rest
    assert [{**r, "match": m["match"]} for r, m in zip(old[:6], plain[1:-1], strict=True)] == plain[1:-1]


def test_with_none_of_a_hundred_only_the_cookie_leads_to_it() -> None:
    made = routes(with_canary(config(rule()), rule("/", (NEW, 100)), share=replace(COMES, percent=0)))
    assert [short(r)[1:3] for r in made if short(r)[0] == NEW] == [([brings("golive-release=8")], None)] * 3


def pair(percent: int, **settings: Any) -> tuple[Any, Any]:
    mine = Share("golive-traffic-api", "next", "api", percent)
    taker = replace(rule("/", (NEXT, 100), **settings), service="next", share=mine)
    return rule(share=Share("golive-traffic-api", "api", "next", None)), taker


def test_a_service_that_replaces_another_comes_before_it() -> None:
    found = [short(r) for r in routes(config(*pair(20)))[1:-1]]
    comes, stays = given("golive-traffic-api=next"), given("golive-traffic-api=api")
    assert found == [
        *[(NEXT, [brings("golive-traffic-api=next")], None, [])] * 3,
        *[(NEXT, [lacks("golive-traffic-api=api")], 2000, [comes])] * 3,
        *[(API, [brings("golive-traffic-api=api")], None, [])] * 3,
        *[(API, [], None, [stays])] * 3,
    ]


def test_a_limit_of_one_of_two_cuts_both() -> None:
    made = routes(config(*pair(20, rate_limits=(limit(limit="5/min", path="/login"),))))
    login = [short(r)[0] for r in made if r["match"].get("path_separated_prefix") == "/login"]
    assert login == [NEXT] * 6 + [API] * 6


def test_a_rewrite_leads_to_its_own_service_of_two_else_to_the_one_that_is_replaced() -> None:
    api, taker = pair(20)
    settings = {"kind": "web", "rewrites": [{"source": "/x", "destination": "/y"}]}
    rules = rules_of(Service.model_validate(settings))
    other = replace(rule("/o", ("other", 100), rules=rules), service="other")
    made = routes(config(replace(api, rules=rules), replace(taker, rules=rules), other))
    rewritten = [short(r)[0] for r in made if "path_rewrite" in r.get("route", {})]
    assert rewritten == [API] * 3 + [NEXT] * 6 + [API] * 6


def test_a_route_is_drawn_once_only() -> None:
    """Envoy compares one number with all fractions: who is drawn for a canary is not drawn again within it."""
    made = routes(with_canary(config(*pair(20)), *pair(20)))
    new = [short(r) for r in made[1 : len(made) // 2]]
    fractions = [short(r)[2] for r in made[1:-1]]
    assert all(len(short(r)[3]) <= 2 for r in made)
    assert {5, 2000, None} == set(fractions)
    assert [drawn for _, _, drawn, _ in new].count(5) == 3 + 3 + 1
