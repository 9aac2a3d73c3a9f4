"""Which paths are asked, and what their answers show."""

from __future__ import annotations

from typing import Any

import pytest
from release_fakes import WEB, blueprint

from golive.release.verify import REQUIRED, _headers, _routed_to, judged, probe_path, probe_paths, shares_route

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
        ({"health": {"ready": {"path": "/ready"}}, "strip_prefix": True}, "/api/ready"),
        ({"health": {"ready": {"path": "/api/x"}}, "strip_prefix": True}, "/api/api/x"),
        ({"health": {"ready": {"path": "/up"}}, "strip_prefix": True, "route": ["/v1/", "/v2"]}, "/v1/up"),
        ({"health": {"ready": {"tcp": True}, "live": {"path": "/up"}}, "strip_prefix": True}, "/api/up"),
        ({"route": []}, None),
        ({"domains": ["other.example.com"]}, None),
        ({"domains": ["shop.localhost", "other.example.com"]}, "/api"),
    ],
)
def test_one_path_for_a_service(settings: dict[str, Any], path: str | None) -> None:
    made = blueprint({"site": SITE, "api": {**API, **settings}})
    assert probe_path(made, made.services["api"]) == path
    assert probe_paths(made) == ("/", *([path] if path else []))


@pytest.mark.parametrize(
    ("status", "strict", "good"),
    [
        (200, True, True), (308, True, True), (404, True, False), (401, True, False), (503, True, False),
        (200, False, True), (401, False, True), (404, False, True), (500, False, False), (503, False, False),
        (429, True, True), (429, False, True),
    ],
)  # fmt: skip
def test_a_health_path_has_to_be_there_and_a_bare_prefix_need_not(status: int, strict: bool, good: bool) -> None:
    assert judged(status, strict=strict)[0] is good
    assert ("nothing at its prefix" in judged(status, strict=strict)[1]) is (status == 404 and not strict)


def test_a_health_path_that_another_service_answers_is_not_asked() -> None:
    admin = {**WEB, "route": ["/api/ready"]}
    made = blueprint(
        {"site": SITE, "api": {**API, "strip_prefix": True, "health": {"ready": {"path": "/ready"}}}, "a": admin}
    )
    assert probe_path(made, made.services["api"]) == "/api"


def test_a_folder_below_a_prefix_is_asked_for_its_page() -> None:
    made = blueprint({"docs": {**SITE, "route": ["/docs"], "strip_prefix": True}})
    assert probe_paths(made) == ("/docs/",)


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


def test_of_two_services_on_one_route_either_may_answer() -> None:
    """So the health path of neither is asked for through the edge: the other one need not have it."""
    ready = {"health": {"ready": {"path": "/ready"}}}
    made = blueprint({"next": {**WEB, **ready, "replaces": "web"}, "web": {**WEB, **ready}, "api": API})
    assert [shares_route(made, service) for service in made.services.values()] == [True, True, False]
    assert probe_paths(made) == ("/", "/", "/api")
