"""Which paths are asked, and what their answers show."""

from __future__ import annotations

from typing import Any

import pytest
from release_fakes import WEB, blueprint

from golive.release.verify import REQUIRED, _headers, _routed_to, probe_path, probe_paths

SITE: dict[str, Any] = {"kind": "static", "route": ["/"]}
API: dict[str, Any] = {**WEB, "route": ["/api"]}


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/", "site"),
        ("/about", "site"),
        ("/api", "api"),
        ("/api/", "api"),
        ("/api/x", "api"),
        ("/apix", "site"),
        ("/api/admin", "admin"),
        ("/api/admin/x", "admin"),
        ("/api/administrator", "api"),
        ("/elsewhere", "site"),
    ],
)
def test_the_longest_prefix_on_a_path_boundary_answers(path: str, service: str) -> None:
    made = blueprint({
        "site": SITE, "api": API, "admin": {**WEB, "route": ["/api/admin/"]},
        "other": {**WEB, "route": ["/elsewhere"], "domains": ["other.example.com"]},
    })  # fmt: skip
    assert _routed_to(made, path) is made.services[service]


def test_nobody_answers_what_has_no_route() -> None:
    assert _routed_to(blueprint({"api": API}), "/") is None


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({}, "/api"),
        ({"health": {"ready": {"path": "/api/ready"}}}, "/api/ready"),
        ({"health": {"live": {"path": "/api/live"}}}, "/api/live"),
        ({"health": {"ready": {"path": "/ready"}, "live": {"path": "/api/live"}}}, "/api/live"),
        ({"health": {"ready": {"path": "/ready"}}}, "/api"),
        ({"health": {"ready": {"tcp": True}}}, "/api"),
        ({"route": []}, None),
        ({"domains": ["other.example.com"]}, None),
        ({"domains": ["shop.localhost", "other.example.com"]}, "/api"),
    ],
)
def test_one_path_for_a_service(settings: dict[str, Any], path: str | None) -> None:
    made = blueprint({"site": SITE, "api": {**API, **settings}})
    assert probe_path(made, made.services["api"]) == path
    assert probe_paths(made) == ("/", *([path] if path else []))


def test_security_headers_are_evidence() -> None:
    whole = dict.fromkeys(REQUIRED, "x")
    made = blueprint({"site": SITE})
    assert _headers(made, whole).ok
    found = _headers(made, {**whole, "server": "gunicorn/20"})
    assert not found.ok
    assert "server: gunicorn/20" in found.text
    found = _headers(made, {k: v for k, v in whole.items() if k != "x-frame-options"})
    assert not found.ok
    assert "no x-frame-options" in found.text


def test_a_header_that_was_given_up_is_not_missed() -> None:
    made = blueprint({"site": SITE}, edge={"headers": {"X-Frame-Options": ""}, "hsts": "0s"})
    kept = {name: "x" for name in REQUIRED if name not in ("x-frame-options", "strict-transport-security")}
    assert _headers(made, kept).ok
