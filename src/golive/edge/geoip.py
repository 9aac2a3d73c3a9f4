"""Country and region of a client, by a GeoIP database (MaxMind's format) that the user supplies: Envoy looks them up.

The user's file is never what Envoy reads: a damaged one would cost it all its listeners. A copy is made once Envoy has
loaded it without serving, by one rename, which Envoy notices by itself.
"""

from __future__ import annotations

import contextlib
import filecmp
import json
import os
import shutil
from pathlib import Path

from golive.edge.model import EdgeConfig, Site
from golive.edge.resource import HTTP, Json, Layout, extension, typed

COUNTRY = "x-country-code"
REGION = "x-region-code"
FILTER = f"{HTTP}geoip"
CLEAN = f"{HTTP}header_mutation"
LARGEST = 500 * 10**6


def filters(layout: Layout) -> list[Json]:
    """What a client says about itself is taken away, then it is looked up. For routes that turn both on."""
    removals = [{"remove": name} for name in (COUNTRY, REGION)]
    clean = extension(
        CLEAN,
        "extensions.filters.http.header_mutation.v3.HeaderMutation",
        mutations={"request_mutations": removals},
    )
    return [clean, lookup(layout.geoip)]


def lookup(database: Path) -> Json:
    provider = extension(
        "envoy.geoip_providers.maxmind",
        "extensions.geoip_providers.maxmind.v3.MaxMindConfig",
        city_db_path=str(database),
        common_provider_config={"geo_field_keys": {"country": COUNTRY, "region": REGION}},
    )
    return extension(FILTER, "extensions.filters.http.geoip.v3.Geoip", provider=provider)


def turned_on(site: Site) -> Json:
    """Fields of a virtual host's filters; none for a site that does not ask."""
    if not site.located:
        return {}
    on = typed("config.route.v3.FilterConfig", config={})
    return {CLEAN: on, FILTER: on}


def wanted(config: EdgeConfig) -> bool:
    return any(site.policy.country for site in config.sites)


def validation(common: Json, database: Path) -> Json:
    """A bootstrap with nothing but the database, for `envoy --mode validate`."""
    router = extension(f"{HTTP}router", "extensions.filters.http.router.v3.Router")
    manager = extension(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="geoip",
        route_config={"name": "geoip"},
        http_filters=[lookup(database), router],
    )
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    listener = {"name": "geoip", "address": address, "filter_chains": [{"filters": [manager]}]}
    return {**common, "static_resources": {"listeners": [listener]}}


def identity(database: Path) -> str | None:
    """What tells one state of a file from another; None when it is not there."""
    with contextlib.suppress(OSError):
        found = database.stat()
        return json.dumps([found.st_mtime_ns, found.st_size])
    return None


def copied(source: Path, layout: Layout, mode: int) -> Path:
    """A copy beside the one that Envoy reads. OSError."""
    layout.geoip.parent.mkdir(mode=0o750, exist_ok=True)
    if source.stat().st_size > LARGEST:
        raise OSError(f"has more than {LARGEST // 10**6} MB")
    candidate = layout.geoip.with_name("candidate.mmdb")
    shutil.copyfile(source, candidate)
    candidate.chmod(mode)
    return candidate


def is_same(one: Path, other: Path) -> bool:
    return other.exists() and filecmp.cmp(one, other, shallow=False)


def owned(layout: Layout, uid: int, gid: int) -> None:
    """The folder is Envoy's user's, as the edge's others are."""
    os.chown(layout.geoip.parent, uid, gid)
    layout.geoip.parent.chmod(0o2700)
