"""Schema migrations as a release step: numbered SQL, and the project's own Alembic.

`migrate` runs them, `pending` says what it would run. Values only; nothing is imported until it is needed, because the
command line must not pay for psycopg.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from golive.migrate.alembic import Runtime
    from golive.migrate.status import Applied, MigrationEvent
    from golive.migrate.step import migrate, pending

__all__ = ["Applied", "MigrationEvent", "Runtime", "migrate", "pending"]
_HOMES = {"Applied": "status", "MigrationEvent": "status", "Runtime": "alembic", "migrate": "step", "pending": "step"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
