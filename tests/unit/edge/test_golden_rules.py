"""Redirects, rewrites and headers beside the Envoy routes made of them; expressions before and after."""

from __future__ import annotations

import re
from typing import Any

import pytest
from edge_examples import API, LAYOUT, config, limit, rule

from golive.blueprint.models import Service
from golive.blueprint.routing import rules_of
from golive.edge.model import RouteRule
from golive.edge.routes import render_routes
from golive.edge.rules import bounded, expression, unanchored

WEB = "threadr/production/web/d3"
MATCHED = r"(?i)^/blog(?:/([^/]+?))$"
BOUNDED = r"^(?:(?i)^/blog(?:/([^?/]+?))(?:\?.*)?$)$"
QUERY = r"^(?:[^?]*(\?.+)?.*)$"


def routes(prefix: str = "/", *others: RouteRule, strip: bool = False, **settings: Any) -> list[dict[str, Any]]:
    """The routes of a service, without those of answers that no service gives."""
    service = Service.model_validate({"kind": "web", **settings})
    web = rule(prefix, (WEB, 100), rules=rules_of(service), strip_prefix=strip)
    rds = render_routes(config(web, *others), LAYOUT, tls=True)
    found: list[dict[str, Any]] = rds["resources"][0]["virtual_hosts"][0]["routes"][1:]
    return found[1:-1]


def look(header: str, key: str, pattern: str, substitution: str) -> dict[str, Any]:
    rewrite = {"pattern": {"regex": pattern}, "substitution": substitution}
    found = {"metadata_namespace": "golive.routing", "key": key, "type": "STRING", "regex_value_rewrite": rewrite}
    return {"header": header, "on_header_present": found}


def looks(*asked: dict[str, Any]) -> dict[str, Any]:
    kind = "type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config"
    there = {"metadata_namespace": "golive.routing", "key": "on", "type": "STRING", "value": "1"}
    return {"@type": kind, "request_rules": [{"header": ":path", "on_header_present": there}, *asked]}


def shown(key: str) -> str:
    return f"%DYNAMIC_METADATA(golive.routing:{key})%"


