"""The whole edge as files: `EdgeConfig` in, one DiscoveryResponse for each file out. Pure."""

from __future__ import annotations

from pathlib import Path

from golive.edge.clusters import render_clusters
from golive.edge.limits import LimitClass, classes, render_limits
from golive.edge.listeners import render_certificate, render_listeners
from golive.edge.model import EdgeConfig
from golive.edge.resource import Json, Layout
from golive.edge.routes import render_routes

CERTIFICATE = "certificate "


def render(config: EdgeConfig, layout: Layout, kept: frozenset[LimitClass] = frozenset()) -> dict[str, Json]:
    """Every file by name: `cds`, `rds-http`, `rds-https`, `ecds`, `lds`, and `certificate <domain>` for each.

    `kept` are rate limit classes that Envoy has already and that no route uses any more.
    """
    domains, owners = config.tls_domains(), config.owners()
    files = {
        "cds": render_clusters(config.upstreams, layout, config.streams),
        "ecds": render_limits(classes(config) | kept),
        "rds-http": render_routes(config, tls=False, https_port=layout.https_port),
        "rds-https": render_routes(config, tls=True),
        "lds": render_listeners({d: owners[d].policy.access_log for d in domains}, layout, config.streams),
    }
    for domain in domains:
        if found := config.certificate(domain):
            files[CERTIFICATE + domain] = render_certificate(domain, found)
    return files


def path_of(name: str, layout: Layout) -> Path:
    """Where a file of `render` belongs."""
    if name.startswith(CERTIFICATE):
        return layout.certificate(name.removeprefix(CERTIFICATE))
    return layout.resource(name)
