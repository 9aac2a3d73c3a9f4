"""Tokens that Envoy checks (`jwt_authn`), as the pieces of resources that do it. Pure.

What a token must be stands in a file of its own (ECDS), so that a change in it touches no listener; a route says which
of these it asks for. A connection that was opened before the listeners had the filter would pass unchecked, so such a
route takes only connections on which the filter is, and all others are sent to a new one (421).
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from urllib.parse import urlsplit

from golive.edge.clusters import BREAKERS, CLUSTER
from golive.edge.model import EdgeConfig, Site, Tokens, cluster_name
from golive.edge.resource import HTTP, PREFIX, Json, Layout, discovery, extension, file_source, typed
from golive.edge.rules import QUERY
from golive.edge.shield import PROBE
from golive.secret import Secret

FILTER = f"{HTTP}jwt_authn"
KIND = "extensions.filters.http.jwt_authn.v3.JwtAuthentication"
FILE = "ecds-jwt"
STATE = "golive.jwt"
PAYLOAD = "claims"
"""Where the filter leaves a token's claims, in its own metadata."""
KNOWN = 1000
"""Tokens whose signature is not checked again while they hold, in each of Envoy's threads. Only where other keys are
another provider: Envoy does not forget a token when an address no longer has its key."""
END = "function envoy_on_request(handle) handle:streamInfo():drainConnectionUponCompletion() end"
"""Ends a connection of HTTP/1.1 with its answer; browsers make a new one by themselves over HTTP/2 only."""
ELSEWHERE = "This connection is older than the rule for tokens. Ask again on a new one"


def name_of(tokens: Tokens) -> str:
    """Of what a token must be: the same for all that ask the same."""
    content = json.dumps(_provider(tokens, _cluster_name(tokens), "name"), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def needed_at(tokens: Tokens, path: str) -> bool:
    """Whether a path needs a token: the longest path of `paths` and `exempt` decides."""
    lengths = {True: 0 if tokens.paths else 1, False: 0}
    for needed, listed in ((True, tokens.paths), (False, tokens.exempt)):
        for one in listed:
            base = one.rstrip("/")
            if path == base or path.startswith(f"{base}/"):
                lengths[needed] = max(lengths[needed], len(base) + 2)
    return lengths[True] > lengths[False]


def may_lead_to_needed(tokens: Tokens, start: str) -> bool:
    """The same of every path that begins like this."""
    return needed_at(tokens, start.rstrip("/")) or any(path.startswith(start) for path in tokens.paths)


def guarded(site: Site, tokens: Tokens, match: Json, made: list[Json]) -> list[Json]:
    """The routes of `match`, which then ask for a token.

    Not asked are golive's own requests and what browsers ask before they send one (CORS).
    """
    preflight: list[Json] = [
        {"name": ":method", "string_match": {"exact": "OPTIONS"}},
        {"name": "origin", "present_match": True},
        {"name": "access-control-request-method", "present_match": True},
    ]
    known = [preflight]
    if site.probe:
        known.append(_golives(site, site.probe))
    found = [_also(route, tests) for tests in known for route in unguarded(tokens, made[:1])]
    here = [{"key": STATE, "string_match": {"exact": "on"}}]
    asked = {FILTER: typed("extensions.filters.http.jwt_authn.v3.PerRouteConfig", requirement_name=name_of(tokens))}
    for route in made:
        filters = route.get("typed_per_filter_config", {}) | asked
        found.append({**route, "match": {**route["match"], "filter_state": here}, "typed_per_filter_config": filters})
    answer = {"status": 421, "body": {"inline_string": f"{ELSEWHERE}\n"}}
    ending = {QUERY: typed("extensions.filters.http.lua.v3.LuaPerRoute", source_code={"inline_string": END})}
    elsewhere: Json = {"match": match, "direct_response": answer, "typed_per_filter_config": ending}
    return [*found, {**elsewhere, "name": made[0]["name"]}]


def _golives(site: Site, probe: Secret) -> list[Json]:
    """True of golive's own requests. The image service asks for anybody, who may have no token."""
    tests: list[Json] = [{"name": PROBE, "string_match": {"exact": probe.reveal()}}]
    if site.policy.images:
        from golive.edge.image_policy import POLICY

        tests.append({"name": POLICY, "present_match": True, "invert_match": True})
    return tests


def unguarded(tokens: Tokens, made: list[Json]) -> list[Json]:
    """Routes without a token, on which nobody can say to be somebody."""
    claimed = [header.lower() for header, _ in tokens.claims]
    if not claimed:
        return made
    return [
        {**route, "request_headers_to_remove": [*route.get("request_headers_to_remove", ()), *claimed]}
        for route in made
    ]


def _also(route: Json, tests: list[Json]) -> Json:
    return {**route, "match": {**route["match"], "headers": [*route["match"].get("headers", ()), *tests]}}


def connection_state() -> Json:
    """A network filter that marks the connections of a chain that has the HTTP filter."""
    value = {"object_key": STATE, "factory_key": "envoy.string"}
    text = {"format_string": {"text_format_source": {"inline_string": "on"}}}
    kind = "extensions.filters.network.set_filter_state.v3.Config"
    return extension("envoy.filters.network.set_filter_state", kind, on_new_connection=[value | text])


def http_filter(layout: Layout) -> Json:
    source = {"config_source": file_source(layout.resource(FILE)), "type_urls": [PREFIX + KIND]}
    return {"name": FILTER, "config_discovery": source}


def render_tokens(config: EdgeConfig) -> Json:
    """The ECDS file."""
    providers = {name_of(tokens): _provider(tokens, _cluster_name(tokens), PAYLOAD) for tokens in used(config)}
    made = typed(
        KIND, providers=providers, requirement_map={name: {"provider_name": name} for name in providers}
    )  # fmt: skip
    kind = "config.core.v3.TypedExtensionConfig"
    return discovery(kind, [{"@type": PREFIX + kind, "name": FILTER, "typed_config": made}])


def used(config: EdgeConfig) -> list[Tokens]:
    """What tokens must be, each once."""
    return list(dict.fromkeys(rule.tokens for _, rule in config.rules() if rule.tokens))


def _provider(tokens: Tokens, cluster: str, payload: str) -> Json:
    made: Json = {
        **({"issuer": tokens.issuer} if tokens.issuer else {}),
        "audiences": list(tokens.audience),
        "forward": tokens.forward,
        "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
        **({"from_cookies": [tokens.cookie]} if tokens.cookie else {}),
        "require_expiration": True,
        "claim_to_headers": [{"header_name": header, "claim_name": claim} for header, claim in tokens.claims],
        "payload_in_metadata": payload,
    }
    if tokens.keys is not None:
        known = {"jwt_cache_config": {"jwt_cache_size": KNOWN}}
        return {**made, **known, "local_jwks": {"inline_string": tokens.keys}}
    remote = {
        "http_uri": {"uri": tokens.url, "cluster": cluster, "timeout": "5s"},
        "cache_duration": "600s",
        "async_fetch": {"fast_listener": True, "failed_refetch_duration": "5s"},
        "retry_policy": {"num_retries": 2, "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"}},
    }
    return {**made, "remote_jwks": remote}


