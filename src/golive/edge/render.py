"""The whole edge as files: `EdgeConfig` in, one DiscoveryResponse for each file out. Pure."""

from __future__ import annotations

from pathlib import Path

from golive.edge import jwt
from golive.edge.clusters import render_clusters
from golive.edge.guards import JWT, NONE, Guards, needed
from golive.edge.limits import Known, known, render_limits
from golive.edge.listeners import render_certificate, render_listeners
from golive.edge.model import EdgeConfig
from golive.edge.resource import Json, Layout
from golive.edge.routes import render_routes

CERTIFICATE = "certificate "


def render(config: EdgeConfig, layout: Layout, kept: Known | None = None, guarded: Guards = NONE) -> dict[str, Json]:
    """Every file by name: `cds`, `rds-http`, `rds-https`, `ecds`, `lds`, `certificate <domain>` for each, and
    `ecds-jwt` where tokens are asked for.

    `kept` is what Envoy knows of rate limits already, and what no route may use any more; `guarded` are the guards that
    its listeners have already.
    """
    trusted = config.trusted
    if trusted:
        from golive.edge.proxies import informed

        config = informed(config)
    domains, owners = config.tls_domains(), config.owners()
    guards = needed(config) | guarded
    routes = {
        "rds-http": render_routes(config, layout, tls=False),
        "rds-https": render_routes(config, layout, tls=True),
    }
    more = list(jwt.clusters(config, layout))
    inside: tuple[str, ...] = ()
    if config.pictures:
        from golive.edge import pictures

        more.append(pictures.image_cluster(layout))
        inside = pictures.schemes(config)
    files = {
        "cds": render_clusters(config.upstreams, layout, config.streams, more, cache=config.caches),
        "ecds": render_limits(known(config, routes.values()) | (kept or Known())),
        **routes,
        "lds": render_listeners(
            {d: owners[d].policy.access_log for d in domains},
            layout,
            config.streams,
            guards,
            cache=config.caches,
            inside=inside,
            trusted=trusted,
        ),
    }
    if JWT in guards:
        files[jwt.FILE] = jwt.render_tokens(config)
    for domain in domains:
        if found := config.certificate(domain):
            files[CERTIFICATE + domain] = render_certificate(domain, found)
    return files


def path_of(name: str, layout: Layout) -> Path:
    """Where a file of `render` belongs."""
    if name.startswith(CERTIFICATE):
        return layout.certificate(name.removeprefix(CERTIFICATE))
    return layout.resource(name)
