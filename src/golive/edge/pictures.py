"""Route, cluster and inner listeners of the image service: what Envoy is told where a site has it.

The service asks for pictures of the app's own at a listener with the site's own routes, on a Unix socket: what is
closed or redirected for visitors is so for it, too.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

from golive.edge import headers
from golive.edge.answers import marked
from golive.edge.clusters import BREAKERS, CLUSTER
from golive.edge.image_policy import PATH, POLICY, Policy
from golive.edge.model import EdgeConfig, Endpoint, Site
from golive.edge.resource import PREFIX, Json, Layout, seconds, typed

NAME = "images"
IDLE = timedelta(seconds=30)
TIMEOUT = timedelta(seconds=60)


def image_routes(site: Site, retry_policy: Json, *, tls: bool) -> list[Json]:
    """The one for pictures, where the site has any."""
    images = site.policy.images
    if images is None:
        return []
    policy = Policy(
        f"{site.app}/{site.environment}",
        _stamp(site),
        tls,
        images.sources,
        images.widths,
        images.qualities,
        images.formats,
        round(images.ttl.total_seconds()),
        images.max_size,
        site.probe.reveal() if site.probe else "",
    )
    safe = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}
    return [
        {
            "match": {"path": PATH, "headers": [safe]},
            "route": {"cluster": NAME, "timeout": seconds(TIMEOUT), "retry_policy": retry_policy},
            "request_headers_to_add": headers.request_headers(((POLICY, policy.text()),)),
            "request_headers_to_remove": ["cookie", "authorization"],
            **marked(site, ""),
        }
    ]


def _stamp(site: Site) -> str:
    """Another one for other releases: a picture of the app's own is made anew after a deploy."""
    facts = [(rule.prefix, rule.targets, rule.request_headers) for rule in site.routes]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def image_cluster(layout: Layout) -> Json:
    address = {"pipe": {"path": str(Endpoint.unix(layout.images).path)}}
    return {
        "@type": PREFIX + CLUSTER,
        "name": NAME,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": NAME,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "circuit_breakers": BREAKERS,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
                "extensions.upstreams.http.v3.HttpProtocolOptions",
                common_http_protocol_options={"idle_timeout": seconds(IDLE)},
                explicit_http_config={"http_protocol_options": {}},
            )
        },
    }


def schemes(config: EdgeConfig) -> tuple[str, ...]:
    """Of the sites that have pictures; each is a table of routes."""
    ready = set(config.tls_domains())
    asked = [site for site in config.sites if site.policy.images]
    secure = any(site.policy.https and ready & set(site.domains) for site in asked)
    plain = any(not site.policy.https for site in asked)
    return tuple(name for name, there in (("http", plain), ("https", secure)) if there)


def inside_listener(scheme: str, filters: list[Json], manager: Json, layout: Layout) -> Json:
    """`filters` and `manager` are those of the listener which faces the network."""
    config = {**manager["typed_config"], "use_remote_address": False, "preserve_external_request_id": True}
    return {
        "@type": f"{PREFIX}config.listener.v3.Listener",
        "name": f"inside-{scheme}",
        "address": {"pipe": {"path": str(layout.inside(scheme)), "mode": 0o600}},
        "filter_chains": [{"filters": [*filters, {"name": manager["name"], "typed_config": config}]}],
    }