def _cluster_name(tokens: Tokens) -> str:
    if tokens.url is None:
        return ""
    parts = urlsplit(tokens.url)
    trust = hashlib.sha256(tokens.ca.encode()).hexdigest()[:8]
    return cluster_name(f"jwks/{parts.hostname}:{parts.port or 443}/{trust}")


def clusters(config: EdgeConfig, layout: Layout) -> list[Json]:
    """Where the keys are asked for, each once."""
    found = {_cluster_name(tokens): tokens for tokens in used(config) if tokens.url}
    return [_cluster(name, tokens, layout) for name, tokens in found.items()]


def _cluster(name: str, tokens: Tokens, layout: Layout) -> Json:
    """Without anybody to vouch for it, it leads nowhere: no token is then believed."""
    parts = urlsplit(tokens.url or "")
    host = parts.hostname or ""
    address: Json = {"socket_address": {"address": host, "port_value": parts.port or 443}}
    if not tokens.ca:
        address = {"pipe": {"path": str(layout.nobody)}}
    number = _is_address(host)
    san = {"san_type": "IP_ADDRESS" if number else "DNS", "matcher": {"exact": host}}
    trusted = {"filename": tokens.ca} if tokens.ca.startswith("/") else {"inline_string": tokens.ca}
    trust = {"trusted_ca": trusted, "match_typed_subject_alt_names": [san]}
    context = typed(
        "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        common_tls_context={"validation_context": trust},
        **({} if number else {"sni": host}),
    )
    endpoint = {"lb_endpoints": [{"endpoint": {"address": address}}]}
    return {
        "@type": f"type.googleapis.com/envoy.{CLUSTER}",
        "name": name,
        "type": "STATIC" if number or not tokens.ca else "LOGICAL_DNS",
        "connect_timeout": "5s",
        "wait_for_warm_on_init": False,
        "dns_lookup_family": "ALL",
        "load_assignment": {"cluster_name": name, "endpoints": [endpoint]},
        "circuit_breakers": BREAKERS,
        **({"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context}} if tokens.ca else {}),
    }


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
