"""CDS: one STATIC cluster for each generation of a service."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from golive.edge.model import Endpoint, Stream, Upstream, cluster_name
from golive.edge.resource import Json, Layout, discovery, seconds, typed

CLUSTER = "config.cluster.v3.Cluster"

OUTLIERS = {
    "split_external_local_origin_errors": True,
    "consecutive_local_origin_failure": 2,
    "enforcing_consecutive_local_origin_failure": 100,
    # An application's own 502, 503 and 504 say nothing about whether its process is well.
    "enforcing_consecutive_gateway_failure": 0,
    "enforcing_consecutive_5xx": 0,
    "enforcing_success_rate": 0,
    "interval": "1s",
    "base_ejection_time": "1s",
    "max_ejection_time": "5s",
    "max_ejection_percent": 100,
    "always_eject_one_host": True,
}
"""A host that refuses connections is left out for a second or more, so that retries do not have to find out."""

BREAKERS = {
    "thresholds": [
        {
            "priority": "DEFAULT",
            "max_connections": 100000,
            "max_pending_requests": 100000,
            "max_requests": 100000,
            # The default of 3 drops retries exactly when they are needed (rule 4).
            "max_retries": 100000,
        }
    ]
}


def render_clusters(
    upstreams: tuple[Upstream, ...],
    layout: Layout,
    streams: tuple[Stream, ...] = (),
    more: Iterable[Json] = (),
    *,
    cache: bool = False,
) -> Json:
    """The CDS file, with `more` clusters. Sorted by name, so that the same set is the same file."""
    made = [*(cluster(u, layout) for u in upstreams), *(stream_cluster(s) for s in streams), *more]
    if cache:
        from golive.edge.cached import cache_cluster

        made.append(cache_cluster(layout))
    return discovery(CLUSTER, sorted(made, key=lambda c: str(c["name"])))


def stream_cluster(stream: Stream) -> Json:
    """Two priorities: all goes to the first as long as one of its hosts is not ejected."""
    name = cluster_name(stream.name)
    tiers = [tier for tier in (stream.endpoints, (stream.fallback,)) if tier]
    return {
        "@type": f"type.googleapis.com/envoy.{CLUSTER}",
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "ROUND_ROBIN",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [
                {"priority": rank, "lb_endpoints": [{"endpoint": {"address": address(e)}} for e in tier]}
                for rank, tier in enumerate(tiers)
            ],
            # As much as it takes: one replica of five serves alone before the primary has to.
            "policy": {"overprovisioning_factor": 500},
        },
        "circuit_breakers": BREAKERS,
        # The first refusal counts: its attempt is repeated elsewhere.
        "outlier_detection": {**OUTLIERS, "consecutive_local_origin_failure": 1},
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
    }


def cluster(upstream: Upstream, layout: Layout) -> Json:
    name = cluster_name(upstream.name)
    endpoints = upstream.endpoints or (Endpoint.unix(layout.nobody),)
    made: Json = {
        "@type": f"type.googleapis.com/envoy.{CLUSTER}",
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(e)}} for e in endpoints]}],
        },
        "circuit_breakers": BREAKERS,
        "outlier_detection": OUTLIERS,
        # One of two down is 50 %: above that all are tried, so that a retry always reaches the live one.
        "common_lb_config": {"healthy_panic_threshold": {"value": 51}},
        "ignore_health_on_host_removal": True,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
                "extensions.upstreams.http.v3.HttpProtocolOptions",
                common_http_protocol_options={"idle_timeout": seconds(upstream.keepalive_idle)},
                explicit_http_config={"http2_protocol_options" if upstream.http2 else "http_protocol_options": {}},
            )
        },
    }
    if upstream.health_path and upstream.endpoints:
        made["health_checks"] = [_health_check(upstream)]
    return made


def _health_check(upstream: Upstream) -> Json:
    return {
        "timeout": "2s",
        "interval": "5s",
        "unhealthy_interval": "1s",
        "no_traffic_interval": "5s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "http_health_check": {
            "path": upstream.health_path,
            "host": "localhost",
            "codec_client_type": "HTTP2" if upstream.http2 else "HTTP1",
        },
    }


def address(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.path:
        return {"pipe": {"path": str(endpoint.path)}}
    return {"socket_address": {"address": endpoint.host, "port_value": endpoint.port}}
