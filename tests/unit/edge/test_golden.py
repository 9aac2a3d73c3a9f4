"""What goes in beside what comes out: each pair is one EdgeConfig value and the Envoy resource made of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from edge_examples import API, LAYOUT, config, limit, rule

from golive.edge.clusters import cluster
from golive.edge.limits import known, render_limits, routes_in
from golive.edge.listeners import render_certificate
from golive.edge.model import EdgeConfig, Endpoint, Upstream
from golive.edge.routes import render_routes

PREVIOUS_HOSTS = {
    "name": "envoy.retry_host_predicates.previous_hosts",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    },
}


def test_a_generation_becomes_a_static_cluster() -> None:
    upstream = Upstream(API, (Endpoint("127.0.0.1", 20001), Endpoint("127.0.0.1", 20002)), health_path="/health")
    assert cluster(upstream, LAYOUT) == {
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": "threadr/production/api/d17",
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": {
            "cluster_name": "threadr/production/api/d17",
            "endpoints": [
                {
                    "lb_endpoints": [
                        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 20001}}}},
                        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 20002}}}},
                    ]
                }
            ],
        },
        "circuit_breakers": {
            "thresholds": [
                {
                    "priority": "DEFAULT",
                    "max_connections": 100000,
                    "max_pending_requests": 100000,
                    "max_requests": 100000,
                    "max_retries": 100000,
                }
            ]
        },
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 2,
            "enforcing_consecutive_local_origin_failure": 100,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_consecutive_5xx": 0,
            "enforcing_success_rate": 0,
            "interval": "1s",
            "base_ejection_time": "1s",
            "max_ejection_time": "5s",
            "max_ejection_percent": 100,
            "always_eject_one_host": True,
        },
        "common_lb_config": {"healthy_panic_threshold": {"value": 51}},
        "ignore_health_on_host_removal": True,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": "1.5s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
        "health_checks": [
            {
                "timeout": "2s",
                "interval": "5s",
                "unhealthy_interval": "1s",
                "no_traffic_interval": "5s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "http_health_check": {"path": "/health", "host": "localhost", "codec_client_type": "HTTP1"},
            }
        ],
    }


def test_an_upstream_without_endpoints_points_to_a_socket_that_never_exists() -> None:
    made = cluster(Upstream(API, health_path="/health", http2=True), LAYOUT)
    endpoints = made["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoints == [{"endpoint": {"address": {"pipe": {"path": "/g/edge/nobody.sock"}}}}]
    assert "health_checks" not in made
    options = made["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
    assert options["explicit_http_config"] == {"http2_protocol_options": {}}


def route(retry_on: str, **match: Any) -> dict[str, Any]:
    return {
        "match": {"path_separated_prefix": "/api", **match},
        "route": {
            "weighted_clusters": {
                "clusters": [{"name": API, "weight": 95}, {"name": "threadr/production/api/d18", "weight": 5}]
            },
            "timeout": "0s",
            "idle_timeout": "300s",
            "retry_policy": {
                "retry_on": retry_on,
                "num_retries": 56,
                "retry_back_off": {"base_interval": "0.02s", "max_interval": "0.25s"},
                "retry_host_predicate": [PREVIOUS_HOSTS],
                "host_selection_retry_max_attempts": 5,
            },
            "regex_rewrite": {"pattern": {"regex": "^/api/*"}, "substitution": "/"},
        },
        "name": "threadr/production/api",
        "metadata": {
            "filter_metadata": {
                "golive.limit.client0": {"class": "100/60s+100 client", "scope": "threadr/production/api /"}
            }
        },
        "request_headers_to_add": [
            {
                "header": {"key": "x-forwarded-prefix", "value": "/api"},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ],
    }


def test_a_rule_becomes_three_weighted_routes() -> None:
    canary = rule(
        "/api", (API, 95), ("threadr/production/api/d18", 5), strip_prefix=True, rate_limits=(limit(limit="100/min"),)
    )
    rendered = render_routes(config(canary), LAYOUT, tls=True)
    (resource,) = rendered["resources"]
    host = resource["virtual_hosts"][0]
    methods = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD|OPTIONS"}}}
    unknown = {"name": "content-length", "present_match": True, "invert_match": True}
    grpc = {
        "name": "content-type",
        "string_match": {"prefix": "application/grpc"},
        "treat_missing_header_as_empty": True,
        "invert_match": True,
    }
    buffer = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute",
        "buffer": {"max_request_bytes": 10_000_000},
    }
    unsafe = "connect-failure,refused-stream,reset-before-request"
    assert (resource["name"], resource["validate_clusters"]) == ("https", True)
    assert (host["name"], host["domains"]) == ("threadr/production threadr.localhost", ["threadr.localhost"])
    assert host["routes"][1:] == [
        {
            "match": {
                "prefix": "/",
                "headers": [{"name": "content-length", "range_match": {"start": 100_000_001, "end": 2**63 - 1}}],
            },
            "direct_response": {"status": 413, "body": {"inline_string": "The request body is too large\n"}},
            "name": "threadr/production",
        },
        route("connect-failure,refused-stream,reset", headers=[methods]),
        {**route(unsafe, headers=[unknown, grpc]), "typed_per_filter_config": {"envoy.filters.http.buffer": buffer}},
        route(unsafe),
        {
            "match": {"prefix": "/"},
            "direct_response": {"status": 404, "body": {"inline_string": "Not found\n"}},
            "name": "threadr/production",
        },
    ]


def test_http_redirects_to_the_port_of_https() -> None:
    def redirect(port: int) -> dict[str, Any]:
        hosts = render_routes(config(), replace(LAYOUT, https_port=port), tls=False)["resources"][0]["virtual_hosts"]
        found: dict[str, Any] = hosts[0]["routes"][1]["redirect"]
        return found

    assert redirect(443) == {"https_redirect": True, "response_code": "PERMANENT_REDIRECT"}
    assert redirect(8443) == {"https_redirect": True, "port_redirect": 8443, "response_code": "TEMPORARY_REDIRECT"}


def test_limits_become_buckets_by_class() -> None:
    limits = (limit(limit="5/day", burst=2, path="/api/generate"), limit(limit="100/min", per="service"))
    limited = config(rule("/api", rate_limits=limits), rule("/api/generate", rate_limits=limits))
    (resource,) = render_limits(known(limited, [render_routes(limited, LAYOUT, tls=True)]))["resources"]
    made = resource["typed_config"]

    def slot(name: str, *more: dict[str, Any]) -> dict[str, Any]:
        named = [
            {"descriptor_key": key, "metadata_key": {"key": name, "path": [{"key": key}]}, "source": "ROUTE_ENTRY"}
            for key in ("class", "scope")
        ]
        return {"actions": [*({"metadata": one} for one in named), *more]}

    assert made["rate_limits"] == [slot("golive.limit.client0", {"remote_address": {}}), slot("golive.limit.service0")]
    assert made["descriptors"] == [
        {
            "entries": [{"key": "class", "value": "5/86400s+2 client"}, {"key": "scope"}, {"key": "remote_address"}],
            "token_bucket": {"max_tokens": 2, "tokens_per_fill": 5, "fill_interval": "86400s"},
        },
        {
            "entries": [{"key": "class", "value": "100/60s+100 service"}, {"key": "scope"}],
            "token_bucket": {"max_tokens": 100, "tokens_per_fill": 100, "fill_interval": "60s"},
        },
    ]
    assert made["max_dynamic_descriptors"] == 50000
    assert "token_bucket" not in made


def test_a_certificate_is_one_file_with_its_key() -> None:
    cfg: EdgeConfig = config()
    (resource,) = render_certificate("threadr.localhost", cfg.certificates[0])["resources"]
    assert resource == {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": "threadr.localhost",
        "tls_certificate": {
            "certificate_chain": {"inline_string": "CHAIN"},
            "private_key": {"inline_string": "KEY"},
        },
    }


def test_a_held_rule_is_tried_until_its_time_has_passed() -> None:
    held = rule("/", hold=timedelta(seconds=30), timeout=timedelta(seconds=10), idle_timeout=timedelta(seconds=20))
    made = render_routes(config(held), LAYOUT, tls=True)["resources"][0]["virtual_hosts"][0]["routes"][2]
    assert made["route"]["retry_policy"]["num_retries"] == 272
    assert (made["route"]["timeout"], made["route"]["idle_timeout"]) == ("40s", "60s")
    assert made["request_body_buffer_limit"] == 10_000_000


def test_a_rule_whose_upstream_compresses_is_left_alone() -> None:
    rds = render_routes(config(rule("/", compression=False)), LAYOUT, tls=True)
    served = [route for route in routes_in(rds) if "route" in route]
    assert len(served) == 3
    for route in served:
        off = {n for n, c in route["typed_per_filter_config"].items() if c.get("disabled")}
        assert off == {f"envoy.filters.http.compressor.{name}" for name in ("zstd", "br", "gzip")}


def test_every_virtual_host_first_refuses_a_host_that_holds_another() -> None:
    for tls in (True, False):
        *hosts, unknown = render_routes(config(), LAYOUT, tls=tls)["resources"][0]["virtual_hosts"]
        test = {
            "name": ":authority",
            "string_match": {"safe_regex": {"regex": r"[^:@]*(?::\d{0,5})?"}},
            "invert_match": True,
        }
        assert [host["routes"][0] for host in hosts] == [
            {
                "match": {"prefix": "/", "headers": [test]},
                "direct_response": {"status": 400, "body": {"inline_string": "Bad Host\n"}},
                "name": "threadr/production",
            }
        ]
        assert unknown["domains"] == ["*"]
