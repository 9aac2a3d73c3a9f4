"""Envoy's bootstrap: written once, it only says where the other files are."""

from __future__ import annotations

import copy
import os

from golive.edge.resource import Json, Layout, extension, file_source

HEAP = 1024**3
"""Bytes of heap at which Envoy refuses new requests; from 85 % of it the hungriest streams are reset."""


def render_bootstrap(layout: Layout, connections: int) -> Json:
    """`connections` are open from clients at most; each may need a second one to an instance."""
    return {
        **_common(layout, connections),
        "dynamic_resources": {
            "lds_config": file_source(layout.resource("lds")),
            "cds_config": file_source(layout.resource("cds")),
        },
    }


def _common(layout: Layout, connections: int) -> Json:
    return {
        "node": {"id": "golive", "cluster": "edge"},
        "admin": {"address": {"pipe": {"path": str(layout.admin), "mode": 0o600}}},
        "overload_manager": _overload(connections),
        # The default of 100 instructions refuses a prefix of some ninety letters.
        "layered_runtime": {"layers": [{"name": "golive", "static_layer": {"re2.max_program_size.error_level": 2000}}]},
    }


def _overload(connections: int) -> Json:
    monitor = extension(
        "envoy.resource_monitors.fixed_heap",
        "extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
        max_heap_size_bytes=HEAP,
    )
    clients = extension(
        "envoy.resource_monitors.global_downstream_max_connections",
        "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        max_active_downstream_connections=connections,
    )
    name = "envoy.resource_monitors.fixed_heap"
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [monitor, clients],
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": 20},
        "actions": [
            {
                "name": "envoy.overload_actions.reset_high_memory_stream",
                "triggers": [{"name": name, "scaled": {"scaling_threshold": 0.85, "saturation_threshold": 0.95}}],
            },
            {
                "name": "envoy.overload_actions.stop_accepting_requests",
                "triggers": [{"name": name, "threshold": {"value": 0.97}}],
            },
        ],
    }


def validation_bootstrap(layout: Layout, resources: dict[str, Json]) -> Json:
    """The same resources as one static file, for `envoy --mode validate`, which does not read the others.

    `resources` are the rendered files by name. Routes and limits stand inside the listeners instead of being
    discovered, and certificates in the chains.
    """
    listeners = copy.deepcopy(resources["lds"]["resources"])
    for listener in listeners:
        for chain in [*listener["filter_chains"]]:
            manager = chain["filters"][-1]["typed_config"]
            if "rds" not in manager:  # neither routes nor a log of its own
                continue
            # Loading opens it; it would then belong to whoever checked.
            for log in manager["access_log"]:
                log["typed_config"]["path"] = os.devnull
            name = manager.pop("rds")["route_config_name"]
            manager["route_config"] = _plain(resources[f"rds-{name}"]["resources"][0])
            manager["http_filters"] = [_discovered(made, resources) for made in manager["http_filters"]]
            if "transport_socket" in chain:
                _inline_certificate(chain, resources)
    static = {
        "listeners": [_plain(x) for x in listeners],
        "clusters": [_plain(x) for x in resources["cds"]["resources"]],
    }
    return {**_common(layout, 1000), "static_resources": static}


def empty_bootstrap(layout: Layout) -> Json:
    """What every other one begins with."""
    return _common(layout, 1000)


def _discovered(made: Json, resources: dict[str, Json]) -> Json:
    """A filter with the configuration that it would be given."""
    if "config_discovery" not in made:
        return made
    given = (one for name, file in resources.items() if name.startswith("ecds") for one in file["resources"])
    found = next(one for one in given if one["name"] == made["name"])
    kept = {key: value for key, value in made.items() if key != "config_discovery"}
    return {**kept, "typed_config": found["typed_config"]}


def _inline_certificate(chain: Json, resources: dict[str, Json]) -> None:
    context = chain["transport_socket"]["typed_config"]["common_tls_context"]
    domain = context.pop("tls_certificate_sds_secret_configs")[0]["name"]
    context["tls_certificates"] = [resources[f"certificate {domain}"]["resources"][0]["tls_certificate"]]


def _plain(resource: Json) -> Json:
    """As a message of a known type: only an `Any` says its own."""
    return {k: v for k, v in resource.items() if k != "@type"}
