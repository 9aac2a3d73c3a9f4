"""What the checklist looks at for an app of golive's own: its address, and facts as the daemon tells them."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golive.checks.site import Aim, address
from golive.checks.subject import Deployed, Subject
from golive.cli.entry import of_app
from golive.cli.place import Target, client
from golive.edge.routes import under
from golive.errors import NotFound
from golive.home import Home

if TYPE_CHECKING:
    from golive.blueprint.models import Blueprint
    from golive.daemon.client import Client


LARGEST_BURST = 300
"""Requests that a limit may allow at once to be used up by a check."""

LARGEST_DRILL = 2 * 10**9
"""Bytes of a backup that is restored while somebody waits for the checklist."""
ACCESS_LINES = 20_000
"""Of the edge's log that are looked through."""


def subject_of(target: Target, home: Home, origins: tuple[str, ...], roots: list[Path]) -> Subject:
    """The live app. NotFound where it is not live here."""
    from golive.blueprint.load import load

    daemon = client()
    apps = daemon.get("/v1/status", **target.query())["apps"]
    if not apps or not apps[0]["release"]:
        raise NotFound(f"{target} is not live here", hint="golive up; a site made otherwise: golive check https://…")
    checkout = target.checkout or (Path(apps[0]["checkout"]) if apps[0]["checkout"] else None)
    if checkout is None or not (checkout / "golive.toml").is_file():
        raise NotFound(f"the checkout of {target} is gone", where=str(checkout), hint="golive check -C DIR")
    blueprint = load(checkout, target.environment).blueprint
    url = next(iter(apps[0]["urls"]), None)
    own = Deployed(target.app, target.environment, blueprint, _asking(daemon, target, checkout), checkout)
    aim = None
    limited, untried = tried_limit(blueprint)
    if url:
        aim = Aim(
            address(url),
            (*roots, home.ca / "root.crt"),
            http_port=_http_port(home),
            health=_health(blueprint),
            origins=origins or declared_origins(blueprint),
            intrusive=True,
            limited=limited,
            untried=untried,
            entry=of_app(daemon, target.query()),
            cache=home.cache / "secrets",
        )
    return Subject(str(target) + (f" {url}" if url else ""), aim, own)


def declared_origins(blueprint: Blueprint) -> tuple[str, ...]:
    """Those of a variable whose name speaks of CORS or of allowed origins, as far as golive.toml says them."""
    found: list[str] = []
    for name, variable in blueprint.env.items():
        if "CORS" in name or "ORIGIN" in name:
            value = variable.default
            found += value if isinstance(value, list | tuple) else str(value or "").split(",")
    return tuple(one.strip() for one in found if "://" in one)


def _health(blueprint: Blueprint) -> tuple[str, ...]:
    """Paths of probes that the edge leads to."""
    found = []
    for service in blueprint.services.values():
        probe = service.health.ready
        if not probe or not probe.path:
            continue
        if service.strip_prefix and service.route:
            found.append(f"{service.route[0].rstrip('/')}{probe.path}")
        elif any(under(probe.path, route) for route in service.route):
            found.append(probe.path)
    return tuple(dict.fromkeys(found))


def tried_limit(blueprint: Blueprint) -> tuple[tuple[str, int] | None, str]:
    """The path of the smallest limit that lets go within a minute, and what it allows at once; else why none of those
    that are there is tried: using up a day's quota would lock out whoever checks."""
    rules = [(s, rule) for s in blueprint.services.values() if s.route for rule in s.rate_limit if rule.per == "client"]
    small = [
        (rule.burst or rule.limit.count, rule.path or s.route[0])
        for s, rule in rules
        if rule.limit.seconds <= 60 and (rule.burst or rule.limit.count) <= LARGEST_BURST
    ]
    if small:
        most, path = min(small)
        return (path, most), ""
    said = ", ".join(rule.model_dump(mode="json")["limit"] for _, rule in rules)
    return None, f"not tried, so that nobody is locked out: the limits are {said}" if rules else ""


