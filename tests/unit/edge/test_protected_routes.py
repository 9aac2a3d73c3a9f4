"""A protected site beside the Envoy routes made of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edge_examples import LAYOUT, config, rule

from golive.edge.model import EdgeConfig, Protected
from golive.edge.routes import render_routes
from golive.secret import Secret

KEY = Secret("k3y")


def routes(made: EdgeConfig, *, tls: bool = True) -> list[dict[str, Any]]:
    return list(render_routes(made, LAYOUT, tls=tls)["resources"][0]["virtual_hosts"][0]["routes"][1:])


def guarded(guard: Protected | None, **fields: Any) -> EdgeConfig:
    made = config(rule("/"), **fields)
    return replace(made, sites=(replace(made.sites[0], protected=guard, probe=Secret("sesame")),))


def header(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def stranger(name: str, regex: str) -> dict[str, Any]:
    test = {"name": name, "string_match": {"safe_regex": {"regex": regex}}}
    return {**test, "invert_match": True, "treat_missing_header_as_empty": True}


def test_who_has_no_password_gets_401_and_who_has_it_a_cookie() -> None:
    guard = Protected(KEY, "preview", Secret("pä:ss"), open=("/hooks",))
    made, plain = routes(guarded(guard)), routes(guarded(None))
    basic = r"(?i:basic) +cHJldmlldzpww6Q6c3M="
    assert made[0] == {
        "match": {
            "prefix": "/",
            "headers": [
                stranger("cookie", r"(?:.*[;,]\s*)?golive-key=k3y(?:\s*[;,].*)?"),
                stranger("authorization", basic),
                stranger("x-golive-probe", "sesame"),
                stranger(":path", "/hooks(?:[/?].*)?"),
            ],
        },
        "direct_response": {
            "status": 401,
            "body": {
                "inline_string": "This is not open to everybody. Give the name and password that you were told.\n"
            },
        },
        "response_headers_to_add": [
            header("cache-control", "no-store"),
            header("x-robots-tag", "noindex"),
            header("www-authenticate", 'Basic realm="threadr (production)", charset="UTF-8"'),
        ],
        "name": "threadr/production",
    }
    known = {"name": "authorization", "string_match": {"safe_regex": {"regex": basic}}}
    cookie = {"key": "set-cookie", "value": "golive-key=k3y; Path=/; HttpOnly; SameSite=Lax; Secure"}
    assert made[2::2] == plain
    for own, other in zip(made[1::2], plain, strict=True):
        assert own["match"]["headers"] == [*other["match"].get("headers", ()), known]
        assert own["response_headers_to_add"][-1]["header"] == cookie
        assert own["request_headers_to_remove"][-1] == "authorization"
        assert own.get("route") == other.get("route")


def test_a_link_alone_asks_for_no_password_and_doubles_nothing() -> None:
    made, plain = routes(guarded(Protected(KEY, link=True))), routes(guarded(None))
    assert made[0]["match"] == {
        "path": "/.golive/pass",
        "query_parameters": [{"name": "key", "string_match": {"exact": "k3y"}}],
    }
    assert made[1]["direct_response"]["status"] == 403
    assert "www-authenticate" not in str(made[1])
    assert made[2:] == plain
    http = routes(guarded(Protected(KEY, link=True), https=False), tls=False)
    assert "Secure" not in str(http[0]["response_headers_to_add"])


def test_plain_http_of_an_https_site_goes_on_redirecting() -> None:
    assert routes(guarded(Protected(KEY, link=True)), tls=False) == routes(guarded(None), tls=False)
