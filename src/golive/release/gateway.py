"""The edge of this host, open: Envoy, the static server behind it and the local CA, as units that are kept running."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import ssl
from collections.abc import Awaitable, Callable, Collection
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from golive.edge.ca import LocalCA
from golive.edge.certificates import CertificateStore
from golive.edge.edge import Edge
from golive.edge.local import is_local
from golive.edge.model import Certificate, Counter, EdgeConfig, Endpoint
from golive.edge.ports import choose_ports, obstacle
from golive.engines.engine import Progress
from golive.engines.store import Engines
from golive.errors import StartFailed
from golive.home import Home
from golive.release.companions import Companions, own_unit
from golive.release.prober import Address
from golive.release.renewal import Running, command_line, envoy_unit, is_outdated, renew_envoy, renew_static
from golive.supervise.supervisor import Supervisor
from golive.supervise.unit import Unit
from golive.system.files import private_directory, write_atomic
from golive.system.processes import ProcessId
from golive.system.processes import adopt as find_process
from golive.system.users import User

if TYPE_CHECKING:
    from golive.edge.counts import Counts

EDGE, STATIC, QUOTA = "edge", "static", "quota"
READY = timedelta(seconds=30)
LISTENING = 15.0
Known = Callable[[str], tuple[int, str, int] | None]
"""Unit → (pid, started, restarts) as remembered, or None."""


@dataclass
class Counting:
    """The process that counts quotas; there is none while no app has any."""

    home: Home
    supervisor: Supervisor
    known: Known
    user: User | None
    folder: Path
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def socket(self) -> Path:
        return self.folder / "quota.sock"

    @property
    def config(self) -> Path:
        return self.folder / "quota.json"

    async def keep(self, counters: tuple[Counter, ...]) -> None:
        """It runs, and knows where to count."""
        wanted = {c.place: {**asdict(c), "password": c.password.reveal()} for c in counters}
        text = json.dumps(wanted, sort_keys=True)
        async with self._lock:
            if not self.config.exists() or self.config.read_text() != text:
                write_atomic(self.config, text, mode=0o640 if self.user else 0o600)  # the folder gives it its group
            await self._run()

    async def resume(self) -> None:
        """It runs where it did: before Envoy does, whose routes ask it."""
        if self.config.exists():
            async with self._lock:
                await self._run()

    async def _run(self) -> None:
        if self.supervisor.state(QUOTA) is None:
            arguments = ("--config", str(self.config), "--socket", str(self.socket), "--mode", "666")
            unit = own_unit(QUOTA, "golive.edge.quota_server", arguments, self.home, self.user)
            renew = functools.partial(renew_static, self.supervisor, unit, self.socket)
            before = _alive(self.known, QUOTA)
            if before is None:
                self.socket.unlink(missing_ok=True)  # of one that was killed
            await _keep(self.supervisor, unit, before, renew)
            await self._listening()

    async def _listening(self) -> None:
        """Or some seconds have passed: it is started again until it does."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LISTENING):
                while not self.socket.exists():
                    await asyncio.sleep(0.02)

    async def end(self) -> None:
        if not self.config.exists():
            return
        async with self._lock:
            self.config.unlink(missing_ok=True)
            process = _alive(self.known, QUOTA)
            if self.supervisor.state(QUOTA) is not None:
                await self.supervisor.stop(QUOTA)
            elif process and (found := find_process(process)):
                await found.stop(timedelta(seconds=5))
            self.socket.unlink(missing_ok=True)


@dataclass
class Gateway:
    """What a release asks of the edge. `notes` say what is not as one would wish (a port, a user)."""

    edge: Edge
    authority: LocalCA
    certificates: CertificateStore
    static_socket: Path
    counting: Counting
    https_port: int
    http_port: int
    companions: Companions
    notes: tuple[str, ...] = ()

    async def apply(self, config: EdgeConfig) -> bool:
        """Whether anything was written. What counts quotas runs before a route asks it, and as long as one does."""
        if config.counters:
            await self.counting.keep(config.counters)
        await self.companions.start(config)
        changed = await self.edge.apply(config)
        if not config.counters:
            await self.counting.end()
        await self.companions.stop(config)
        return changed

    async def in_flight(self, upstream: str) -> int | None:
        return await self.edge.in_flight(upstream)

    async def counts(self, upstreams: Collection[str]) -> dict[str, Counts] | None:
        """What the edge saw each of them do; None when it does not answer."""
        from golive.edge.counts import read

        return await read(self.edge.admin, upstreams)

    def url(self, domain: str, *, https: bool = True) -> str:
        return self.edge.url(domain, https=https)

    def static_endpoint(self) -> Endpoint:
        return Endpoint.unix(self.static_socket)

    def quota_endpoint(self) -> Endpoint:
        return Endpoint.unix(self.counting.socket)

    def certificates_for(self, domains: tuple[str, ...]) -> tuple[Certificate, ...]:
        """Somebody's own or an authority's where there is one, the local CA's until then."""
        return tuple(self.certificates.serving(d) or self.authority.certificate_for((d,)) for d in domains)

    def address(self, domain: str, *, https: bool = True) -> Address:
        """How golive itself asks a site, through the same door as everybody."""
        if not https:
            return Address("http", domain, self.http_port)
        tls = ssl.create_default_context(cafile=str(self.authority.ensure()))
        if not is_local(domain):  # self-signed until a public authority has signed it
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        return Address("https", domain, self.https_port, tls)


