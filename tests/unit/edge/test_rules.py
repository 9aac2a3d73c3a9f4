"""Each of the twelve rules of research/envoy.md that can be read off the rendered files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_examples import API, LAYOUT, config, limit, rule

from golive.blueprint.models import EdgePolicy
from golive.edge.edge import Edge
from golive.edge.limits import known_in
from golive.edge.model import EdgeConfig, Site, Upstream
from golive.edge.render import render
from golive.home import Home


def values(tree: Any, key: str) -> Iterator[Any]:
    """Every value under that key, at any depth."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, value in items:
        if name == key:
            yield value
        yield from values(value, key)


def with_domain(extra: str) -> EdgeConfig:
    return config(domains=("threadr.localhost", extra))


def test_1_certificates_are_polled_and_nothing_else_costs_a_watch_for_each_domain() -> None:
    files = render(config(domains=tuple(f"a{n}.localhost" for n in range(200))), LAYOUT)
    polled, watched = set(), set()
    for source in values(files, "path_config_source"):
        assert "watched_directory" not in source
        (polled if "poll_interval" in source else watched).add(Path(source["path"]).name)
    assert len(polled) == 200
    assert watched == {"ecds.json", "rds-http.json", "rds-https.json"}


def test_2_an_app_s_change_leaves_the_listeners_alone_and_a_new_domain_the_other_chains() -> None:
    first = render(config(), LAYOUT)["lds"]
    changed = config(rule("/", rate_limits=(limit(limit="1/s"),)), compression=False, hsts=0, max_body=1)
    assert render(changed, LAYOUT)["lds"] == first
    chains = first["resources"][1]["filter_chains"]
    more = render(with_domain("z.localhost"), LAYOUT)["lds"]["resources"][1]["filter_chains"]
    assert [c["name"] for c in more] == ["threadr.localhost", "z.localhost"]
    assert more[0] == chains[0]
    assert more[0]["filters"] == more[1]["filters"]
    # The one exception: a log that is not wanted costs nothing, and nobody switches it during a deploy.
    silent = render(config(access_log=False), LAYOUT)["lds"]["resources"]
    assert silent[0] == first["resources"][0]
    assert list(values(silent[1], "access_log")) == [[]]


def test_3_and_4_every_cluster_may_switch_hosts_and_retry_without_end() -> None:
    (made,) = render(config(), LAYOUT)["cds"]["resources"]
    assert made["type"] == "STATIC"
    assert made["ignore_health_on_host_removal"] is True
    assert made["circuit_breakers"]["thresholds"][0]["max_retries"] >= 1000


def test_5_and_6_limits_are_in_ecds_and_remember_many_addresses() -> None:
    limited = config(rule("/", rate_limits=(limit(limit="1/s"),)))
    files = render(limited, LAYOUT)
    assert list(values(files["ecds"], "max_dynamic_descriptors")) == [50000]
    assert not list(values([files["rds-https"], files["lds"]], "token_bucket"))
    # A limit that goes stays known: taking it out would empty every other bucket.
    kept = known_in(files["ecds"])
    assert render(config(), LAYOUT, kept)["ecds"] == files["ecds"]
    assert render(config(), LAYOUT)["ecds"] != files["ecds"]


def test_7_neither_the_cache_nor_the_file_server_is_used() -> None:
    text = json.dumps(render(config(), LAYOUT))
    assert "filters.http.cache" not in text
    assert "file_server" not in text


def test_8_streams_have_no_overall_timeout() -> None:
    routes = render(config(), LAYOUT)["rds-https"]
    assert set(values(routes, "timeout")) == {"0s"}
    assert set(values(routes, "idle_timeout")) == {"300s"}


def test_9_unknown_fields_are_rejected(tmp_path: Path) -> None:
    edge = Edge(Home(tmp_path), http_port=8080, https_port=8443, envoy=Path("/opt/envoy"))
    assert "--reject-unknown-dynamic-fields" in edge.process_spec().argv


def test_11_routes_name_clusters_that_envoy_must_know() -> None:
    files = render(config(), LAYOUT)
    assert set(values([files["rds-http"], files["rds-https"]], "validate_clusters")) == {True}
    assert {c["name"] for c in values(files["rds-https"], "clusters") for c in c} == {API}


def test_12_idle_connections_end_before_any_app_server_ends_them() -> None:
    seconds = [float(x["idle_timeout"].rstrip("s")) for x in values(
        render(config(), LAYOUT)["cds"], "common_http_protocol_options"
    )]  # fmt: skip
    assert seconds == [1.5]
    assert max(seconds) < 2


def test_the_same_sites_in_another_order_are_the_same_files() -> None:
    def made(*names: str) -> EdgeConfig:
        policy = EdgePolicy(https=False)
        sites = tuple(Site(n, "production", (f"{n}.localhost",), (rule("/", (n, 1)),), policy) for n in names)
        return EdgeConfig(sites, tuple(Upstream(n) for n in names))

    assert render(made("a", "b"), LAYOUT) == render(made("b", "a"), LAYOUT)