def _http_port(home: Home) -> int | None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        return int(json.loads((home.edge / "ports.json").read_text())["http"])
    return None


def _machine(home: Home) -> dict[str, int]:
    """Bytes of the machine, and of the disk of $GOLIVE_HOME."""
    import shutil

    import psutil

    disk, memory = shutil.disk_usage(home.root), psutil.virtual_memory()
    return {
        "disk_free": disk.free,
        "disk_total": disk.total,
        "memory_free": memory.available,
        "memory_total": memory.total,
    }


def _drills(daemon: Client, place: dict[str, str]) -> list[dict[str, Any]]:
    """What a drill of the last backup of each database says, or why there was none."""
    from golive.units import human_size

    found: list[dict[str, Any]] = []
    for each in daemon.get("/v1/backups", **place)["databases"]:
        name, backups = each["name"], [one for one in each.get("backups", ()) if one["status"] != "failed"]
        if not backups:
            found.append({"name": name, "missing": True, "error": "there is none yet"})
        elif backups[0]["data"] > LARGEST_DRILL:
            error = f"{human_size(backups[0]['data'])}: it takes longer than a check may"
            found.append({"name": name, "error": error})
        else:
            found.append(_drill(daemon, {**place, "resource": name}))
    return found


def _drill(daemon: Client, place: dict[str, str]) -> dict[str, Any]:
    """Damage does not heal: what a second drill does not find was a write that came in the middle of the first."""
    from golive.errors import BackupFailed, BackupUntried, GoliveError

    found: dict[str, Any] = {"name": place["resource"]}
    for _ in range(2):
        try:
            events = daemon.stream("POST", "/v1/backups/drill", place)
            return {"name": place["resource"], "backup": next(e for e in events if e["type"] == "done")}
        except GoliveError as error:
            found |= {"error": f"{error.what}: {error.why or ''}"}
            found["damaged"] = isinstance(error, BackupFailed) and not isinstance(error, BackupUntried)
            if not found["damaged"]:
                break
    return found


def _parts(daemon: Client, target: Target, checkout: Path) -> tuple[Any, float]:
    """The app's processes, and the machine's cores."""
    from golive.cli import load_app
    from golive.system import machine

    status = daemon.get("/v1/status", **target.query())
    own = Target(target.app, target.environment, checkout)
    return load_app.watched(daemon, own, status, status["apps"][0]), machine.inspect().cores


def _asking(daemon: Client, target: Target, checkout: Path) -> Any:
    place = target.query()
    views = {
        "status": ("/v1/status", place),
        "env": ("/v1/env", {**place, "checkout": str(checkout)}),
        "releases": ("/v1/releases", place),
        "deployments": ("/v1/deployments", place),
        "migrations": ("/v1/migrations", place),
        "insight": ("/v1/db/insight", place),
        "audit": ("/v1/audit", place),
        "backups": ("/v1/backups", place),
    }

    def ask(name: str) -> Any:
        if name == "secrets":
            body = {**place, "checkout": str(checkout), "history": False, "anew": False}
            return [event for event in daemon.stream("POST", "/v1/secrets", body) if event["type"] != "progress"]
        if name == "machine":
            return _machine(daemon.home)
        if name == "values":
            return daemon.send("POST", "/v1/env/read", {**place, "checkout": str(checkout), "secrets": True})
        if name == "logs":
            body = {**place, "lines": 2000}
            return list(daemon.stream("POST", "/v1/logs", body))
        if name == "access":
            body = {**place, "lines": ACCESS_LINES, "edge": True}
            return list(daemon.stream("POST", "/v1/logs", body))
        if name == "outage":
            events = daemon.stream("POST", "/v1/outage", place)
            return next(event for event in events if event["type"] == "outage")
        if name == "drills":
            return _drills(daemon, place)
        if name == "parts":
            return _parts(daemon, target, checkout)
        path, query = views[name]
        return daemon.get(path, **query)

    return ask
