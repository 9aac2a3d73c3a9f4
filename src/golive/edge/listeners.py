"""LDS: the two listeners, one filter chain for each TLS domain. Changed only when domains change (rule 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from golive.edge import headers, rules
from golive.edge.guards import NONE, Guards, first_filters, log_fields, network_filters
from golive.edge.limits import FILTER as LIMIT_FILTER
from golive.edge.limits import FILTER_KIND as LIMIT_KIND
from golive.edge.model import Certificate, Stream, cluster_name
from golive.edge.resource import HTTP, PREFIX, Json, Layout, discovery, extension, file_source, typed
from golive.edge.routes import BUFFER, COMPRESSORS, GRPC_WEB, RETRY_FOR, SAFE, UNKNOWN_LENGTH, retry_policy

LISTENER = "config.listener.v3.Listener"
SECRET = "extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - the name of a type
SECRET_POLL = timedelta(seconds=1)
"""Certificates are polled: a watch on each would cost an inotify instance each, and the 129th kills Envoy (rule 1)."""
CONNECTION_BUFFER = 64 * 1024

UNRECOGNIZED_NAME = "FQMDAAICcA=="
"""The TLS alert of that name (RFC 6066), fatal: a clear answer to a client that asks for a domain we do not serve."""

LIBRARIES: dict[str, tuple[str, Json]] = {
    "zstd": ("zstd.compressor.v3.Zstd", {"compression_level": 1}),
    "br": ("brotli.compressor.v3.Brotli", {"quality": 3}),
    "gzip": ("gzip.compressor.v3.Gzip", {"compression_level": "COMPRESSION_LEVEL_5", "window_bits": 15}),
}
COMPRESSIBLE = (
    *(f"text/{kind}" for kind in ("html", "css", "plain", "csv", "xml", "markdown", "javascript")),
    *(f"application/{kind}" for kind in ("javascript", "json", "xml", "wasm", "manifest+json", "ld+json", "rss+xml")),
    *(f"application/{kind}" for kind in ("problem+json", "geo+json", "atom+xml", "xhtml+xml")),
    "image/svg+xml",
    "font/ttf",
)
"""Not text/event-stream: an event must leave at once and whole."""


def render_listeners(
    domains: Mapping[str, bool],
    layout: Layout,
    streams: Sequence[Stream] = (),
    guards: Guards = NONE,
    *,
    cache: bool = False,
    inside: Sequence[str] = (),
    trusted: Sequence[str] = (),
) -> Json:
    """The LDS file, for TLS domains and whether their requests are logged, for streams, with these guards, for the
    response cache and, by scheme, for the image service. `trusted` are networks of proxies."""
    chains = [_tls_chain(domain, layout, logged, guards) for domain, logged in sorted(domains.items())]
    manager = _connection_manager("http", layout, [_site_log(layout, guards)], guards)
    plain = {"filters": [*network_filters(guards), manager]}
    https = _listener("https", layout.https_port, layout)
    https |= {
        "listener_filters": [
            extension(
                "envoy.filters.listener.tls_inspector", "extensions.filters.listener.tls_inspector.v3.TlsInspector"
            )
        ],
        "filter_chains": _by_source(chains, trusted),
        "default_filter_chain": _refusal(),
        "listener_filters_timeout": "10s",
    }
    return discovery(
        LISTENER,
        [
            {**_listener("http", layout.http_port, layout), "filter_chains": _by_source([plain], trusted)},
            https,
            *(_stream(stream) for stream in sorted(streams, key=lambda s: s.name)),
            *(_origin(layout) if cache else ()),
            *(_inside(scheme, layout, guards) for scheme in inside),
        ],
    )


def _by_source(chains: list[Json], trusted: Sequence[str]) -> list[Json]:
    """With one for proxies beside each; a chain that was there stays as it is, and so do its connections."""
    if not trusted:
        return chains
    from golive.edge.proxies import chain

    return [*chains, *(chain(plain, trusted) for plain in chains)]


def _inside(scheme: str, layout: Layout, guards: Guards) -> Json:
    from golive.edge.pictures import inside_listener

    return inside_listener(scheme, network_filters(guards), _connection_manager(scheme, layout, [], guards), layout)


def _origin(layout: Layout) -> tuple[Json]:
    from golive.edge.cached import origin_listener

    return (origin_listener(layout, retry_policy(SAFE, RETRY_FOR)),)


def _stream(stream: Stream) -> Json:
    proxy = extension(
        "envoy.filters.network.tcp_proxy",
        "extensions.filters.network.tcp_proxy.v3.TcpProxy",
        stat_prefix="stream",
        cluster=cluster_name(stream.name),
        max_connect_attempts=4,
        idle_timeout="0s",  # a pool of the app may rest for as long as it likes
    )
    return {
        "@type": PREFIX + LISTENER,
        "name": stream.name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": stream.port}},
        "filter_chains": [{"filters": [proxy]}],
    }


def render_certificate(domain: str, certificate: Certificate) -> Json:
    """The SDS file of a domain: chain and key change together."""
    return discovery(
        SECRET,
        [
            {
                "@type": PREFIX + SECRET,
                "name": domain,
                "tls_certificate": {
                    "certificate_chain": {"inline_string": certificate.chain},
                    "private_key": {"inline_string": certificate.key.reveal()},
                },
            }
        ],
    )


def _listener(name: str, port: int, layout: Layout) -> Json:
    address: Json = {"address": layout.address, "port_value": port}
    if layout.address == "::":
        address["ipv4_compat"] = True
    return {
        "@type": PREFIX + LISTENER,
        "name": name,
        "address": {"socket_address": address},
        "per_connection_buffer_limit_bytes": CONNECTION_BUFFER,
    }


def _tls_chain(domain: str, layout: Layout, logged: bool, guards: Guards) -> Json:
    secret = {"name": domain, "sds_config": file_source(layout.certificate(domain), SECRET_POLL)}
    context: Json = {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificate_sds_secret_configs": [secret],
    }
    tls = typed("extensions.transport_sockets.tls.v3.DownstreamTlsContext", common_tls_context=context)
    manager = _connection_manager("https", layout, [_access_log(layout, guards)] if logged else [], guards)
    return {
        "name": domain,
        "filter_chain_match": {"server_names": [domain], "transport_protocol": "tls"},
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
        "filters": [*network_filters(guards), manager],
    }


def _refusal() -> Json:
    return {
        "name": "refuse",
        "filters": [
            extension(
                "envoy.filters.network.direct_response",
                "extensions.filters.network.direct_response.v3.Config",
                response={"inline_bytes": UNRECOGNIZED_NAME},
            )
        ],
    }


def _connection_manager(name: str, layout: Layout, access_log: list[Json], guards: Guards) -> Json:
    """The same for every chain of a listener but for the log, so that they share one route table and its watch."""
    return extension(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        rds={"route_config_name": name, "config_source": file_source(layout.resource(f"rds-{name}"))},
        http_filters=_http_filters(layout, guards),
        access_log=access_log,
        local_reply_config=_local_replies(),
        use_remote_address=True,
        # Nobody is "internal": else a client on a private network could set x-envoy-* request headers.
        internal_address_config={"cidr_ranges": [{"address_prefix": "127.255.255.255", "prefix_len": 32}]},
        append_x_forwarded_port=True,
        always_set_request_id_in_response=True,
        server_header_transformation="PASS_THROUGH",
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action="UNESCAPE_AND_REDIRECT",
        strip_trailing_host_dot=True,
        upgrade_configs=[{"upgrade_type": "websocket"}],
        common_http_protocol_options={
            "idle_timeout": "300s",
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        http2_protocol_options={
            "max_concurrent_streams": 128,
            "initial_stream_window_size": 256 * 1024,
            "initial_connection_window_size": 1024 * 1024,
        },
        request_headers_timeout="10s",
        stream_idle_timeout="300s",
    )


def _http_filters(layout: Layout, guards: Guards) -> list[Json]:
    limit = {
        "name": LIMIT_FILTER,
        "config_discovery": {
            "config_source": file_source(layout.resource("ecds")),
            "type_urls": [PREFIX + LIMIT_KIND],
        },
    }
    body = extension(BUFFER, "extensions.filters.http.buffer.v3.Buffer", max_request_bytes=UNKNOWN_LENGTH)
    web = extension(GRPC_WEB, "extensions.filters.http.grpc_web.v3.GrpcWeb")
    look = extension(rules.LOOK, rules.LOOK_KIND)
    query = extension(rules.QUERY, rules.QUERY_KIND, source_codes={"query": {"inline_string": rules.ADD_QUERY}})
    # Each costs microseconds of every request that passes it, so only routes that need one turn it on.
    by_route = [{**made, "disabled": True} for made in (web, body, look, query)]
    router = extension(f"{HTTP}router", "extensions.filters.http.router.v3.Router")
    return [*first_filters(guards, layout), limit, *(_compressor(name) for name in COMPRESSORS), *by_route, router]


def _compressor(name: str) -> Json:
    kind, options = LIBRARIES[name]
    common = {
        "min_content_length": 1024,
        "content_type_matcher": [{"prefix": kind} for kind in COMPRESSIBLE],
    }
    return extension(
        f"{HTTP}compressor.{name}",
        "extensions.filters.http.compressor.v3.Compressor",
        compressor_library=extension(name, f"extensions.compression.{kind}", **options),
        choose_first=name != COMPRESSORS[-1],
        response_direction_config={"common_config": common, "weaken_etag_on_compress": True},
    )


LOG_FIELDS: dict[str, Any] = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "service": "%ROUTE_NAME%",
    "generation": "%UPSTREAM_CLUSTER_RAW%",
    "host": "%REQ(:AUTHORITY)%",
    "method": "%REQ(:METHOD)%",
    # Without the query: it may hold tokens.
    "path": "%PATH(NQ)%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "ms": "%DURATION%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "upstream": "%UPSTREAM_HOST%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "user_agent": "%REQ(USER-AGENT)%",
}


def _access_log(layout: Layout, guards: Guards) -> Json:
    return extension(
        "envoy.access_loggers.file",
        "extensions.access_loggers.file.v3.FileAccessLog",
        path=str(layout.access_log),
        log_format={"json_format": LOG_FIELDS | log_fields(guards), "omit_empty_values": True},
    )


def _site_log(layout: Layout, guards: Guards) -> Json:
    """For the chain that all sites share: their routes say whether to log. It costs 5 us a request to ask them."""
    wanted = "!('golive' in xds.route_metadata.filter_metadata)"
    only = extension(
        "envoy.access_loggers.extension_filters.cel",
        "extensions.access_loggers.filters.cel.v3.ExpressionFilter",
        expression=wanted,
    )
    return {**_access_log(layout, guards), "filter": {"extension_filter": only}}


REPLIES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("RL",), "Too many requests. Wait for the seconds in Retry-After"),
    (("UT", "SI", "UMSDR", "DT"), "The application did not answer in time"),
    (
        ("UH", "UF", "UO", "NC", "UC", "LR", "UR", "URX", "OM"),
        "The application is not answering. Try again in a moment",
    ),
    (("UPE",), "The application's answer was not valid HTTP"),
)
"""Envoy's response flags, and what a person is told instead of connection details."""


