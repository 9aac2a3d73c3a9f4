"""Small pieces that every Envoy resource is made of, and where its files are."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

Json = dict[str, Any]

PREFIX = "type.googleapis.com/envoy."
HTTP = "envoy.filters.http."


@dataclass(frozen=True)
class Layout:
    """Where the edge listens and where its files are. `address` `::` takes IPv4 too."""

    directory: Path
    admin: Path
    http_port: int
    https_port: int
    address: str = "0.0.0.0"  # noqa: S104 - the edge is what faces the network

    @property
    def bootstrap(self) -> Path:
        return self.directory / "bootstrap.json"

    @property
    def access_log(self) -> Path:
        return self.directory / "access.log"

    @property
    def log(self) -> Path:
        """Envoy's own output."""
        return self.directory / "envoy.log"

    @property
    def nobody(self) -> Path:
        """A socket that never exists: where an upstream without endpoints points to."""
        return self.directory / "nobody.sock"

    @property
    def bodies(self) -> Path:
        """Static files that Envoy answers itself."""
        return self.directory / "bodies"

    @property
    def cache(self) -> Path:
        """Where the response cache listens."""
        return self.admin.parent / "cache.sock"

    @property
    def origin(self) -> Path:
        """Where Envoy listens for the response cache."""
        return self.admin.parent / "origin.sock"

    @property
    def images(self) -> Path:
        """Where the image service listens."""
        return self.admin.parent / "images.sock"

    def inside(self, scheme: str) -> Path:
        """Where Envoy listens for the image service, with the routes of `http` or `https`."""
        return self.admin.parent / f"inside-{scheme}.sock"

    @property
    def geoip(self) -> Path:
        """The GeoIP database that Envoy reads; it watches the folder."""
        return self.directory / "geoip" / "geoip.mmdb"

    def resource(self, name: str) -> Path:
        """`lds`, `cds`, `rds-http`, `rds-https` or `ecds`."""
        return self.directory / "resources" / f"{name}.json"

    def certificate(self, domain: str) -> Path:
        return self.directory / "certificates" / f"{domain.replace('*', '_')}.json"


def typed(kind: str, **fields: Any) -> Json:
    """A `google.protobuf.Any` of an Envoy type, named without `envoy.`."""
    return {"@type": PREFIX + kind, **fields}


def extension(name: str, kind: str, **fields: Any) -> Json:
    return {"name": name, "typed_config": typed(kind, **fields)}


def seconds(value: timedelta) -> str:
    """A protobuf duration, e.g. `1.5s`."""
    return f"{value.total_seconds():g}s" if value.total_seconds() < 1e5 else f"{value.total_seconds():.0f}s"


def file_source(path: Path, poll: timedelta | None = None) -> Json:
    """A file subscription. Without `poll` it costs one inotify instance, of which a user has 128 by default."""
    source: Json = {"path": str(path)}
    if poll:
        source["poll_interval"] = seconds(poll)
    return {"resource_api_version": "V3", "path_config_source": source}


def discovery(kind: str, resources: list[Json]) -> Json:
    """A DiscoveryResponse whose version is the hash of its content: the same content is the same version."""
    content = json.dumps(resources, sort_keys=True)
    version = hashlib.sha256(content.encode()).hexdigest()[:16]
    return {"version_info": version, "type_url": PREFIX + kind, "resources": resources}
