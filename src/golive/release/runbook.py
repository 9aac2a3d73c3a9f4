"""What somebody needs to know who has to make this host again, from the configuration as it is: facts, no prose."""

from __future__ import annotations

import json
import platform
from typing import Any

import golive
from golive.backup import keyring
from golive.build.artifact import LAYER_FILE, Layer
from golive.release import backups
from golive.release.host import Host
from golive.release.host_bundle import NAME
from golive.state.records import App


async def facts(host: Host) -> dict[str, Any]:
    """As JSON. Times in seconds since the epoch, durations in seconds, sizes in bytes."""
    live = [app for app in host.state.apps() if app.live is not None]
    apps = [await _app(host, app) for app in live]
    return {
        "hostname": platform.node(),
        "golive": golive.__version__,
        "platform": host.machine.platform,
        "home": str(host.home.root),
        "pythons": sorted({layer.python for layer in _layers(host) if layer.kind == "python"}),
        "key": {
            "id": keyring.current(host.home.backup_keys).id if apps else None,
            "kept": keyring.is_kept(host.home.backup_keys),
        },
        "passphrase": host.state.passphrase() is not None,
        "places": _places(host),
        "apps": apps,
    }


async def _app(host: Host, app: App) -> dict[str, Any]:
    blueprint = host.release_blueprint(app.place, app.live or 0)
    databases = []
    for name in backups.names(host, app.place):
        found = (await backups.listing(host, app.place, name))["databases"][0]
        databases.append({each: found[each] for each in ("name", "to", "own_disk", "trouble", "backups")})
    return {
        "app": app.place.app,
        "environment": app.place.environment,
        "release": app.live,
        "domains": list(blueprint.domains),
        "rto": blueprint.backups.rto.total_seconds(),
        "databases": databases,
        "images": [name for name, service in blueprint.services.items() if service.build.builder == "docker"],
        "elsewhere": [name for name, each in blueprint.resources.items() if each.url_from is not None],
    }


def _layers(host: Host) -> list[Layer]:
    return [Layer.model_validate_json(path.read_bytes()) for path in host.home.layers.glob(f"*/{LAYER_FILE}")]


def _places(host: Host) -> list[dict[str, Any]]:
    """Where the bundle of this host is written to."""
    made = json.loads(host.home.bundles.read_text()) if host.home.bundles.exists() else {}
    found: dict[str, dict[str, Any]] = {}
    for app in host.state.apps():
        if app.live is None:
            continue
        policy = host.release_blueprint(app.place, app.live).backups
        if policy.to is not None and policy.wanted(app.place.environment):
            kept = made.get(policy.to, {})
            trouble = host.backup_trouble.get((app.place, NAME))
            found.setdefault(
                policy.to, {"to": policy.to, "trouble": trouble, "id": kept.get("id"), "made": kept.get("made")}
            )
    return list(found.values())