async def open_gateway(
    home: Home,
    engines: Engines,
    supervisor: Supervisor,
    known: Known,
    user: User | None,
    progress: Callable[[Progress], None] | None = None,
) -> Gateway:
    """Adopt or start Envoy and the static server. EngineUnavailable or StartFailed say what is missing."""
    envoy = await engines.find("envoy", progress=progress)
    private_directory(home.root, 0o711 if user else 0o700)
    private_directory(home.edge)
    before = _alive(known, EDGE)
    http, https, notes = _ports(home, running=before is not None)
    edge = Edge(home, http_port=http, https_port=https, envoy=envoy.bin / "envoy", user=user)
    changed = edge.prepare()
    socket = edge.layout.admin.parent / "static.sock"
    static = _static_unit(home, socket, user)
    await _keep(supervisor, static, _alive(known, STATIC), lambda old: renew_static(supervisor, static, socket, old))
    counting = Counting(home, supervisor, known, user, socket.parent)
    await counting.resume()
    unit = envoy_unit(edge, EDGE, Running(0, edge.base_id))
    renew = functools.partial(renew_envoy, edge, supervisor, EDGE)
    await _keep(supervisor, unit, before, renew, changed=changed)
    hint = f"all that Envoy said is in {edge.layout.log}; golive doctor looks at the machine; then try again"
    if not await edge.wait_ready(READY):
        try:
            await supervisor.wait_ready(EDGE, timedelta(seconds=1))
        except StartFailed as error:
            await supervisor.stop(EDGE)  # the next try begins afresh
            error.hint = hint
            raise
        raise StartFailed("Envoy does not become ready", hint=hint)
    companions = Companions(home, edge, supervisor, lambda name: _alive(known, name), user)
    kept = CertificateStore(home.certificates)
    return Gateway(edge, LocalCA(home.ca, apart=True), kept, socket, counting, https, http, companions, notes)


def _alive(known: Known, unit: str) -> ProcessId | None:
    """The process remembered for a unit, when it still runs."""
    process = known(unit)
    id = ProcessId(process[0], process[1]) if process else None
    return id if id and find_process(id) else None


async def _keep(
    supervisor: Supervisor,
    unit: Unit,
    before: ProcessId | None,
    renew: Callable[[ProcessId], Awaitable[None]],
    *,
    changed: bool = False,
) -> None:
    """Adopt what runs, replace it when it is not what this golive would start, start it when there is none."""
    if supervisor.state(unit.id) is not None:
        return
    if before is None:
        await supervisor.start(unit)
    elif changed or is_outdated(command_line(before.pid), unit.spec.argv):
        await renew(before)
    else:
        supervisor.adopt(unit, before)


def _ports(home: Home, *, running: bool) -> tuple[int, int, tuple[str, ...]]:
    """Chosen once and kept: URLs do not change from day to day. Others when somebody took them while Envoy was down:
    Envoy shares its ports, so without this look it would start beside another one and get half of its requests."""
    path = home.edge / "ports.json"
    notes: tuple[str, ...] = ()
    if path.exists():
        kept = json.loads(path.read_text())
        taken = {port: why for port in kept.values() if not running and (why := obstacle(port))}
        if not taken:
            return kept["http"], kept["https"], ()
        notes = tuple(f"port {port} is no longer free: {why}" for port, why in taken.items())
    ports = choose_ports()
    write_atomic(path, json.dumps({"http": ports.http, "https": ports.https}))
    return ports.http, ports.https, (*notes, *ports.notes)


def _static_unit(home: Home, socket: Path, user: User | None) -> Unit:
    private_directory(home.artifacts, 0o755)
    where = ("--artifacts", str(home.artifacts), "--inside", "app", "--socket", str(socket), "--mode", "666")
    return own_unit(STATIC, "golive.edge.static_server", where, home, user)
