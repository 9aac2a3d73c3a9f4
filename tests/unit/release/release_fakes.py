"""A host whose supervisor and edge are lists: what is decided and in which order, without a process."""

from __future__ import annotations

import asyncio
import functools
import tempfile
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from golive.blueprint.models import Blueprint
from golive.build.artifact import Artifact
from golive.edge.certificates import CertificateStore
from golive.edge.counts import Counts
from golive.edge.model import Certificate, EdgeConfig, Endpoint
from golive.errors import GoliveError, NotFound, StartFailed
from golive.home import Home
from golive.release.host import Host
from golive.release.journal import Journal
from golive.release.prober import Address
from golive.release.verify import Evidence
from golive.secret import Secret
from golive.state.records import Deployment, Generation, GenerationState, Place, Release
from golive.state.store import State
from golive.supervise.unit import Status, Unit, UnitState
from golive.system.processes import Exit, ProcessId

SHOP = Place("shop", "production")


def blueprint(services: dict[str, Any], **more: Any) -> Blueprint:
    whole = {"name": "shop", "environment": "production", "domains": ["shop.localhost"], "services": services, **more}
    whole.setdefault("release", {"verify": "0s", "stable": "0s"})
    return Blueprint.model_validate(whole)


WEB: dict[str, Any] = {"kind": "web", "route": ["/"], "command": "serve"}
WORKER: dict[str, Any] = {"kind": "worker", "command": "work"}


class FakeSupervisor:
    """Keeps units by name and says in `did` what it was asked for. `broken` never become ready."""

    def __init__(self, did: list[str]) -> None:
        self.did = did
        self.units: dict[str, UnitState] = {}
        self.broken: set[str] = set()
        self.alive: set[int] = set()
        self.exits: dict[str, asyncio.Future[Exit]] = {}
        self.on_stop: Callable[[str], None] = lambda _: None

    def set(self, id: str, status: Status) -> None:
        process = ProcessId(1000 + len(self.units), "t")
        self.units[id] = UnitState(id, status, process, datetime.now(UTC))

    async def start(self, unit: Unit) -> UnitState:
        assert unit.id not in self.units or self.units[unit.id].over, f"{unit.id} runs already"
        self.did.append(f"start {unit.id}")
        self.set(unit.id, Status.STARTING)
        return self.units[unit.id]

    def adopt(self, unit: Unit, process: ProcessId, restarts: int = 0, *, ready: bool = True) -> bool:
        if process.pid not in self.alive:
            return False
        self.did.append(f"adopt {unit.id}")
        self.set(unit.id, Status.READY)
        return True

    async def wait_ready(self, id: str, timeout: timedelta, stable: timedelta = timedelta(0)) -> None:
        if id not in self.units:
            raise NotFound(f"nothing called {id} is supervised")
        await asyncio.sleep(0)
        if id in self.broken or id.split("/")[2] in self.broken:
            raise StartFailed(f"{id} does not become ready")
        self.did.append(f"ready {id}")
        self.set(id, Status.READY)

    async def wait_exit(self, id: str) -> Exit:
        return await self.exits.setdefault(id, asyncio.get_running_loop().create_future())

    async def stop_all(self, ids: Iterable[str]) -> None:
        for id in ids:
            await self.stop(id)

    async def stop(self, id: str) -> Exit | None:
        await asyncio.sleep(0)
        if self.units.pop(id, None):
            self.did.append(f"stop {id}")
            self.on_stop(id)
        return None

    def state(self, id: str) -> UnitState | None:
        return self.units.get(id)

    def states(self) -> list[UnitState]:
        return list(self.units.values())


