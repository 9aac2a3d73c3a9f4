"""What the store hands out: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from golive.errors import EngineUnavailable

Origin = Literal["machine", "wheel"]


@dataclass(frozen=True)
class Progress:
    """Bytes of a download so far."""

    name: str
    done: int
    total: int


@dataclass(frozen=True)
class Engine:
    """An engine that runs on this machine: its programs are in `bin` and want `env` added to their environment."""

    name: str
    version: str
    bin: Path
    env: Mapping[str, str] = field(default_factory=dict)
    origin: Origin = "machine"

    @property
    def major(self) -> int:
        return int(self.version.split(".", maxsplit=1)[0])

    def program(self, name: str) -> Path:
        """The path of one of its programs; valkey's serve under Redis's names. EngineUnavailable when it has none."""
        for candidate in (name, name.replace("redis-", "valkey-")):
            if (path := self.bin / candidate).exists():
                return path
        raise EngineUnavailable(
            f"{self.name} {self.version} has no {name}",
            where=str(self.bin),
            hint=f"install the complete package of {self.name}, or remove it so that golive fetches its own",
        )


@dataclass(frozen=True)
class EngineStatus:
    """One line of `golive engines`. `size` is bytes on disk, 0 for the machine's and for what is not fetched yet.

    `bin` is None while it is not here; `note` says why it is not used, or what would be fetched.
    """

    name: str
    version: str
    origin: Origin
    bin: Path | None
    size: int = 0
    note: str = ""
