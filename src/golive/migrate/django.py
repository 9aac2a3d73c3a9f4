"""Django: what its own API is asked through `manage.py shell`, and which command migrates.

What `manage.py migrate --plan` prints is the executor's plan; it is taken from there. The version shown is the newest
migration of each app of the project itself, not of the packages that it uses.
"""

from __future__ import annotations

from pathlib import Path

from golive.errors import UsageError
from golive.migrate.project import MARK, Program, ProjectState

_ASK = f"""
import json, os, sys
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
executor = MigrationExecutor(connection)
loader = executor.loader
targets = sorted(loader.graph.leaf_nodes())
conflicts = loader.detect_conflicts()
done = sorted(loader.applied_migrations)
unknown = [key for key in done if key not in loader.graph.nodes and key[0] in loader.migrated_apps]
plan = [] if conflicts else [m for m, backwards in executor.migration_plan(targets) if not backwards]
here = os.getcwd() + os.sep
def own(key):
    node = loader.disk_migrations.get(key)
    file = getattr(sys.modules.get(type(node).__module__), "__file__", None) or ""
    return file.startswith(here) and "site-packages" not in file
newest = {{}}
for key in done:
    if own(key):
        newest[key[0]] = ".".join(key)
heads = [app + ": " + " and ".join(names) for app, names in sorted(conflicts.items())]
print("\\n{MARK}" + json.dumps({{"current": list(newest.values()), "heads": heads,
      "pending": [[m.app_label + "." + m.name, ""] for m in plan], "unknown": [".".join(k) for k in unknown],
      "applied": [".".join(k) for k in done]}}))
"""

_SQL = f"""
import io, json
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
executor = MigrationExecutor(connection)
parts = []
for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes()):
    written = io.StringIO()
    call_command("sqlmigrate", migration.app_label, migration.name, stdout=written, no_color=True)
    parts.append("-- " + migration.app_label + "." + migration.name + "\\n" + written.getvalue().strip())
print("\\n{MARK}" + json.dumps("\\n\\n".join(parts)))
"""


def _refuse(found: ProjectState, folder: Path) -> None:
    if found.heads:
        raise UsageError(
            f"django has more than one last migration in {'; '.join(found.heads)}",
            where=str(folder),
            why="Two migrations follow the same one, so there is no single order to run them in.",
            hint="Join them with `manage.py makemigrations --merge`, commit the new one and deploy again.",
        )


DJANGO = Program(
    tool="django",
    file="manage.py",
    ask=("manage.py", "shell", "-c", _ASK),
    upgrade=("manage.py", "migrate", "--noinput"),
    verb="migrate",
    command="manage.py migrate",
    sql=lambda _: ("manage.py", "shell", "-c", _SQL),
    refuse=_refuse,
)
