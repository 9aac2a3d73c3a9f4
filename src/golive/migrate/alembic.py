"""Alembic: what its own API is asked, and which command upgrades."""

from __future__ import annotations

from pathlib import Path

from golive.errors import UsageError
from golive.migrate.project import MARK, Program, ProjectState

# `alembic current` as alembic.command has it, the revisions between that and the heads, and those before it.
_ASK = f"""
import json
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
config = Config("alembic.ini")
script = ScriptDirectory.from_config(config)
current = []
def told(revision, context):
    current.extend(revision if isinstance(revision, (tuple, list)) else [revision] if revision else [])
    return []
with EnvironmentContext(config, script, fn=told, dont_mutate=True):
    script.run_env()
heads = list(script.get_heads())
try:
    pending = [[r.revision, r.doc or ""] for r in script.iterate_revisions("heads", tuple(current) or "base")]
except Exception:
    known = {{r.revision for r in script.walk_revisions()}}
    unknown = [r for r in current if r not in known]
    if not unknown:
        raise
    pending = []
else:
    unknown = []
applied = [] if unknown or not current else [r.revision for r in script.iterate_revisions(tuple(current), "base")][::-1]
print("\\n{MARK}" + json.dumps({{"current": current, "heads": heads, "pending": pending[::-1], "unknown": unknown,
      "applied": applied}}))
"""


def _refuse(found: ProjectState, folder: Path) -> None:
    if len(found.heads) > 1:
        raise UsageError(
            f"alembic has {len(found.heads)} heads: {', '.join(found.heads)}",
            where=str(folder),
            why="Two revisions follow the same one, so there is no single order to run them in.",
            hint="Join them with `alembic merge heads`, commit the new revision and deploy again.",
        )


# Its offline mode.
_SQL = f"""
import io, json, sys
from alembic import command
from alembic.config import Config
written = io.StringIO()
command.upgrade(Config("alembic.ini", output_buffer=written), sys.argv[1] + ":head", sql=True)
print("\\n{MARK}" + json.dumps(written.getvalue()))
"""


def _sql(found: ProjectState) -> tuple[str, ...]:
    return ("-c", _SQL, found.current[0] if found.current else "base")


ALEMBIC = Program(
    tool="alembic",
    file="alembic.ini",
    ask=("-c", _ASK),
    upgrade=("-m", "alembic", "upgrade", "head"),
    verb="upgrade",
    command="alembic upgrade head",
    sql=_sql,
    refuse=_refuse,
)
