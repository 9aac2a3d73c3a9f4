"""The rows of the state as frozen values. Times are seconds since the epoch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from golive.secret import Secret


class Place(NamedTuple):
    """An environment of an app."""

    app: str
    environment: str

    def __str__(self) -> str:
        return f"{self.app}/{self.environment}"


class GenerationState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    LIVE = "live"
    DRAINING = "draining"
    WARM = "warm"
    STOPPED = "stopped"


class DeploymentState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"

    @property
    def ended(self) -> bool:
        return self in (DeploymentState.DONE, DeploymentState.FAILED, DeploymentState.UNDONE)


@dataclass(frozen=True)
class App:
    place: Place
    checkout: str
    live: int | None
    created_at: float


@dataclass(frozen=True)
class Release:
    place: Place
    number: int
    state: str
    blueprint: str
    artifacts: dict[str, str]
    schema_version: str | None
    created_at: float
    actor: str


@dataclass(frozen=True)
class ReleaseSchema:
    """Names of the migrations that were applied when a release went live, in their order; `contracts` are those that
    took something away; `shape` as `golive.migrate.shape` packs it."""

    applied: tuple[str, ...]
    contracts: tuple[str, ...]
    shape: bytes


@dataclass(frozen=True)
class MoveRow:
    """A move between stores that is under way; `settings` as JSON of the blueprint when it began."""

    place: Place
    name: str
    settings: str
    started_at: float
    actor: str


@dataclass(frozen=True)
class Deployment:
    id: int
    place: Place
    kind: str
    state: DeploymentState
    request: dict[str, Any]
    actor: str
    release: int | None
    previous: int | None
    committed: bool
    queued_at: float
    started_at: float | None
    ended_at: float | None
    error: dict[str, Any] | None
    result: dict[str, Any] | None


@dataclass(frozen=True)
class Step:
    deployment: int
    position: int
    name: str
    state: str
    started_at: float
    ended_at: float | None
    detail: str


@dataclass(frozen=True)
class Generation:
    id: int
    place: Place
    service: str
    release: int
    deployment: int
    fingerprint: str
    state: GenerationState
    drain_until: float | None
    warm_until: float | None

    @property
    def upstream(self) -> str:
        """Its name at the edge and the prefix of its instances' units."""
        return f"{self.place}/{self.service}/d{self.id}"


@dataclass(frozen=True)
class Instance:
    unit: str
    generation: int
    slot: int
    port: int | None
    grpc_port: int | None = None


@dataclass(frozen=True)
class ResourceRow:
    place: Place
    name: str
    engine: str
    version: str
    port: int
    sealed_password: bytes


CopyKind = Literal["branch", "restored", "replaced", "upgraded", "rehearsal", "standby"]
CopyState = Literal["making", "changing", "ready", "kept"]
"""`making`: undone when the daemon finds it so at its start. `changing`: its data is being exchanged; found so, it is
left stopped for somebody to do that again. `ready` runs; `kept` does not, and its data stays."""


@dataclass(frozen=True)
class Copy:
    """`name` is `<resource>@<label>`, of its own resource row too. `settings` outrank golive's own for the engine."""

    place: Place
    name: str
    resource: str
    kind: CopyKind
    state: CopyState
    origin: str
    settings: dict[str, str]
    created_at: float
    actor: str
    expires_at: float | None

    @property
    def label(self) -> str:
        return self.name.partition("@")[2]


@dataclass(frozen=True)
class AuditEntry:
    id: int
    at: float
    actor: str
    action: str
    app: str | None
    environment: str | None
    detail: dict[str, Any]


@dataclass(frozen=True)
class Maintenance:
    """An environment is closed for all but some. `services` empty: all of them. `allow` are networks, as text."""

    place: Place
    since: float
    until: float | None
    actor: str
    token: Secret
    services: tuple[str, ...] = ()
    message: str | None = None
    page: str | None = None
    allow: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shift:
    """`percent` of the visitors of `replaced` go to `service`, which replaces it: at once, or evenly from `before` at
    `since` on until `until`."""

    place: Place
    service: str
    replaced: str
    before: int
    percent: int
    since: float
    until: float | None = None


BackupKind = Literal["base", "drill", "verify"]


@dataclass(frozen=True)
class BackupRun:
    """`error` as the API sends it; None of one that goes on or went well."""

    id: int
    kind: BackupKind
    started_at: float
    ended_at: float | None
    error: dict[str, Any] | None
    detail: dict[str, Any]
