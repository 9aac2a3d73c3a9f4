"""Routes, cluster and listener of the response cache: what Envoy is told where an app uses it, and nothing where not.

A request that may be answered from the cache goes to the cluster `cache`. It has two tiers: the cache's socket, and an
inner listener of Envoy's own, which sends a request to the generation that a header names. The cache asks that listener
for what it does not have; when it is dead, Envoy does so itself, with the same request.
"""

from __future__ import annotations

from datetime import timedelta

from golive.blueprint.caching import CachedPath
from golive.edge import headers
from golive.edge.cache_policy import ORIGIN, POLICY, Policy
from golive.edge.clusters import BREAKERS, CLUSTER, OUTLIERS
from golive.edge.model import KEEP_ALIVE, Endpoint, Site
from golive.edge.protect import COOKIE as KEY
from golive.edge.resource import HTTP, PREFIX, Json, Layout, extension, seconds, typed
from golive.edge.shares import RELEASE, SERVICE

NAME = "cache"
LISTENER = "origin"
_NEVER = ("authorization", "proxy-authorization", "range", "if-range", "upgrade", "content-length", "transfer-encoding")
"""A request with one of these goes to the service."""
_OWN = rf"(?:{RELEASE}|{SERVICE}[a-z0-9-]+|{KEY})=[^;,\s]*"
OWN_COOKIES = rf"(?:{_OWN}(?:\s*[;,]\s*{_OWN})*\s*;?)?"
"""Whole `cookie` headers with none but those that the edge sets to know whom it has let in, and to which release. The
routes before have gone by them, so they say nothing more; the service is asked without. Not the one that passes
maintenance: who looks then wants to see the service itself."""


def cache_route(route: Json, site: Site, cache: CachedPath, compresses: bool) -> Json:
    """A route to the service, for safe requests, as one to the cache."""
    tests = [test for test in route["match"].get("headers", ()) if test["name"] != ":method"]
    tests.append({"name": ":method", "string_match": {"safe_regex": {"regex": "|".join(cache.methods)}}})
    tests += [{"name": name, "present_match": True, "invert_match": True} for name in _NEVER]
    if cache.cookies == "bypass":
        own = {"name": "cookie", "string_match": {"safe_regex": {"regex": OWN_COOKIES}}}
        tests.append({**own, "treat_missing_header_as_empty": True})
    policy = Policy(
        f"{site.app}/{site.environment}",
        round(cache.ttl.total_seconds()),
        round(cache.stale.total_seconds()),
        cache.vary,
        cache.max_size,
        site.policy.cache_memory,
    )
    targets = [
        {
            **target,
            "name": NAME,
            "request_headers_to_add": headers.request_headers(((ORIGIN, target["name"]),)),
        }
        for target in route["route"]["weighted_clusters"]["clusters"]
    ]
    first = {
        "name": "envoy.retry_priorities.previous_priorities",
        "typed_config": typed("extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig")
        | {"update_frequency": 1},
    }
    # What the edge compresses it compresses for each client; the kept answer is plain.
    removed = [*(["accept-encoding"] if compresses else []), "cookie"]
    made = {
        **route,
        "match": {**route["match"], "headers": tests},
        "route": {
            **route["route"],
            "weighted_clusters": {"clusters": targets},
            "retry_policy": {**route["route"]["retry_policy"], "retry_priority": first},
        },
        "request_headers_to_add": [
            *route.get("request_headers_to_add", ()),
            *headers.request_headers(((POLICY, policy.text()),)),
        ],
    }
    made["request_headers_to_remove"] = [*route.get("request_headers_to_remove", ()), *removed]
    return made


def cache_cluster(layout: Layout) -> Json:
    """The cache, and while it does not accept connections the inner listener."""
    tiers = (Endpoint.unix(layout.cache), Endpoint.unix(layout.origin))
    return {
        "@type": PREFIX + CLUSTER,
        "name": NAME,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": NAME,
            "endpoints": [
                {"priority": rank, "lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": str(tier.path)}}}}]}
                for rank, tier in enumerate(tiers)
            ],
        },
        "circuit_breakers": BREAKERS,
        "outlier_detection": {**OUTLIERS, "consecutive_local_origin_failure": 1},
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
                "extensions.upstreams.http.v3.HttpProtocolOptions",
                common_http_protocol_options={"idle_timeout": seconds(KEEP_ALIVE * 20)},
                explicit_http_config={"http_protocol_options": {}},
            )
        },
    }


def origin_listener(layout: Layout, retry_policy: Json) -> Json:
    """A request goes to the cluster that its header names. Only processes of golive's own can open the socket."""
    route: Json = {
        "match": {"prefix": "/", "headers": [{"name": ORIGIN, "present_match": True}]},
        "route": {
            "cluster_header": ORIGIN,
            "timeout": "0s",
            "idle_timeout": seconds(timedelta(minutes=5)),
            "retry_policy": retry_policy,
        },
        "request_headers_to_remove": [ORIGIN, POLICY],
    }
    connections = extension(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=LISTENER,
        route_config={"name": LISTENER, "virtual_hosts": [{"name": LISTENER, "domains": ["*"], "routes": [route]}]},
        http_filters=[
            extension(f"{HTTP}router", "extensions.filters.http.router.v3.Router", suppress_envoy_headers=True)
        ],
        # What the outer listener has written about the client holds.
        use_remote_address=False,
        internal_address_config={"cidr_ranges": [{"address_prefix": "127.255.255.255", "prefix_len": 32}]},
        preserve_external_request_id=True,
        server_header_transformation="PASS_THROUGH",
        common_http_protocol_options={"idle_timeout": "300s"},
        stream_idle_timeout="300s",
    )
    return {
        "@type": f"{PREFIX}config.listener.v3.Listener",
        "name": LISTENER,
        "address": {"pipe": {"path": str(layout.origin), "mode": 0o600}},
        "filter_chains": [{"filters": [connections]}],
    }
