"""Schema migrations as a release step: files of SQL for several tools, and the project's own Alembic or Django.

`migrate` runs them, `pending` says what it would run. Values only; nothing is imported until it is needed, because the
command line must not pay for psycopg.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from golive.migrate.runtime import Runtime
    from golive.migrate.status import Applied, MigrationEvent
    from golive.migrate.step import migrate, pending

__all__ = ["Applied", "MigrationEvent", "Runtime", "migrate", "pending"]
_HOMES = {"Applied": "status", "MigrationEvent": "status", "Runtime": "runtime", "migrate": "step", "pending": "step"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
