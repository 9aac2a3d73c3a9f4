"""The model's own rules, the order of writes, ports, logs, header policies and route cutting."""

from __future__ import annotations

import gzip
import random
import socket
from datetime import timedelta
from pathlib import Path

import pytest
from edge_examples import API, LAYOUT, config, limit, rule

from golive.edge import logs
from golive.edge.headers import SECURITY, response_headers
from golive.edge.limits import LimitClass
from golive.edge.model import Certificate, EdgeConfig, Site, Upstream, cluster_name, upstream_name
from golive.edge.ports import Ports, choose_ports, obstacle
from golive.edge.push import plan
from golive.edge.render import render
from golive.edge.routes import parts, retry_policy, tries
from golive.errors import Conflict
from golive.secret import Secret


@pytest.mark.parametrize(
    "name", ["threadr/production/api/d17", "a/preview/feature.x-1/web/d2", "a:b/c%2E d", "ä/~_/x/d1"]
)
def test_cluster_names_are_safe_in_statistics_and_lead_back(name: str) -> None:
    safe = cluster_name(name)
    assert not set(".: ") & set(safe)
    assert upstream_name(safe) == name
    assert cluster_name(API) == API


def test_a_domain_belongs_to_one_site() -> None:
    site = Site("a", "production", ("x.localhost",), (rule(),))
    other = Site("b", "production", ("x.localhost",), (rule(),))
    with pytest.raises(Conflict, match=r"x\.localhost is claimed") as caught:
        EdgeConfig((site, other), (Upstream(API),))
    assert caught.value.why == "a (production) and b (production) both list it"


def test_a_route_needs_upstreams_that_are_there() -> None:
    with pytest.raises(ValueError, match="no upstream nobody"):
        EdgeConfig((Site("a", "production", ("x.localhost",), (rule("/", ("nobody", 1)),)),))
    with pytest.raises(ValueError, match="same name"):
        EdgeConfig(upstreams=(Upstream("a"), Upstream("a")))


def test_certificates_cover_one_label_by_a_star_and_exact_names_win() -> None:
    star = Certificate(("*.example.com",), "STAR", Secret(""))
    exact = Certificate(("api.example.com",), "EXACT", Secret(""))
    found = EdgeConfig(certificates=(star, exact))
    assert [found.certificate(d) for d in ("api.example.com", "www.example.com")] == [exact, star]
    assert [found.certificate(d) for d in ("a.b.example.com", "example.com")] == [None, None]


def names(current: EdgeConfig | None, wanted: EdgeConfig) -> list[str]:
    before = render(current, LAYOUT) if current else {}
    return [w.name if w.content is not None else f"-{w.name}" for w in plan(before, render(wanted, LAYOUT))]


def test_clusters_come_before_routes_and_go_after_them() -> None:
    old, new = config(rule("/", ("old", 1))), config(rule("/", ("new", 1)))
    writes = plan(render(old, LAYOUT), render(new, LAYOUT))
    assert [w.name for w in writes] == ["cds", "rds-https", "cds"]
    contents = [[c["name"] for c in w.content["resources"]] for w in writes if w.content and w.name == "cds"]
    assert contents == [["new", "old"], ["new"]]
    assert names(new, new) == []


def test_a_domain_s_certificate_comes_first_and_goes_last() -> None:
    one, two = config(), config(domains=("threadr.localhost", "z.localhost"))
    assert names(one, two) == ["certificate z.localhost", "rds-http", "rds-https", "lds"]
    assert names(two, one) == ["rds-http", "rds-https", "lds", "-certificate z.localhost"]
    assert names(None, one) == ["certificate threadr.localhost", "cds", "ecds", "rds-http", "rds-https", "lds"]


def test_rules_are_cut_where_their_limits_begin() -> None:
    generate, every = limit(limit="5/day", path="/api/generate/"), limit(limit="100/min")
    elsewhere = limit(limit="1/s", path="/other")
    api = rule("/api", rate_limits=(generate, every, elsewhere))
    root = rule("/", ("web", 1), rate_limits=(limit(limit="9/s", path="/api/x"),))
    found = [(p.prefix, p.rule.prefix, p.limits) for p in parts((api, root))]
    assert found == [("/api/generate", "/api", (generate, every)), ("/api", "/api", (every,)), ("/", "/", ())]


def test_limit_classes_are_written_and_read() -> None:
    kind = LimitClass.of(limit(limit="10/30s", burst=3, per="service"))
    assert str(kind) == "10/30s+3 service"
    assert LimitClass.parse(str(kind)) == kind
    with pytest.raises(ValueError, match="not a limit class"):
        LimitClass.parse("10/30s")


def test_a_wait_becomes_a_number_of_tries() -> None:
    assert [tries(timedelta(seconds=n)) for n in (2.5, 30, 60)] == [33, 272, 523]
    assert retry_policy("reset", timedelta(seconds=30))["num_retries"] == 272
    # What chance does with them: the shortest of many waits is still long enough.
    chance = random.Random(1)
    waits = [sum(chance.uniform(0, 0.25) for _ in range(tries(timedelta(seconds=5)))) for _ in range(500)]
    assert 5 < min(waits) < max(waits) < 10


def test_headers_are_added_replaced_or_not_sent() -> None:
    policy = config(headers={"X-Frame-Options": "", "CSP": "50%"}, hsts="30d").sites[0].policy
    made = response_headers(policy, tls=True)
    added = {h["header"]["key"]: (h["header"]["value"], h["append_action"]) for h in made["response_headers_to_add"]}
    assert added["csp"] == ("50%%", "OVERWRITE_IF_EXISTS_OR_ADD")
    assert added["strict-transport-security"] == ("max-age=2592000", "ADD_IF_ABSENT")
    assert set(added) == {*SECURITY, "csp", "strict-transport-security"} - {"x-frame-options"}
    assert {"server", "x-powered-by", "x-frame-options"} <= set(made["response_headers_to_remove"])
    assert "strict-transport-security" not in str(response_headers(policy, tls=False))


def test_ports_are_the_usual_ones_or_the_next_that_are_free() -> None:
    taken = {80: "taken by nginx (pid 7)", 8080: "taken by java (pid 8)", 8081: "taken by java (pid 8)"}
    assert choose_ports(lambda port: None) == Ports(80, 443)
    assert choose_ports({443: "no right"}.get) == Ports(8080, 8443, ("port 443: no right",))
    notes = tuple(f"port {port}: {why}" for port, why in taken.items())
    assert choose_ports(taken.get) == Ports(8082, 8443, notes)
    with pytest.raises(OSError, match="8080 to 8179"):
        choose_ports(lambda port: "taken")


def test_who_has_a_port_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert "pid" in (obstacle(port) or "")
    assert obstacle(port) is None


def test_logs_move_up_and_the_oldest_go(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    for n in range(5):
        log.write_text(f"line {n}\n")
        assert logs.rotate(log, max_bytes=3, keep=3)
    assert not logs.rotate(log, max_bytes=3, keep=3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["access.log.1", "access.log.2.gz", "access.log.3.gz"]
    assert (tmp_path / "access.log.1").read_text() == "line 4\n"
    assert gzip.decompress((tmp_path / "access.log.3.gz").read_bytes()) == b"line 2\n"
