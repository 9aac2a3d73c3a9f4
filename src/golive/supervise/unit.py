"""What is kept running, and how it fares: frozen values, no behaviour."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal

from golive.system.processes import Exit, ProcessId, Spec
from golive.system.users import User

RestartPolicy = Literal["always", "on-failure", "never"]


@dataclass(frozen=True)
class Http:
    """GET it; 2xx passes. `headers` are sent as they are; Host is `host:port` when they have none."""

    host: str
    port: int
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tcp:
    """Passes when the port accepts a connection."""

    host: str
    port: int


@dataclass(frozen=True)
class Grpc:
    """Passes when grpc.health.v1.Health answers SERVING. `service` empty: the whole server."""

    host: str
    port: int
    service: str = ""


@dataclass(frozen=True)
class Command:
    """Passes when it exits with 0."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    user: User | None = None
    privileged: bool = False
    """May gain rights by the programs it runs, as the client of a rootless container engine does."""


Target = Http | Tcp | Grpc | Command


@dataclass(frozen=True)
class Probe:
    """A target asked every `interval`; an answer later than `timeout` fails; `failures` in a row count."""

    target: Target
    interval: timedelta = timedelta(seconds=10)
    timeout: timedelta = timedelta(seconds=5)
    failures: int = 3


@dataclass(frozen=True)
class Unit:
    """One process to keep running. `startup` passes once before the others are asked; failing `live` restarts it.

    Without `ready`, a unit with a `port` is ready when the port accepts connections, one without when it stays alive.
    `memory` in bytes: enforced by the control group in `spec.limits`, else by watching. `before_start` runs before
    every start, the first too; what it raises is a failed start. `after_end` runs after every end that is seen; what
    it raises is only logged.
    """

    id: str
    spec: Spec
    restart: RestartPolicy = "always"
    startup: Probe | None = None
    ready: Probe | None = None
    live: Probe | None = None
    port: int | None = None
    stop_timeout: timedelta = timedelta(seconds=10)
    stop_signal: int = signal.SIGTERM
    memory: int | None = None
    before_start: Callable[[], Awaitable[None]] | None = field(default=None, compare=False, repr=False)
    after_end: Callable[[], Awaitable[None]] | None = field(default=None, compare=False, repr=False)


class Status(StrEnum):
    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    BACKING_OFF = "backing_off"
    STOPPING = "stopping"
    STOPPED = "stopped"
    EXITED = "exited"
    FAILED = "failed"


@dataclass(frozen=True)
class UnitState:
    """How a unit fares. `since` is when the status began, `reason` why, in words; `restarts` since `start`."""

    id: str
    status: Status
    process: ProcessId | None
    since: datetime
    restarts: int = 0
    last_exit: Exit | None = None
    reason: str = ""

    @property
    def over(self) -> bool:
        """Nothing runs and nothing will be started."""
        return self.status in (Status.STOPPED, Status.EXITED, Status.FAILED)