class FakeGateway:
    """Remembers what was applied. `fails` raises once for each error in it."""

    def __init__(self, did: list[str]) -> None:
        self.did = did
        self.applied: list[EdgeConfig] = []
        self.busy: dict[str, int] = {}
        self.fails: list[GoliveError] = []
        self.on_ask: Callable[[], None] = lambda: None
        self.counted: Callable[[str], Counts] = lambda _: Counts()
        self.port = 1
        self.http_port = 80
        self.certificates = CertificateStore(Path("/nowhere"))

    async def apply(self, config: EdgeConfig) -> bool:
        await asyncio.sleep(0)
        if self.fails:
            raise self.fails.pop()
        self.applied.append(config)
        self.did.append("edge " + ", ".join(f"{rule.prefix}→{rule.targets[0][0]}" for _, rule in config.rules()))
        return True

    async def counts(self, upstreams: Collection[str]) -> dict[str, Counts] | None:
        await asyncio.sleep(0)
        return {name: self.counted(name) for name in upstreams}

    async def in_flight(self, upstream: str) -> int | None:
        await asyncio.sleep(0)
        self.on_ask()
        return self.busy.get(upstream, 0)

    def static_endpoint(self) -> Endpoint:
        return Endpoint.unix(Path("/static.sock"))

    def certificates_for(self, domains: tuple[str, ...]) -> tuple[Certificate, ...]:
        return tuple(Certificate((domain,), "chain", Secret("key")) for domain in domains)

    def url(self, domain: str, *, https: bool = True) -> str:
        return f"https://{domain}"

    def address(self, domain: str, *, https: bool = True) -> Address:
        return Address("http", domain, self.port)

    def endpoints(self, upstream: str) -> list[int]:
        """The ports of an upstream, as last applied."""
        found = next(u for u in self.applied[-1].upstreams if u.name == upstream)
        return [e.port for e in found.endpoints]


class FakeHost(Host):
    """No system users, whoever runs the tests."""

    supervisor: Any
    opened: Any

    def app_user(self, app: str) -> None:
        return None

    def engine_user(self) -> None:
        return None


@functools.cache
def _new_state() -> dict[str, bytes]:
    """The files of one that was just made: making it waits for the disk many times."""
    with tempfile.TemporaryDirectory() as folder:
        State(Path(folder) / "state.db", Path(folder) / "key").close()
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


class World:
    """A host of fakes on a real state, with what happened in `did`."""

    def __init__(self, folder: Path) -> None:
        self.did: list[str] = []
        for name, content in _new_state().items():
            (folder / name).write_bytes(content)
        self.state = State(folder / "state.db", folder / "key")
        self.state._db.execute("PRAGMA synchronous = OFF")
        self.supervisor = FakeSupervisor(self.did)
        self.gateway = FakeGateway(self.did)
        self.events: list[dict[str, Any]] = []
        self.evidence: list[Evidence] = []
        artifact = Artifact(key="a", kind="python", path=folder, argv=("serve",))
        builder: Any = SimpleNamespace(store=SimpleNamespace(get=lambda key: artifact))
        nothing: Any = None
        self.host = FakeHost(
            Home(folder), self.state, self.supervisor, builder, nothing, nothing, self.gateway  # type: ignore[arg-type]
        )  # fmt: skip

    def release(self, made: Blueprint, number: int = 1, place: Place = SHOP, artifact: str = "a") -> None:
        """A kept release."""
        self.state.remember_app(place, "/src")
        artifacts = dict.fromkeys(made.services, artifact)
        text = made.model_dump_json(by_alias=True)
        self.state.add_release(Release(place, number, "ready", text, artifacts, None, 0.0, "me"), {})

    async def live(self, made: Blueprint, number: int = 1, place: Place = SHOP) -> dict[str, Generation]:
        """A release that is live, its instances ready."""
        self.release(made, number, place)
        return await self.deploy(number, place)

    async def deploy(self, number: int, place: Place = SHOP) -> dict[str, Generation]:
        row = self.deployment("rollback", {"release": number}, place)
        await self.run(row)
        return {g.service: g for g in self.state.generations(place, (GenerationState.LIVE,))}

    def deployment(self, kind: str, request: dict[str, Any], place: Place = SHOP) -> Deployment:
        id = self.state.queue_deployment(place, kind, request, "me")
        app = self.state.app(place)
        self.state.begin_deployment(id, app.live if app else None)
        return self.state.deployment(id)

    async def run(self, row: Deployment) -> dict[str, Any]:
        from golive.release.deploy import Deploy
        from golive.state.records import DeploymentState

        result = await Deploy(self.host, Journal(self.state, row.id, self.events.append), row).run()
        self.state.end_deployment(row.id, DeploymentState.DONE)
        return result

    def states(self, place: Place = SHOP) -> dict[int, str]:
        return {g.id: g.state.value for g in self.state.generations(place, tuple(GenerationState))}

    def close(self) -> None:
        self.state.close()
