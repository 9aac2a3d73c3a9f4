"""Behind load balancers and CDNs: connections from their networks have a filter chain of their own, in which Envoy
reads who the client is out of X-Forwarded-For, from the right, as far as the networks are trusted. Pure.

In all other chains nothing that a client says is believed, and they stay what they are when a network is added. Envoy
writes `x-envoy-external-address`, by which routes know a client, only where it believes nobody; here a script does,
before every other filter. Until then it is `UNKNOWN`, which the routes that ask for an address let pass: the filters of
a request are chosen by its first route, and must be all that its last one may need.

Envoy takes a header that it cannot read, or with more than 20 addresses, for none, and the proxy for the client. A
visitor could make himself the proxy so, past a rule about his address: such a request is refused.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import replace

from golive.edge.closed import ADDRESS, UNKNOWN
from golive.edge.model import EdgeConfig
from golive.edge.resource import Json, extension, typed

FILTER = "golive.client"
_STRANGE = (
    *("x-request-id", "x-forwarded-port", "x-envoy-decorator-operation"),
    *("x-envoy-downstream-service-cluster", "x-envoy-downstream-service-node"),
    *("x-envoy-original-path", "x-envoy-original-host"),
)
"""What a proxy may hand on unseen, and Envoy leaves there."""

SCRIPT = """\
local function without_port(address)
  return string.match(address, "^%[?([^%]]*)%]?:%d+$") or ""
end

local function is_read(said, address, peer)
  if address ~= peer then return true end
  for one in string.gmatch(said, "[^,%s]+") do
    if one ~= peer then return false end
  end
  return true
end

function envoy_on_request(handle)
  local headers, info = handle:headers(), handle:streamInfo()
  local address = without_port(info:downstreamRemoteAddress())
  if not is_read(headers:get("x-forwarded-for") or "", address, without_port(info:downstreamDirectRemoteAddress())) then
    handle:respond({[":status"] = "400", ["content-type"] = "text/plain; charset=utf-8"},
      "400 X-Forwarded-For cannot be read: at most 20 addresses, without ports.\\n")
    return
  end
  headers:replace("x-envoy-external-address", string.match(address, "^::ffff:(%d+%.%d+%.%d+%.%d+)$") or address)
  local scheme = headers:get("x-forwarded-proto")
  if scheme ~= "https" and scheme ~= "http" then
    scheme = handle:streamInfo():downstreamSslConnection() and "https" or "http"
    headers:replace("x-forwarded-proto", scheme)
  end
  local port = string.match(headers:get(":authority") or "", ":(%d+)$")
  headers:replace("x-forwarded-port", port or (scheme == "https" and "443" or "80"))
  handle:clearRouteCache()
end
"""


def informed(config: EdgeConfig) -> EdgeConfig:
    """The configuration whose sites know that an address may be `UNKNOWN` at first."""
    if not config.trusted:
        return config
    return replace(config, sites=tuple(replace(site, proxied=True) for site in config.sites))


def chain(plain: Json, networks: Sequence[str]) -> Json:
    """A filter chain beside `plain`, for connections from these networks."""
    *before, manager = plain["filters"]
    ranges = [_range(network) for network in networks]
    return {
        **plain,
        "name": f"{plain['name']} by proxies" if "name" in plain else "proxies",
        "filter_chain_match": {**plain.get("filter_chain_match", {}), "source_prefix_ranges": ranges},
        "filters": [*before, {**manager, "typed_config": _believing(manager["typed_config"], networks)}],
    }


def _believing(config: Json, networks: Sequence[str]) -> Json:
    ranges = [_range(text) for network in networks for text in (network, *_mapped(network))]
    detection = extension(
        "envoy.http.original_ip_detection.xff",
        "extensions.http.original_ip_detection.xff.v3.XffConfig",
        xff_trusted_cidrs={"cidrs": ranges},
    )
    unknown = {"header": {"key": ADDRESS, "value": UNKNOWN}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    cleaning = extension(
        "envoy.http.early_header_mutation.header_mutation",
        "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        mutations=[*({"remove": name} for name in _STRANGE), {"append": unknown}],
    )
    client = {
        "name": FILTER,
        "typed_config": typed("extensions.filters.http.lua.v3.Lua", default_source_code={"inline_string": SCRIPT}),
    }
    return {
        **config,
        "use_remote_address": False,
        "original_ip_detection_extensions": [detection],
        "early_header_mutation_extensions": [cleaning],
        "http_filters": [client, *config["http_filters"]],
    }


def _range(text: str) -> Json:
    network = ipaddress.ip_network(text)
    return {"address_prefix": str(network.network_address), "prefix_len": network.prefixlen}


def _mapped(text: str) -> tuple[str, ...]:
    """As a proxy that listens for IPv4 on an IPv6 socket writes it."""
    network = ipaddress.ip_network(text)
    if isinstance(network, ipaddress.IPv6Network):
        return ()
    return (f"::ffff:{network.network_address}/{96 + network.prefixlen}",)
