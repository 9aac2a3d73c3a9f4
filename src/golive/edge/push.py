"""Bringing rendered files to Envoy: in an order that never leaves a request without a target, each write confirmed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from golive.edge import jwt
from golive.edge.admin import Admin
from golive.edge.guards import GEOIP, NONE, guards_in
from golive.edge.hot import bodies_in, is_whole
from golive.edge.limits import FILTER
from golive.edge.render import CERTIFICATE, path_of
from golive.edge.resource import Json, Layout, discovery
from golive.errors import EdgeRejected
from golive.system.files import write_atomic

STATS = {
    "cds": "cluster_manager.cds",
    "lds": "listener_manager.lds",
    "ecds": f"extension_config_discovery.http_filter.{FILTER}",
    jwt.FILE: f"extension_config_discovery.http_filter.{jwt.FILTER}",
    "rds-http": "http.http.rds.http",
    "rds-https": "http.https.rds.https",
}
"""Where Envoy counts the updates of each file."""
WARMING = {"cds": "cluster_manager.warming_clusters", "lds": "listener_manager.total_listeners_warming"}
TIMEOUT = timedelta(seconds=15)
"""Until Envoy has taken a file up; loading a thousand apps takes a second."""
SETTLE = timedelta(milliseconds=50)
"""From Envoy's main thread having new routes to its workers using them (22 ms at most when measured)."""


@dataclass(frozen=True)
class Write:
    """One step: `content` into the file of that name, or the file away when there is none."""

    name: str
    content: Json | None


def plan(current: Mapping[str, Json], wanted: Mapping[str, Json]) -> list[Write]:
    """The writes that turn one set of files into the other; empty when nothing changed.

    Certificates, clusters and what tokens must be come before what refers to them, and go after (rule 11); limits come
    before routes, so that no request passes unlimited.
    """
    writes = [Write(n, wanted[n]) for n in sorted(wanted) if n.startswith(CERTIFICATE) and current.get(n) != wanted[n]]
    both = _both(current.get("cds"), wanted["cds"])
    if both != current.get("cds"):
        writes.append(Write("cds", both))
    routes = ("rds-http", "rds-https")
    before = guards_in(current["lds"]) if "lds" in current else NONE
    # Routes that ask for a filter find connections that have it.
    order = ("lds", *routes) if "lds" in current and guards_in(wanted["lds"]) - before else (*routes, "lds")
    if current.get("ecds") != wanted["ecds"]:
        writes.append(Write("ecds", wanted["ecds"]))
    tokens = [] if jwt.FILE not in wanted else [_all_tokens(current.get(jwt.FILE), wanted[jwt.FILE])]
    writes += [Write(jwt.FILE, made) for made in tokens if made != current.get(jwt.FILE)]
    writes += [Write(n, wanted[n]) for n in order if current.get(n) != wanted[n]]
    writes += [Write(jwt.FILE, wanted[jwt.FILE]) for made in tokens if made != wanted[jwt.FILE]]
    if both != wanted["cds"]:
        writes.append(Write("cds", wanted["cds"]))
    gone = sorted(n for n in current if n.startswith(CERTIFICATE) and n not in wanted)
    return writes + [Write(n, None) for n in gone]


def _both(current: Json | None, wanted: Json) -> Json:
    """The wanted clusters, and those that routes may still name."""
    if current is None:
        return wanted
    names = {c["name"] for c in wanted["resources"]}
    kept = [c for c in current["resources"] if c["name"] not in names]
    if not kept:
        return wanted
    kind = wanted["type_url"].removeprefix("type.googleapis.com/envoy.")
    return discovery(kind, sorted([*wanted["resources"], *kept], key=lambda c: str(c["name"])))


def _all_tokens(current: Json | None, wanted: Json) -> Json:
    """What tokens must be, as wanted and as routes may still say."""
    if current is None:
        return wanted
    (made,), (before,) = wanted["resources"], current["resources"]
    config, old = made["typed_config"], before["typed_config"]
    both = {name: old[name] | config[name] for name in ("providers", "requirement_map")}
    kind = wanted["type_url"].removeprefix("type.googleapis.com/envoy.")
    return (
        discovery(kind, [{**made, "typed_config": config | both}])
        if both["providers"] != config["providers"]
        else wanted
    )


