"""What detection hands on: values with the evidence for them, and what could not be decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from golive.blueprint.faults import Fault
from golive.blueprint.positions import KeyPath

_READY = ("/readiness", "/ready", "/readyz", "/health/ready", "/api/ready", "/healthz", "/health", "/api/health")
_LIVE = ("/health/live", "/liveness", "/livez", "/live", "/healthz", "/health", "/api/health")


@dataclass
class Detection:
    """Values found for one service, by key path inside it, each with its evidence; and what could not be decided.

    `notes` are sentences about what was seen and is not carried over, such as a Procfile's `release:` line.
    """

    values: dict[KeyPath, tuple[Any, str]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, path: KeyPath, value: Any, evidence: str) -> None:
        self.values[path] = (value, evidence)


def probes(paths: list[str]) -> dict[str, str]:
    """`live` only beside a separate readiness: a check that pings a database must not restart the app."""
    plain = {path.rstrip("/") for path in paths}
    ready = next((path for path in _READY if path in plain), None)
    live = next((path for path in _LIVE if path in plain and path != ready), None)
    return ({"ready": ready} if ready else {}) | ({"live": live} if ready and live else {})


def place_of(source: str) -> str:
    """A source in a sentence."""
    return "the checkout" if source == "." else f"{source}/"


def build_of(given: Any) -> dict[str, Any]:
    """The service's `build` table, empty when it has none or it is of a wrong type."""
    build = given.get("build")
    return build if isinstance(build, dict) else {}
