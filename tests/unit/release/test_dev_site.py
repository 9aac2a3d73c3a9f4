"""`golive dev` at the edge: the blueprint's own rules on the developer's ports."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from golive.blueprint.models import Blueprint
from golive.release.dev_site import DevSite, choose_domains, dev_site
from golive.state.records import Place

SERVICES: dict[str, Any] = {
    "web": {"kind": "static", "route": ["/"], "build": {"builder": "static"}},
    "api": {"kind": "web", "route": ["/api"], "strip_prefix": True, "grpc": {"route": ["/shop.v1.Cart"]}},
    "admin": {"kind": "web", "route": ["/"], "domains": ["admin.shop.example"]},
    "jobs": {"kind": "worker"},
}
PLACE = Place("shop", "development")


def blueprint(*domains: str) -> Blueprint:
    return Blueprint.model_validate({"name": "shop", "domains": domains or ("shop.example",), "services": SERVICES})


def test_the_rules_are_those_of_the_blueprint() -> None:
    domains = ("shop.localhost", "admin.shop.localhost")
    dev = DevSite(PLACE, blueprint(), domains, {"web": 1, "api": 2, "admin": 3}, {"api": 4})
    site, upstreams = dev_site(dev)
    found = {(rule.service, rule.prefix): rule for rule in site.routes}
    assert set(found) == {("web", "/"), ("api", "/api"), ("api", "/shop.v1.Cart"), ("admin", "/")}
    assert found["api", "/api"].strip_prefix
    assert found["api", "/shop.v1.Cart"].grpc
    assert found["admin", "/"].domains == ("admin.shop.localhost",)
    assert found["web", "/"].serves_files
    assert found["web", "/"].request_headers == (("x-golive-root", "dev"),)
    assert {u.name: u.endpoints[0].port for u in upstreams} == {
        "shop/development/web/dev": 1,
        "shop/development/api/dev": 2,
        "shop/development/api/dev/grpc": 4,
        "shop/development/admin/dev": 3,
    }


def test_requests_wait_for_a_server_that_starts_again() -> None:
    site, _ = dev_site(DevSite(PLACE, blueprint(), ("shop.localhost",), {"api": 2}, {"api": 4}))
    assert all(rule.hold for rule in site.routes)


def test_a_browser_is_not_told_to_remember_https() -> None:
    site, _ = dev_site(DevSite(PLACE, blueprint(), ("shop.localhost",), {"web": 1}, {}))
    assert site.policy.hsts == timedelta(0)


def test_what_is_not_run_has_no_route() -> None:
    site, upstreams = dev_site(DevSite(PLACE, blueprint(), ("shop.localhost",), {"web": 1}, {}))
    assert {rule.service for rule in site.routes} == {"web"}
    assert len(upstreams) == 1


def test_domains_of_production_are_not_taken() -> None:
    assert choose_domains(blueprint(), own=False) == ("shop.localhost", "admin.shop.localhost")


def test_beside_a_release_on_localhost_it_has_another_name() -> None:
    found = choose_domains(blueprint(), own=False, taken=["shop.localhost"])
    assert found == ("dev.shop.localhost", "admin.dev.shop.localhost")


def test_domains_of_development_are() -> None:
    assert choose_domains(blueprint("dev.shop.example"), own=True) == ("dev.shop.example",)
