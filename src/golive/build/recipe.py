"""Builders that install nothing: static folders, and services whose files are taken as they are."""

from __future__ import annotations

from golive.build.environment import SYSTEM_PATH
from golive.build.static import pack
from golive.build.threads import in_thread
from golive.build.workshop import Workshop
from golive.errors import BuildFailed


async def build_static(workshop: Workshop) -> None:
    """Run the command in a copy, then pack its output (or the copy itself) for the static server."""
    service = workshop.plan.request.service
    await in_thread(workshop.copy_source, workshop.scratch)
    await workshop.run_command(workshop.scratch, workshop.env())
    folder = (workshop.scratch / (service.build.output or ".")).resolve()
    if not folder.is_relative_to(workshop.scratch.resolve()):
        where = f"services.{workshop.plan.request.name}.build.output"
        raise BuildFailed(f"the output folder {service.build.output} is outside the source", where=where)
    index = await in_thread(
        pack,
        folder,
        workshop.app,
        cache=workshop.home.cache / "static",
        spa=service.spa,
        clean_urls=service.clean_urls,
    )
    for skipped in index.skipped:
        workshop.tools.log(f"not served: {skipped.path}, {skipped.why}")


async def build_none(workshop: Workshop) -> dict[str, str]:
    """Copy the files and run the command among them. Returns what the artifact adds to the environment."""
    await in_thread(workshop.copy_source, workshop.app)
    await workshop.run_command(workshop.app, workshop.env())
    return {"PATH": SYSTEM_PATH}
