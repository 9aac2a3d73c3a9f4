"""What a load test is put on, and what of it is watched: an app of golive's own, or an address."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from golive.cli.place import Target, client
from golive.errors import GoliveError, NotFound
from golive.home import Home

if TYPE_CHECKING:
    from golive.blueprint.models import Blueprint
    from golive.checks.load.scenario import Request
    from golive.checks.load.watch import Part, Watch
    from golive.daemon.client import Client

LINES = 100_000
"""Of the access log, the last ones."""


@dataclass(frozen=True)
class Subject:
    """`own` is whether golive serves it here. `instances` are those of each service, `roots` PEM files to trust."""

    title: str
    origin: str
    path: str
    own: bool
    roots: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    instances: dict[str, int] = field(default_factory=dict)
    cores: float = 1.0
    most: float = 0.0
    log: Callable[[], tuple[Request, ...]] | None = None
    pools: Callable[[], dict[str, dict[str, int]]] | None = None

    def watch(self) -> Watch:
        from golive.checks.load.watch import Watch

        return Watch(self.parts, self.cores, self.pools)

    def logged(self) -> tuple[Request, ...]:
        """The mix of its access log. NotFound without one."""
        if self.log is None:
            raise NotFound(f"golive keeps no access log of {self.origin}", hint="--scenario FILE")
        return self.log()


def app(target: Target) -> Subject:
    """The live app. NotFound where it is not live here, or answers no requests."""
    daemon = client()
    found = daemon.get("/v1/status", **target.query())
    if not found["apps"] or not found["apps"][0]["release"]:
        raise NotFound(f"{target} is not live here", hint="golive up; a site made otherwise: golive load URL --mine")
    if not found["apps"][0]["urls"]:
        raise NotFound(f"{target} has no address", hint="`domains` in golive.toml, and a service with a route")
    return _deployed(daemon, found, found["apps"][0], "/")


def url(text: str) -> Subject:
    """An address: the app's, where golive serves it here."""
    from golive.checks.site import address

    at = address(text)
    with contextlib.suppress(GoliveError):
        daemon = client(start=False)
        found = daemon.get("/v1/status")
        for one in found["apps"]:
            if one["release"] and at.origin in one["urls"]:
                return _deployed(daemon, found, one, at.path, at.origin)
    return Subject(at.origin + at.path, at.origin, at.path, own=False)


def _deployed(daemon: Client, status: dict[str, Any], one: dict[str, Any], path: str, origin: str = "") -> Subject:
    from golive.system import machine

    target = Target(one["app"], one["environment"], Path(one["checkout"]) if one["checkout"] else None)
    at = origin or one["urls"][0].rstrip("/")
    root = Home.default().ca / "root.crt"
    hosts = {urlsplit(each).hostname or "" for each in one["urls"]}
    pooled = any(resource.get("use") for resource in one["resources"].values())
    return Subject(
        title=f"{target} {at}{path}",
        origin=at,
        path=path,
        own=True,
        roots=(str(root),) if root.is_file() else (),
        parts=watched(daemon, target, status, one),
        instances={name: len(s["instances"]) for name, s in one["services"].items() if s["instances"] and s["route"]},
        cores=machine.inspect().cores,
        log=lambda: _log(daemon, target, hosts),
        pools=(lambda: _pools(daemon, target)) if pooled else None,
    )


def watched(daemon: Client, target: Target, status: dict[str, Any], one: dict[str, Any]) -> tuple[Part, ...]:
    """The processes of the app, and the edge's."""
    from golive.checks.load.watch import Part

    blueprint = _blueprint(target)
    found = []
    for name, service in one["services"].items():
        wished = blueprint.services.get(name) if blueprint else None
        for instance in service["instances"]:
            if instance["pid"]:
                title = f"{name}.{instance['slot']}"
                cores, memory = (wished.limits.cpu, wished.limits.memory) if wished else (None, None)
                found.append(Part(title, "instance", instance["pid"], cores, memory))
    most = _connections(daemon, target) if any(r["engine"] == "postgres" for r in one["resources"].values()) else {}
    for name, resource in one["resources"].items():
        if resource["pid"] and resource["engine"] == "postgres":
            found.append(Part(name, "postgres", resource["pid"], connections=most.get(name)))
        elif resource["pid"]:
            found.append(Part(name, "redis", resource["pid"]))
    if pid := status["edge"]["pid"]:
        found.append(Part("edge", "edge", pid))
    return tuple(found)


def _blueprint(target: Target) -> Blueprint | None:
    """Of the checkout: it has the limits. None where it is gone or wrong."""
    from golive.blueprint.load import load

    if target.checkout is None:
        return None
    try:
        return load(target.checkout, target.environment).blueprint
    except GoliveError:
        return None


def _connections(daemon: Client, target: Target) -> dict[str, int]:
    """How many each PostgreSQL takes."""
    seen = daemon.get("/v1/db/insight", **target.query())["resources"]
    return {
        each["name"]: each["facts"]["server"]["max_connections"]
        for each in seen
        if each["engine"] == "postgres" and "facts" in each
    }


def _pools(daemon: Client, target: Target) -> dict[str, dict[str, int]]:
    one = daemon.get("/v1/status", **target.query())["apps"][0]
    return {name: each["use"] for name, each in one["resources"].items() if each.get("use")}


def _log(daemon: Client, target: Target, hosts: set[str]) -> tuple[Request, ...]:
    from golive.checks.load.scenario import from_log

    body = {**target.query(), "service": None, "follow": False, "grep": None, "lines": LINES, "since": None}
    events = daemon.stream("POST", "/v1/logs", {**body, "edge": True})
    return from_log((event["text"] for event in events), hosts)
