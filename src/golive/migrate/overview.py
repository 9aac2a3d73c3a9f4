"""What `golive migrate status` and `plan` show: every migration, where it stands, and the SQL that would run."""

from __future__ import annotations

from pathlib import Path

from golive.blueprint.models import Migrations
from golive.migrate import failure, project, run, tools
from golive.migrate.files import MigrationFile, order
from golive.migrate.runtime import Runtime
from golive.migrate.status import Line, MigrationStatus, Overview, Record, State
from golive.migrate.step import needed
from golive.secret import Secret


async def overview(
    migrations: Migrations, checkout: Path, url: Secret, *, runtime: Runtime | None = None, sql: bool = False
) -> Overview:
    """Changes nothing. `sql`: with what the pending ones would run. Raises as `step.pending` does, but for drift and
    what blocks, which are shown."""
    folder = checkout / migrations.source
    if program := tools.PROGRAMS.get(migrations.tool):
        runtime = needed(program, runtime)
        state = await project.state(program, folder, runtime, url)
        text = await project.sql(program, folder, runtime, state) if sql and state.pending else ""
        return Overview(migrations.tool, state.version, _of_project(state), None, text)
    dialect = tools.dialect(migrations)
    found = await run.status(folder, url, dialect)
    stop = failure.stop(found)
    return Overview(migrations.tool, found.label, _of_files(found), (stop.what, stop.hint or "") if stop else None)


def _of_project(state: project.ProjectState) -> tuple[Line, ...]:
    unknown = set(state.unknown)
    done = [Line(name, "applied") for name in state.applied if name not in unknown]
    ahead = [Line(name, "not in this release") for name in state.unknown]
    return (*done, *ahead, *(Line(name, "pending") for name in state.names))


def _of_files(found: MigrationStatus) -> tuple[Line, ...]:
    """Pure. In the order of the versions; what somebody has to look at first keeps its place."""
    lines = [(record.version, _of_record(record, found)) for record in found.applied]
    lines += [(file.version, Line(file.name, "passed over")) for file in found.passed]
    failed = found.blocked.name if found.blocked and found.blocked.failed else None
    pending = [Line(f.name, "failed") if f.name == failed else _of_file(f, found) for f in found.pending]
    lost = [Line(r.name, "unfinished", None, r.release) for r in (found.unfinished,) if r and r in found.missing]
    if failed and failed not in [line.name for line in pending]:
        lost.append(Line(failed, "failed"))
    return (*(line for _, line in sorted(lines, key=lambda entry: order(entry[0]))), *lost, *pending)


def _of_record(record: Record, found: MigrationStatus) -> Line:
    state: State = "applied"
    if record in found.drifted:
        state = "drifted"
    elif record in found.missing:
        state = "not in this release"
    return Line(record.name, state, record.applied_at, record.release)


def _of_file(file: MigrationFile, found: MigrationStatus) -> Line:
    begun = found.unfinished if found.unfinished and found.unfinished.version == file.version else None
    done, statements = begun.done if begun else 0, file.script.statements
    sql = "\n".join(f"{statement.text};" for statement in statements[done:])
    if begun is None:
        return Line(file.name, "pending", None, None, sql, 0, len(statements))
    state: State = "drifted" if begun in found.drifted else "unfinished"
    return Line(file.name, state, None, begun.release, sql, done, len(statements), begun.attempting)
