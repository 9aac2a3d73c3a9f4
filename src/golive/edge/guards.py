"""Filters that are in the listeners only once some site needs them.

A changed listener drains its connections, so what was once needed stays as long as Envoy runs; every chain has the same
ones, because a browser may ask for one domain on another's connection.
"""

from __future__ import annotations

from golive.edge import geoip, jwt, shield
from golive.edge.model import EdgeConfig
from golive.edge.resource import Json, Layout, extension

Guards = frozenset[str]
SHIELD = "shield"
GEOIP = "geoip"
JWT = "jwt"
NONE: Guards = frozenset()
FILTERS = {shield.RBAC: SHIELD, geoip.FILTER: GEOIP, jwt.FILTER: JWT}


def needed(config: EdgeConfig) -> Guards:
    """By the sites of a configuration."""
    asked = {
        SHIELD: any(site.policy.shield for site in config.sites),
        GEOIP: any(site.located for site in config.sites),
        JWT: bool(jwt.used(config)),
    }
    return frozenset(name for name, wanted in asked.items() if wanted)


def guards_in(lds: Json) -> Guards:
    """Those of a rendered LDS file."""
    chains = (chain for listener in lds["resources"] for chain in listener["filter_chains"])
    configs = (chain["filters"][-1]["typed_config"] for chain in chains)
    names = (made["name"] for config in configs for made in config.get("http_filters", ()))
    return frozenset(FILTERS[name] for name in names if name in FILTERS)


def first_filters(guards: Guards, layout: Layout) -> list[Json]:
    """Before all others, each turned on by the routes that need it."""
    made = [extension(shield.RBAC, "extensions.filters.http.rbac.v3.RBAC")] if SHIELD in guards else []
    made += geoip.filters(layout) if GEOIP in guards else []
    made += [jwt.http_filter(layout)] if JWT in guards else []
    return [{**one, "disabled": True} for one in made]


def network_filters(guards: Guards) -> list[Json]:
    """Before HTTP itself."""
    return [jwt.connection_state()] if JWT in guards else []


def log_fields(guards: Guards) -> dict[str, str]:
    """More of the access log."""
    return shield.LOG_FIELDS if SHIELD in guards else {}
