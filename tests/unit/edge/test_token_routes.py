"""Tokens: which paths need one, and the Envoy resources made of that."""

from __future__ import annotations

from dataclasses import replace

import pytest
from edge_examples import LAYOUT, config, limit, rule

from golive.edge.guards import JWT, guards_in
from golive.edge.jwt import FILTER, clusters, may_lead_to_needed, needed_at, render_tokens
from golive.edge.limits import known, known_in, render_limits, routes_in
from golive.edge.model import Tokens
from golive.edge.push import plan
from golive.edge.render import render
from golive.edge.routes import render_routes

URL = "https://id.example.com/keys"
TOKENS = Tokens(url=URL, audience=("shop",), exempt=("/api/health",), claims=(("x-user-id", "sub"),), ca="PEM")


@pytest.mark.parametrize(
    ("paths", "exempt", "needed"),
    [
        ((), (), {"": True, "/": True, "/a": True}),
        (("/a",), (), {"/": False, "/a": True, "/a/b": True, "/ab": False}),
        ((), ("/a/",), {"/": True, "/a": False, "/a/b": False, "/ab": True}),
        (("/a", "/a/b/c"), ("/a/b",), {"/a": True, "/a/b": False, "/a/b/c": True, "/a/b/cd": False, "/b": False}),
        (("/",), ("/",), {"/": False, "/a": False}),
    ],
)
def test_the_longest_path_decides(paths: tuple[str, ...], exempt: tuple[str, ...], needed: dict[str, bool]) -> None:
    tokens = Tokens(paths=paths, exempt=exempt)
    assert {path: needed_at(tokens, path) for path in needed} == needed


def test_a_rewrite_that_may_lead_to_what_needs_a_token_needs_one() -> None:
    tokens = Tokens(paths=("/api/me",), exempt=("/api",))
    assert [may_lead_to_needed(tokens, start) for start in ("/api/", "/api/me/", "/api/you/", "/a")] == [
        True, True, False, True
    ]  # fmt: skip


def test_a_service_is_cut_where_tokens_begin_and_end() -> None:
    made = config(rule("/api", tokens=TOKENS))
    found = [r for r in routes_in(render_routes(made, LAYOUT, tls=True)) if "route" in r]
    asked = {r["match"]["path_separated_prefix"]: FILTER in r.get("typed_per_filter_config", {}) for r in found}
    assert asked == {"/api/health": False, "/api": True}
    assert all(
        "x-user-id" in r["request_headers_to_remove"] for r in found if not asked[r["match"]["path_separated_prefix"]]
    )
    (name,) = render_tokens(made)["resources"][0]["typed_config"]["providers"]
    assert {
        r["typed_per_filter_config"][FILTER]["requirement_name"] for r in found if "filter_state" in r["match"]
    } == {name}


def test_keys_are_asked_of_the_host_that_the_certificate_names() -> None:
    (made,) = clusters(config(rule("/api", tokens=TOKENS), rule("/b", tokens=replace(TOKENS, paths=("/b",)))), LAYOUT)
    assert (made["name"], made["type"]) == ("jwks/id%2Eexample%2Ecom%3A443/384fb9a4", "LOGICAL_DNS")
    context = made["transport_socket"]["typed_config"]
    assert context["sni"] == "id.example.com"
    assert context["common_tls_context"]["validation_context"] == {
        "trusted_ca": {"inline_string": "PEM"},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "id.example.com"}}],
    }
    (nobody,) = clusters(config(rule("/api", tokens=replace(TOKENS, ca=""))), LAYOUT)
    assert "/g/edge/nobody.sock" in str(nobody)
    assert clusters(config(rule("/api", tokens=replace(TOKENS, url=None, keys="{}"))), LAYOUT) == []


def test_the_filter_comes_before_the_routes_that_ask_for_it_and_stays() -> None:
    plain, asking = render(config(), LAYOUT), render(config(rule("/", tokens=TOKENS)), LAYOUT)
    assert FILTER not in str(plain)
    assert guards_in(asking["lds"]) == {JWT}
    assert [w.name for w in plan(plain, asking)] == ["cds", "ecds-jwt", "lds", "rds-https"]
    after = render(config(), LAYOUT, guarded=guards_in(asking["lds"]))
    assert [w.name for w in plan(asking, after)] == ["rds-https", "ecds-jwt", "cds"]


def test_what_routes_still_ask_for_goes_after_them() -> None:
    old, new = (render(config(rule("/", tokens=replace(TOKENS, issuer=name))), LAYOUT) for name in ("old", "new"))
    writes = plan(old, new)
    assert [w.name for w in writes] == ["ecds-jwt", "rds-https", "ecds-jwt"]
    configs = [w.content["resources"][0]["typed_config"] for w in writes if w.content and w.name == "ecds-jwt"]
    assert [{p["issuer"] for p in made["providers"].values()} for made in configs] == [{"old", "new"}, {"new"}]
    assert all(made["providers"].keys() == made["requirement_map"].keys() for made in configs)
    assert plan(new, new) == []


def test_a_limit_may_count_by_a_claim() -> None:
    made = config(rule("/", tokens=TOKENS, rate_limits=(limit(limit="5/min", per="claim:sub"), limit(limit="9/min"))))
    rds = render_routes(made, LAYOUT, tls=True)
    ecds = render_limits(known(made, [rds]))
    config_ = ecds["resources"][0]["typed_config"]
    assert known_in(ecds) == known(made, [rds])
    by_claim = next(x["actions"][2]["metadata"] for x in config_["rate_limits"] if "metadata" in x["actions"][2])
    path = [{"key": "claims"}, {"key": "sub"}]
    assert by_claim == {
        "metadata_key": {"key": FILTER, "path": path},
        "descriptor_key": "claim",
        "source": "DYNAMIC",
        "default_value": "nobody",
    }
    assert [d["entries"][-1] for d in config_["descriptors"]] == [{"key": "claim"}, {"key": "remote_address"}]


def test_a_limit_may_count_by_a_header_and_by_address_where_there_is_none() -> None:
    limits = (limit(limit="5/min", per="header:X-Api-Key"), limit(limit="5/min", per="header:X-Other"))
    made = config(rule("/", rate_limits=limits))
    rds = render_routes(made, LAYOUT, tls=True)
    ecds = render_limits(known(made, [rds]))
    assert known_in(ecds) == known(made, [rds])
    config_ = ecds["resources"][0]["typed_config"]
    kinds = [[next(iter(action)) for action in x["actions"][2:]] for x in config_["rate_limits"]]
    assert kinds == [["request_headers"], ["header_value_match", "remote_address"]] * 2
    keys = [[entry["key"] for entry in d["entries"]] for d in config_["descriptors"]]
    assert keys == [["class", "scope", "header"], ["class", "scope", "without", "remote_address"]]
