"""Maintenance and suspension beside the Envoy routes made of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edge_examples import API, LAYOUT, config, rule

from golive.blueprint.models import Service
from golive.blueprint.routing import rules_of
from golive.edge.closed import page
from golive.edge.model import Closed, EdgeConfig
from golive.edge.routes import render_routes
from golive.secret import Secret

NOON = 1_800_000_000.0
SUSPENDED = Closed("Suspended", "It was switched off.")
MAINTENANCE = Closed("Down for maintenance", "Back <soon>.", NOON, None, ("10.0.0.0/8",), Secret("tok"))
WEB = "threadr/production/web/d3"


def rendered(made: EdgeConfig, *, tls: bool = True) -> dict[str, Any]:
    found: dict[str, Any] = render_routes(made, LAYOUT, tls=tls)["resources"][0]
    return found


def routes(made: EdgeConfig, *, tls: bool = True) -> list[dict[str, Any]]:
    return list(rendered(made, tls=tls)["virtual_hosts"][0]["routes"][1:])


def site_closed(made: EdgeConfig, closed: Closed) -> EdgeConfig:
    return replace(made, sites=tuple(replace(site, closed=closed) for site in made.sites))


def header(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


STRANGERS = [
    {
        "name": "x-envoy-external-address",
        "string_match": {"safe_regex": {"regex": r"10\.\d{1,3}\.\d{1,3}\.\d{1,3}"}},
        "invert_match": True,
        "treat_missing_header_as_empty": True,
    },
    {
        "name": "cookie",
        "string_match": {"safe_regex": {"regex": r"(?:.*[;,]\s*)?golive-pass=tok(?:\s*[;,].*)?"}},
        "invert_match": True,
        "treat_missing_header_as_empty": True,
    },
]


def test_a_site_in_maintenance_answers_before_everything_else() -> None:
    whole = config(rule())
    made = routes(site_closed(whole, MAINTENANCE))
    retry = header("retry-after", "Fri, 15 Jan 2027 08:00:00 GMT")
    browser = {"name": "accept", "string_match": {"contains": "text/html"}}
    assert made[0] == {
        "match": {"path": "/.golive/pass", "query_parameters": [{"name": "key", "string_match": {"exact": "tok"}}]},
        "direct_response": {"status": 303},
        "response_headers_to_add": [
            header("location", "/"),
            header("set-cookie", "golive-pass=tok; Path=/; HttpOnly; SameSite=Lax; Secure"),
            header("cache-control", "no-store"),
        ],
        "name": "threadr/production",
    }
    assert made[2] == {
        "match": {"prefix": "/", "headers": [*STRANGERS, browser]},
        "direct_response": {"status": 503, "body": {"inline_string": page(MAINTENANCE)}},
        "response_headers_to_add": [
            header("content-type", "text/html; charset=utf-8"),
            retry,
            header("cache-control", "no-store"),
        ],
        "name": "threadr/production",
    }
    as_json = '{"error": "Down for maintenance. Back <soon>.", "status": 503, "until": "2027-01-15T08:00:00+00:00"}\n'
    assert made[3]["match"] == {"prefix": "/", "headers": STRANGERS}
    assert made[3]["direct_response"]["body"] == {"inline_string": as_json}
    assert made[4:] == routes(whole)


def test_a_page_of_golives_own_says_why_and_until_when() -> None:
    made = page(MAINTENANCE)
    assert "<h1>Down for maintenance</h1>" in made
    assert "Back &lt;soon&gt;.\nExpected back by 15 January 2027, 08:00 UTC." in made


def test_a_suspended_service_has_no_other_route_and_lets_nobody_pass() -> None:
    made = routes(config(rule("/api", closed=SUSPENDED), rule("/", (WEB, 100))))
    own = [r for r in made if r["match"].get("path_separated_prefix") == "/api"]
    assert [r["direct_response"]["status"] for r in own] == [503, 503, 503]
    assert own[2]["match"] == {"path_separated_prefix": "/api"}
    assert header("retry-after", "120") in own[2]["response_headers_to_add"]
    assert own[2]["name"] == "threadr/production/api"
    assert [r for r in made if r not in own] == routes(config(rule("/", (WEB, 100))))


def test_a_rewrite_to_a_closed_service_finds_it_closed() -> None:
    settings = {"kind": "web", "rewrites": [{"source": "/backend/:path*", "destination": "/api/:path*"}]}
    front = rule("/", (WEB, 100), rules=rules_of(Service.model_validate(settings)))
    front = replace(front, service="front")
    made = routes(config(front, rule("/api", (API, 100), closed=SUSPENDED)))
    answers = [r for r in made if "safe_regex" in r["match"]]
    assert "direct_response" in answers[0]
    assert answers[0]["name"] == "threadr/production/api"


def test_a_long_page_is_announced_to_envoy() -> None:
    assert "max_direct_response_body_size_bytes" not in rendered(site_closed(config(), MAINTENANCE))
    long = replace(MAINTENANCE, page="é" * 3000)
    assert rendered(site_closed(config(), long))["max_direct_response_body_size_bytes"] == 6000


def test_plain_http_goes_on_redirecting() -> None:
    assert routes(site_closed(config(), MAINTENANCE), tls=False) == routes(config(), tls=False)
    cookie = routes(site_closed(config(https=False), MAINTENANCE), tls=False)[0]["response_headers_to_add"][1]
    assert "Secure" not in cookie["header"]["value"]
