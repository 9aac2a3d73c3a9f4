"""Filter chains for proxies: beside those that were there, which stay what they are."""

from __future__ import annotations

from dataclasses import replace

from edge_examples import LAYOUT, config

from golive.edge.closed import closed_routes
from golive.edge.guards import guards_in
from golive.edge.listeners import render_listeners
from golive.edge.model import Challenge, Closed
from golive.edge.proxies import FILTER
from golive.edge.render import render


def test_chains_are_added_and_none_is_changed() -> None:
    plain, trusting = config(), config(trusted_proxies=["10.0.0.0/8", "2001:db8::7"])
    before, after = render(plain, LAYOUT), render(trusting, LAYOUT)
    assert {name for name in before if before[name] != after[name]} == {"lds", "rds-http"}
    assert (
        render(config(https=False), LAYOUT)["rds-http"]
        == (render(config(https=False, trusted_proxies=["10.0.0.0/8"]), LAYOUT)["rds-http"])
    )
    for old, new in zip(before["lds"]["resources"], after["lds"]["resources"], strict=True):
        (chain,), (same, added) = old["filter_chains"], new["filter_chains"]
        assert same == chain
        assert {**new, "filter_chains": [same]} == old
        ranges = added["filter_chain_match"].pop("source_prefix_ranges")
        assert ranges == [
            {"address_prefix": "10.0.0.0", "prefix_len": 8},
            {"address_prefix": "2001:db8::7", "prefix_len": 128},
        ]
        assert added["filter_chain_match"] == chain.get("filter_chain_match", {})
        assert added["filters"][-1]["typed_config"]["http_filters"][0]["name"] == FILTER
    assert guards_in(after["lds"]) == frozenset()


def test_every_network_of_a_proxy_is_known_as_ipv4_on_ipv6() -> None:
    made = render_listeners({}, LAYOUT, trusted=["10.0.0.0/8"])["resources"][0]["filter_chains"][1]
    (detection,) = made["filters"][0]["typed_config"]["original_ip_detection_extensions"]
    found = [(r["address_prefix"], r["prefix_len"]) for r in detection["typed_config"]["xff_trusted_cidrs"]["cidrs"]]
    assert found == [("10.0.0.0", 8), ("::ffff:a00:0", 104)]


def test_whoever_asks_for_an_address_lets_an_unknown_one_pass_where_there_are_proxies() -> None:
    closed = Closed("Back soon", "", allow=("198.51.100.7/32",))
    for proxied in (False, True):
        (test,) = closed_routes(closed, {"prefix": "/"}, proxied=proxied)[-1]["match"]["headers"]
        assert test["string_match"]["safe_regex"]["regex"].startswith("-|") is proxied
    shield = {"allow": ["198.51.100.7"]}
    plain, behind = config(shield=shield), config(shield=shield, trusted_proxies=["10.0.0.0/8"])
    assert '"-|' not in str(render(plain, LAYOUT)["rds-https"]).replace("'", '"')
    assert '"-|' in str(render(behind, LAYOUT)["rds-https"]).replace("'", '"')


def test_every_domain_keeps_its_challenge_and_its_redirect_behind_what_came_over_tls() -> None:
    names = ("shop.test", "www.shop.test")
    made = config(domains=names, trusted_proxies=["10.0.0.0/8"], redirect={"www.shop.test": "shop.test"})
    asked = Challenge("shop.test", "/.well-known/acme-challenge/x", "x.y")
    hosts = render(replace(made, challenges=(asked,)), LAYOUT)["rds-http"]["resources"][0]["virtual_hosts"]
    found = {host["domains"][0]: host["routes"] for host in hosts if host["domains"] != ["*"]}
    assert sorted(found) == sorted(names)
    assert found["shop.test"][1]["match"] == {"path": "/.well-known/acme-challenge/x"}
    for routes in found.values():
        came = {"name": "x-forwarded-proto", "string_match": {"exact": "https"}}
        first = 2 if routes is found["shop.test"] else 1
        assert all(came in route["match"]["headers"] for route in routes[first:-1])
        assert routes[first:-1] and routes[-1]["redirect"]["https_redirect"]