def test_a_redirect_is_one_route_before_those_of_the_service() -> None:
    made = routes(redirects=[{"source": "/blog/:slug", "destination": "/news/50%25/:slug", "status": 301}])
    assert len(made) == 4
    assert made[0] == {
        "match": {"safe_regex": {"regex": MATCHED}},
        "direct_response": {"status": 301},
        "response_headers_to_add": [
            {
                "header": {
                    "key": "location",
                    "value": f"%REQ(x-forwarded-proto)%://%REQ(:authority)%/news/50%%25/{shown('k1')}{shown('k0')}",
                },
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ],
        "name": made[1]["name"],
        "typed_per_filter_config": {
            "envoy.filters.http.header_to_metadata": looks(
                look(":path", "k0", QUERY, "\\1"), look(":path", "k1", BOUNDED, "\\1")
            )
        },
    }


def test_a_rewrite_is_three_routes_to_the_service_that_answers_the_new_path() -> None:
    api = rule("/api", (API, 100), strip_prefix=True)
    made = routes("/", api, rewrites=[{"source": "/blog/:slug", "destination": "/api/:slug"}])[3:6]
    assert [r["route"]["weighted_clusters"]["clusters"][0]["name"] for r in made] == [API] * 3
    assert [r["route"]["path_rewrite"] for r in made] == [f"/{shown('k0')}"] * 3
    assert [r["match"]["safe_regex"]["regex"] for r in made] == [MATCHED] * 3
    assert [len(r["match"].get("headers", ())) for r in made] == [1, 2, 0]
    assert {r["name"] for r in made} == {"threadr/production/api"}
    prefix = {"key": "x-forwarded-prefix", "value": "/api"}
    assert [r["request_headers_to_add"][0]["header"] for r in made] == [prefix] * 3


def test_a_rewritten_request_is_under_the_limits_of_where_it_leads() -> None:
    limits = (limit(limit="1/s"), limit(limit="2/s", path="/api/slow"), limit(limit="3/s", path="/api/other"))
    api = rule("/api", (API, 100), rate_limits=limits)
    made = routes("/", api, rewrites=[{"source": "/blog/:slug", "destination": "/api/slow/:slug"}])
    (rewritten,) = [r for r in made if "path_rewrite" in r.get("route", ()) and len(r["match"].get("headers", ())) == 1]
    found = [limit["scope"] for limit in rewritten["metadata"]["filter_metadata"].values()]
    assert found == ["threadr/production/api /", "threadr/production/api /api/slow"]


def test_a_destination_with_a_query_is_put_together_by_a_filter() -> None:
    made = routes(rewrites=[{"source": "/blog/:slug", "destination": "/post"}])[0]
    assert "path_rewrite" not in made["route"]
    assert made["typed_per_filter_config"]["envoy.filters.http.lua"] == {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute",
        "name": "query",
        "filter_context": {"parts": [{"text": "/post"}, {"text": "?"}, {"text": "slug="}, {"key": "k0"}]},
    }


def test_headers_are_on_every_route_after_them_and_ask_when_they_must() -> None:
    made = routes(
        headers=[
            {"source": "/(.*)", "headers": {"X-All": "50%"}},
            {"source": "/blog/:slug", "headers": {"X-One": "it's :slug: 5%"}},
        ]
    )
    assert len(made) == 3
    holds = "'k0' in metadata.filter_metadata['golive.routing']"
    found = "metadata.filter_metadata['golive.routing']['k1']"
    value = f"%CEL({holds} ? 'it\\'s ' : '')%%CEL({holds} ? {found} : '')%%CEL({holds} ? ': 5\\x25' : '')%"
    for route in made:
        assert [h["header"] for h in route["response_headers_to_add"]] == [
            {"key": "x-all", "value": "50%%"},
            {"key": "x-one", "value": value},
        ]
        assert "envoy.filters.http.header_to_metadata" in route["typed_per_filter_config"]


def test_conditions_and_the_service_s_prefix_are_tests_of_headers() -> None:
    has = [
        {"type": "header", "key": "X-A"},
        {"type": "cookie", "key": "b", "value": "^1|2$"},
        {"type": "query", "key": "c.d", "value": "(?<x>.+)"},
        {"type": "host", "value": "www\\..*"},
    ]
    made = routes("/app", redirects=[{"source": "/:x((?!y$).*)", "destination": "/", "has": has, "missing": has[:1]}])[
        0
    ]
    tests = [
        (t["name"], t["string_match"]["safe_regex"]["regex"], "invert_match" in t) for t in made["match"]["headers"]
    ]
    assert tests == [
        (":path", r"(?i)^/(?:y(?:\?.*)?$)[^?]*(?:\?.*)?", True),
        (":path", "/app(?:[/?].*)?", False),
        ("x-a", ".+", False),
        ("cookie", "(?:.*; *)?b=(?:1|2)(?:;.*)?", False),
        (":path", r"[^?]*\?(?:.*&)?c\.d=(?:(?P<x>[^&]+))(?:&.*)?", False),
        (":authority", r"(?i)(?:www\.[^:]*)(?::\d+)?", False),
        ("x-a", ".+", True),
    ]


EXPRESSIONS = {
    r"^/a.b\.c$": r"^/a[^?]b\.c(?:\?.*)?$",
    r"^/[^/]+[.?x]\D$": r"^/[^?/]+[.?x][^\d?](?:\?.*)?$",
    r"^/([\s\S]*)[\]^.]$": r"^/([^?]*)[\]^.](?:\?.*)?$",
    r"^/\$[^]]$": r"^/\$[^?]](?:\?.*)?$",
}


@pytest.mark.parametrize(("given", "wanted"), EXPRESSIONS.items())
def test_an_expression_of_a_path_becomes_one_of_a_path_with_a_query(given: str, wanted: str) -> None:
    assert bounded(given, "?") == wanted


def test_anchors_of_a_whole_value_are_taken_away_and_others_stay() -> None:
    pairs = {
        "^a$": "a",
        "^a|b$": "a|b",
        "(?:^a$|^b$)": "(?:a|b)",
        r"\^a\$": r"\^a\$",
        "[^a$|^(^]": "[^a$|^(^]",
        "a(?:$|/b)": "a(?:|/b)",
    }
    assert {given: unanchored(given) for given in pairs} == pairs


@pytest.mark.parametrize(
    ("kind", "value", "holds", "fails"),
    [
        ("cookie", "1", ["k=1", "a=b; k=1", "k=1;a=b", "a=b; k=1; c=d"], ["k=12", "xk=1", "a=k=1", "k=", ""]),
        ("query", "a.*", ["/?k=a", "/x?b=1&k=abc&d=e"], ["/k=a", "/?kk=a", "/?x=k=a", "/?k=&b=a", "/?b=?k=a"]),
        ("query", None, ["/?k=1", "/?a=1&k=2"], ["/?k=", "/?k", "/?kk=1", "/"]),
        ("header", "a|b", ["a", "b"], ["ab", "xa", ""]),
        ("header", None, ["x"], [""]),
    ],
)
def test_a_condition_is_of_the_whole_value(kind: str, value: str | None, holds: list[str], fails: list[str]) -> None:
    condition = {"type": kind, "key": "k", "value": value}
    service = Service.model_validate(
        {"kind": "web", "redirects": [{"source": "/", "destination": "/b", "has": [condition]}]}
    )
    _, regex = expression(rules_of(service)[0].has[0])
    assert [text for text in (*holds, *fails) if re.fullmatch(regex, text)] == holds
