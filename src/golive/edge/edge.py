"""The edge as the daemon sees it: prepared, described as a process, brought to a configuration, asked."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import resource
import shutil
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from golive.edge import geoip, hot, logs
from golive.edge.admin import Admin
from golive.edge.bootstrap import empty_bootstrap, render_bootstrap, validation_bootstrap
from golive.edge.guards import NONE, guards_in
from golive.edge.limits import known_in
from golive.edge.model import EdgeConfig
from golive.edge.ports import listen_address, obstacle
from golive.edge.push import Pusher, plan
from golive.edge.render import render
from golive.edge.resource import Json, Layout
from golive.errors import Conflict, EdgeRejected, StateError
from golive.home import Home
from golive.system.files import private_directory, write_atomic
from golive.system.processes import Limits, Spec, run
from golive.system.users import User

DRAIN = 600
"""Seconds in which connections of a changed listener, or of an Envoy that is succeeded, are asked to end."""


class Edge:
    """One Envoy for one $GOLIVE_HOME. It needs no state but its files: any number of `Edge` may come and go."""

    def __init__(
        self,
        home: Home,
        *,
        http_port: int,
        https_port: int,
        envoy: Path,
        user: User | None = None,
        concurrency: int | None = None,
        address: str | None = None,
    ) -> None:
        """`user` runs Envoy where golive is root. `concurrency` is worker threads, the machine's cores when None."""
        self._home = home
        self._envoy = envoy
        self._user = user if os.geteuid() == 0 else None
        self._concurrency = concurrency or os.cpu_count() or 1
        self.layout = Layout(
            directory=home.edge,
            admin=home.run / "edge" / "envoy.sock",
            http_port=http_port,
            https_port=https_port,
            address=address or listen_address(),
        )
        self.admin = Admin(self.layout.admin)
        # The directory is Envoy's user's; its group, inherited by the files, may read them and nobody else.
        self._mode = 0o640 if self._user else 0o600
        self._pusher = Pusher(self.layout, self.admin, mode=self._mode)
        self._lock = asyncio.Lock()
        self._locating = asyncio.Lock()
        self._database: tuple[str, str | None] | None = None

    def prepare(self) -> bool:
        """Directories, bootstrap and, where there are none, resource files that serve nothing. Safe to repeat.

        Whether the bootstrap changed: an Envoy that runs follows it only after a restart.
        StateError when $GOLIVE_HOME cannot be written.
        """
        try:
            self._directories()
            text = json.dumps(render_bootstrap(self.layout, _open_files() // 2), indent=1)
            changed = not self.layout.bootstrap.exists() or self.layout.bootstrap.read_text() != text
            if changed:
                write_atomic(self.layout.bootstrap, text, mode=self._mode)
            current = self._pusher.current()
            for name, content in render(EdgeConfig(), self.layout).items():
                if name not in current:
                    self._pusher.store(name, content)
        except OSError as error:
            raise StateError(f"cannot write {self.layout.directory}", why=str(error)) from error
        return changed

    def _directories(self) -> None:
        self._home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        private_directory(self._home.run, mode=0o711 if self._user else 0o700)
        if self._user:
            # Envoy's user has to pass through; what is inside has modes of its own.
            self._home.root.chmod(self._home.root.stat().st_mode & 0o777 | 0o011)
        edge = self.layout.directory
        for path in (edge, edge / "resources", edge / "certificates", self.layout.bodies, self.layout.admin.parent):
            private_directory(path)
            if self._user:
                os.chown(path, self._user.uid, self._user.gid)
                path.chmod(0o2700)

    def process_spec(self, *, epoch: int = 0, base_id: int | None = None) -> Spec:
        """How to start Envoy. Two homes on one machine differ in their base id, which names shared memory.

        `epoch` above zero makes it the successor of the Envoy of the epoch before, with the same base id: it takes over
        the listening sockets and tells the old one to drain and end.
        """
        low = min(self.layout.http_port, self.layout.https_port) < 1024
        prefix: tuple[str, ...] = ()
        user = self._user
        if user and low and sys.platform == "linux" and (setpriv := shutil.which("setpriv")):
            # The one capability survives the change of user only as an ambient one.
            prefix = (setpriv, f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups")
            prefix = (*prefix, "--inh-caps=-all,+net_bind_service", "--ambient-caps=-all,+net_bind_service", "--")
            user = None
        flags = {
            "--config-path": str(self.layout.bootstrap),
            "--concurrency": str(self._concurrency),
            "--base-id": str(base_id or self.base_id),
            "--restart-epoch": str(epoch),
            "--drain-time-s": str(DRAIN),
            "--parent-shutdown-time-s": str(DRAIN + 60),
            "--file-flush-interval-msec": "1000",
            "--log-level": "warning",
        }
        argv = (*prefix, str(self._envoy), *(x for pair in flags.items() for x in pair))
        if sys.platform == "linux" and not os.access("/dev/shm", os.W_OK):  # noqa: S108 - Envoy aborts without it
            argv = (*argv, "--disable-hot-restart")
        return Spec(
            argv=(*argv, "--reject-unknown-dynamic-fields"),
            env={"PATH": os.defpath},
            cwd=self.layout.directory,
            output=self.layout.log,
            user=user,
            limits=Limits(files=_open_files()),
            name="edge",
            private=True,
            orphan=True,
        )

    @property
    def base_id(self) -> int:
        """Of this home and the user that runs Envoy."""
        return base_id_of(self._home.root, self._user.uid if self._user else os.geteuid())

    async def apply(self, config: EdgeConfig) -> bool:
        """Make it what the edge serves. Whether anything was written; nothing is when nothing changed.

        Envoy has confirmed it on return: new requests follow it. Where Envoy is not running the files are checked by
        the program itself and written, for its next start. EdgeRejected when Envoy refuses; it then serves as before.
        """
        async with self._lock:
            current = self._pusher.current()
            running = await self.admin.running()
            kept = known_in(current["ecds"]) if running and "ecds" in current else None
            config = await asyncio.to_thread(hot.place, config, self.layout.bodies, self._mode)
            config = await self._located(config)
            guarded = guards_in(current["lds"]) if running and "lds" in current else NONE
            wanted = render(config, self.layout, kept, guarded)
            writes = plan(current, wanted)
            if writes and not running:
                await self.validate(wanted)
            await self._pusher.push(writes, running=running)
            if writes:
                await asyncio.to_thread(hot.sweep, config, self.layout.bodies)
            return bool(writes)

    async def _located(self, config: EdgeConfig) -> EdgeConfig:
        """Sites that want to know the country do where there is a database."""
        if not geoip.wanted(config):
            return config
        await self.locate()
        there = self.layout.geoip.exists()
        sites = (replace(site, located=there and site.policy.country) for site in config.sites)
        return replace(config, sites=tuple(sites))

    async def locate(self) -> str | None:
        """See to it that Envoy reads the GeoIP database as it is now. What is wrong with it, in a sentence."""
        async with self._locating:
            return await self._locate()

    async def _locate(self) -> str | None:
        source, there = self._home.geoip, self.layout.geoip.exists()
        stands = "the last good one is used" if there else "requests have no X-Country-Code"
        found = await asyncio.to_thread(geoip.identity, source)
        if found is None:
            return f"there is no GeoIP database at {source}: {stands}"
        if self._database and self._database[0] == found and (there or self._database[1]):
            return self._database[1]
        why = await self._try_database(source)
        said = f"the GeoIP database at {source} cannot be used ({why}): {stands}" if why else None
        self._database = (found, said)
        return said

    async def _try_database(self, source: Path) -> str | None:
        """Use it once Envoy has loaded it; why it could not be."""
        try:
            candidate = await asyncio.to_thread(geoip.copied, source, self.layout, self._mode)
            if self._user:
                geoip.owned(self.layout, self._user.uid, self._user.gid)
            if await asyncio.to_thread(geoip.is_same, candidate, self.layout.geoip):
                candidate.unlink()
                return None
            await self._validate(geoip.validation(empty_bootstrap(self.layout), candidate), "validate-geoip.json")
            candidate.replace(self.layout.geoip)
        except OSError as error:
            return error.strerror or str(error)
        except EdgeRejected as error:
            return (error.why or "Envoy refuses it").rpartition(". Error ")[2]
        return None

    async def validate(self, files: dict[str, Json]) -> None:
        """Have Envoy load the files without serving. EdgeRejected with its words."""
        await self._validate(validation_bootstrap(self.layout, files), "validate.json")

    async def _validate(self, bootstrap: Json, name: str) -> None:
        path = self.layout.directory / name
        write_atomic(path, json.dumps(bootstrap), sync=False)
        try:
            argv = (str(self._envoy), "--mode", "validate", "--config-path", str(path), "--log-level", "error")
            done = await run(
                (*argv, "--disable-hot-restart"), env={"PATH": os.defpath}, cwd=self.layout.directory, timeout=60
            )
        finally:
            path.unlink(missing_ok=True)
        if done.code:
            said = done.output.strip()
            raise EdgeRejected("Envoy refuses these files", why=said.splitlines()[-1] if said else None, log=said)

    async def in_flight(self, upstream: str) -> int | None:
        """Requests, WebSockets and streams on an upstream; None when Envoy does not know it or is not running."""
        return await self.admin.in_flight(upstream)

    async def ready(self) -> bool:
        """Envoy runs, has read its files and listens."""
        return await self.admin.ready()

    async def wait_ready(self, timeout: timedelta) -> bool:
        """`ready` within that time; asked every 20 ms.

        Conflict when somebody else has one of its ports, EdgeRejected when it cannot listen for another reason.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout.total_seconds()
        while not await self.ready():
            if loop.time() > deadline:
                return False
            await self._raise_refusal()
            await asyncio.sleep(0.02)
        return True

    async def _raise_refusal(self) -> None:
        """When Envoy is up and was refused its listeners."""
        stats = await self.admin.stats("^listener_manager\\.lds\\.update_rejected$") or {}
        if stats.get("listener_manager.lds.update_rejected", "0") == "0":
            return
        for port in (self.layout.http_port, self.layout.https_port):
            if why := obstacle(port):
                raise Conflict(f"the edge cannot listen on port {port}", why=why, hint="stop it, or choose other ports")
        said = self.layout.log.read_text(errors="replace")[-4000:].strip() if self.layout.log.exists() else ""
        raise EdgeRejected("Envoy refused its listeners", why=said.splitlines()[-1] if said else None, log=said)

    async def rotate_access_log(self, max_bytes: int, keep: int) -> bool:
        """Begin a new access log when it is longer than `max_bytes`; `keep` old ones stay, compressed but the last.

        No line is lost: Envoy writes to the renamed file until it has opened the new one.
        """
        if not await asyncio.to_thread(logs.rotate, self.layout.access_log, max_bytes, keep):
            return False
        await self.admin.reopen_logs()
        return True

    def url(self, domain: str, *, https: bool = True) -> str:
        """The address of a domain at this edge, with its port where that is not the usual one."""
        scheme, port, usual = ("https", self.layout.https_port, 443) if https else ("http", self.layout.http_port, 80)
        return f"{scheme}://{domain}" + ("" if port == usual else f":{port}")


def _open_files() -> int:
    """As many connections as this user may have: root in a container often cannot go above its hard limit either."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 65536 if hard == resource.RLIM_INFINITY else min(65536, hard)


def base_id_of(root: Path, uid: int) -> int:
    """Names Envoy's shared memory, which stays behind when it ends: a successor of another user could neither use nor
    remove it, and would abort. Envoy multiplies the number by ten, in 32 bits."""
    return int.from_bytes(hashlib.sha256(bytes(root) + b"\0%d" % uid).digest()[:4]) % 400_000_000 + 1