TOO_LONG_TO_WAIT = "The application is not answering, and the request is too long to be kept. Try again in a moment"


def _local_replies() -> Json:
    mappers = []
    for flags, text in REPLIES:
        mappers += _reply({"response_flag_filter": {"flags": list(flags)}}, text)
    # Envoy says 507, as if the client should free some space.
    mappers += [{**m, "status_code": 503} for m in _reply(_status("EQ", 507), TOO_LONG_TO_WAIT)]
    mappers.append({"filter": _status("GE", 400), "headers_to_add": headers.local_reply_headers()})
    return {"mappers": mappers}


def _reply(match: Json, text: str) -> list[Json]:
    """For clients that take JSON, and for all others."""
    as_json = {"error": text, "status": "%RESPONSE_CODE%", "request_id": "%REQ(X-REQUEST-ID)%"}
    plain = {"inline_string": f"%RESPONSE_CODE% {text}.\nRequest id: %REQ(X-REQUEST-ID)%\n"}
    return [
        {
            "filter": {"and_filter": {"filters": [match, _accepts_json()]}},
            "body_format_override": {"json_format": as_json},
        },
        {
            "filter": match,
            "body_format_override": {"text_format_source": plain, "content_type": "text/plain; charset=utf-8"},
        },
    ]


def _status(op: str, code: int) -> Json:
    value = {"default_value": code, "runtime_key": f"golive.status.{op}.{code}"}
    return {"status_code_filter": {"comparison": {"op": op, "value": value}}}


def _accepts_json() -> Json:
    match = {"contains": "application/json"}
    return {"header_filter": {"header": {"name": "accept", "string_match": match}}}
