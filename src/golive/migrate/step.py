"""The release step: whichever tool the blueprint names, one way to run it and one to ask what it would do."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from golive.blueprint.models import Migrations
from golive.errors import UsageError
from golive.migrate import prisma_cli, project, run, tools
from golive.migrate.execute import Execute, execute
from golive.migrate.run import Report
from golive.migrate.runtime import Runtime
from golive.migrate.status import Applied
from golive.secret import Secret


async def migrate(  # noqa: PLR0913  # the release, and who looks on
    migrations: Migrations,
    checkout: Path,
    url: Secret,
    *,
    release: int,
    report: Report,
    runtime: Runtime | None = None,
    held: Collection[str] = (),
    execute: Execute = execute,
) -> Applied:
    """Bring the database to what `checkout` (the folder of golive.toml, or its copy in an artifact) wants.

    `runtime` is the environment of the release, for tools that are the project's own. MigrationFailed says what stands;
    UsageError says what is wrong with the files before anything ran. `held` are files that wait (see `lint.gate`): a
    program of Prisma's own would run them, too, so that golive runs the others. `execute` runs each statement of the
    files that golive runs itself.
    """
    folder = checkout / migrations.source
    if migrations.tool == "prisma" and runtime and not held and (own := await prisma_cli.find(runtime)):
        return await prisma_cli.apply(own, migrations, folder, url, report, runtime=runtime)
    if migrations.tool not in tools.PROGRAMS:
        return await run.apply(migrations, folder, url, report, release=release, held=held, execute=execute)
    program = tools.PROGRAMS[migrations.tool]
    return await project.apply(program, migrations, folder, url, report, runtime=needed(program, runtime))


async def pending(
    migrations: Migrations, checkout: Path, url: Secret | None, *, runtime: Runtime | None = None
) -> tuple[str, ...]:
    """What a deploy would apply, in order, by name. Without a `url` (no database yet) it is everything there is.

    Alembic and Django can only be asked with a `runtime`; without one (nothing built yet) the answer is its command.

    Changes nothing. MigrationFailed and UsageError as `migrate`, so that `golive plan` shows drift before a deploy.
    """
    folder = checkout / migrations.source
    if migrations.tool not in tools.PROGRAMS:
        dialect = tools.dialect(migrations)
        if url is None:
            return tuple(file.name for file in dialect.discover(folder))
        found = await run.status(folder, url, dialect)
        run.refuse(found)
        return tuple(file.name for file in found.pending)
    program = tools.PROGRAMS[migrations.tool]
    if url is None or runtime is None:
        return (program.command,)
    return (await project.state(program, folder, runtime, url)).names


def needed(program: project.Program, runtime: Runtime | None) -> Runtime:
    """The environment that a tool of the project's own runs in. UsageError when there is none."""
    if runtime is None or not runtime.python:
        hint = f"Name the service whose environment has {program.tool} in migrations.service."
        raise UsageError(f"{program.tool} needs the environment of a service", where="migrations.service", hint=hint)
    return runtime
