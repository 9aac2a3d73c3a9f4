"""The edge of this host, open: Envoy, the static server behind it and the local CA, as units that are kept running."""

from __future__ import annotations

import functools
import json
import ssl
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import golive
from golive.edge.ca import LocalCA, is_local
from golive.edge.certificates import CertificateStore
from golive.edge.edge import Edge
from golive.edge.model import Certificate, EdgeConfig, Endpoint
from golive.edge.ports import choose_ports, obstacle
from golive.engines.engine import Progress
from golive.engines.store import Engines
from golive.errors import StartFailed
from golive.home import Home
from golive.release.prober import Address
from golive.release.renewal import Running, command_line, envoy_unit, is_outdated, renew_envoy, renew_static
from golive.supervise.supervisor import Supervisor
from golive.supervise.unit import Unit
from golive.system import users
from golive.system.files import private_directory, write_atomic
from golive.system.processes import Limits, ProcessId, Spec
from golive.system.processes import adopt as find_process
from golive.system.users import User

EDGE, STATIC = "edge", "static"
READY = timedelta(seconds=30)
Known = Callable[[str], tuple[int, str, int] | None]
"""Unit → (pid, started, restarts) as remembered, or None."""


@dataclass
class Gateway:
    """What a release asks of the edge. `notes` say what is not as one would wish (a port, a user)."""

    edge: Edge
    authority: LocalCA
    certificates: CertificateStore
    static_socket: Path
    https_port: int
    http_port: int
    notes: tuple[str, ...] = ()

    async def apply(self, config: EdgeConfig) -> bool:
        return await self.edge.apply(config)

    async def in_flight(self, upstream: str) -> int | None:
        return await self.edge.in_flight(upstream)

    def url(self, domain: str, *, https: bool = True) -> str:
        return self.edge.url(domain, https=https)

    def static_endpoint(self) -> Endpoint:
        return Endpoint.unix(self.static_socket)

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
    return Gateway(edge, LocalCA(home.ca), CertificateStore(home.certificates), socket, https, http, notes)


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
    """As the engines' user where that user can read golive's own code, else as golive's."""
    package = Path(golive.__file__).parent
    if user and not (users.can_reach(user, Path(sys.executable)) and users.can_reach(user, package)):
        user = None
    private_directory(home.artifacts, 0o755)
    program = (sys.executable, "-m", "golive.edge.static_server")
    where = ("--artifacts", str(home.artifacts), "--inside", "app", "--socket", str(socket), "--mode", "666")
    spec = Spec(
        argv=(*program, *where, "--version", golive.__version__),
        env={"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"},
        cwd=home.artifacts,
        output=home.root / "static.log",
        user=user,
        limits=Limits(files=16384),
        name=STATIC,
    )
    return Unit(STATIC, spec, stop_timeout=timedelta(seconds=15))