class Pusher:
    """Writes files and sees to it that Envoy has taken them. `mode` is that of the files."""

    def __init__(self, layout: Layout, admin: Admin, mode: int = 0o600, timeout: timedelta = TIMEOUT) -> None:
        self._layout = layout
        self._admin = admin
        self._mode = mode
        self._timeout = timeout

    def current(self) -> dict[str, Json]:
        """The files as they are; one that cannot be read counts as missing, and is written anew.

        So do routes that name a body which is not there, and listeners that name such a database, since Envoy would
        refuse them.
        """
        found: dict[str, Json] = {}
        names = [*STATS]
        for path in (self._layout.directory / "certificates").glob("*.json"):
            names.append(CERTIFICATE + path.stem.replace("_", "*"))
        for name in names:
            with contextlib.suppress(OSError, ValueError):
                found[name] = json.loads(path_of(name, self._layout).read_text())
        lost = (
            {"lds"}
            if GEOIP in guards_in(found.get("lds", {"resources": []})) and not self._layout.geoip.exists()
            else ()
        )
        return {
            name: file
            for name, file in found.items()
            if name not in lost and (not name.startswith("rds") or all(map(is_whole, bodies_in(file))))
        }

    async def push(self, writes: list[Write], *, running: bool) -> None:
        """Make the writes in order. EdgeRejected when Envoy refuses one: that file and the routes are then put back.

        Without a running Envoy the files are only written: its start reads a consistent set.
        """
        before = self.current()
        done: list[str] = []
        try:
            for write in writes:
                await self._write(write, running)
                done.append(write.name)
            if running:
                # Routes for TLS are subscribed to only by the first TLS domain, which may have come after them.
                await self._confirm_late([w for w in writes if w.name == "rds-https"])
        except EdgeRejected:
            await self._undo([name for name in reversed(done) if name.startswith("rds") and name in before], before)
            raise
        if running and any(name.startswith("rds") for name in done):
            await asyncio.sleep(SETTLE.total_seconds())

    async def _write(self, write: Write, running: bool) -> None:
        if write.content is None:
            path_of(write.name, self._layout).unlink(missing_ok=True)
        elif running and not write.name.startswith(CERTIFICATE):
            await self._replace(write.name, write.content)
        else:
            self.store(write.name, write.content)

    async def _confirm_late(self, writes: list[Write]) -> None:
        for write in writes:
            if write.content is not None:
                await self._confirm(write.name, write.content, {}, 0)

    async def _undo(self, names: list[str], before: Mapping[str, Json]) -> None:
        """Routes as they were. Clusters, limits and certificates that nothing refers to may stay."""
        for name in names:
            with contextlib.suppress(EdgeRejected):
                await self._replace(name, before[name])

    async def _replace(self, name: str, content: Json) -> None:
        """Write and wait for Envoy; the file as it was, and EdgeRejected, when it refuses."""
        path = path_of(name, self._layout)
        before = await self._admin.stats(f"^{re.escape(STATS[name])}\\.") or {}
        good = path.read_bytes() if path.exists() else None
        log = self._layout.log.stat().st_size if self._layout.log.exists() else 0
        self.store(name, content)
        try:
            await self._confirm(name, content, before, log)
        except EdgeRejected:
            if good is None:
                path.unlink(missing_ok=True)
            else:
                write_atomic(path, good, mode=self._mode)
            raise

    async def _confirm(self, name: str, content: Json, before: Mapping[str, str], log: int) -> None:
        """Poll Envoy's counters until it has the version, or has refused it; not when it reads no such file yet."""
        prefix, version = STATS[name], content["version_info"]
        pattern = f"^({re.escape(prefix)}\\.|{re.escape(WARMING.get(name, prefix))}$)"
        deadline = time.monotonic() + self._timeout.total_seconds()
        pause = 0.002
        while True:
            stats = await self._admin.stats(pattern)
            if stats is None or f"{prefix}.update_attempt" not in stats:
                return  # It died, or does not subscribe: it reads the file when it does.
            if stats.get(f"{prefix}.version_text") == version and stats.get(WARMING.get(name, ""), "0") == "0":
                return
            if _refusals(stats, prefix) > _refusals(before, prefix):
                raise await self._rejected(name, log)
            if time.monotonic() > deadline:
                raise EdgeRejected(
                    f"Envoy did not take up the new {name} within {self._timeout.total_seconds():.0f} s",
                    where=str(path_of(name, self._layout)),
                    log=self._messages(log),
                )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.05)

    async def _rejected(self, name: str, log: int) -> EdgeRejected:
        await asyncio.sleep(0.05)  # Its log line follows the counter.
        said = self._messages(log)
        return EdgeRejected(
            f"Envoy refused the new {name}; the last good one stays in force",
            where=str(path_of(name, self._layout)),
            why=said.splitlines()[-1] if said else None,
            log=said,
        )

    def _messages(self, start: int) -> str:
        """What Envoy has written to its log from that byte on."""
        with contextlib.suppress(OSError), self._layout.log.open("rb") as file:
            file.seek(start)
            return file.read(20000).decode(errors="replace").strip()
        return ""

    def store(self, name: str, content: Json) -> None:
        write_atomic(path_of(name, self._layout), json.dumps(content, separators=(",", ":")), mode=self._mode)


def _refusals(stats: Mapping[str, str], prefix: str) -> int:
    return sum(int(stats.get(f"{prefix}.{name}", 0)) for name in ("update_rejected", "update_failure"))
