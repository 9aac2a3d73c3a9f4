"""Builders that install nothing: static folders, and services whose files are taken as they are."""

from __future__ import annotations

from pathlib import Path

from golive.build.environment import SYSTEM_PATH
from golive.build.made import Made
from golive.build.static import pack
from golive.build.threads import in_thread
from golive.build.workshop import Workshop
from golive.errors import BuildFailed


async def build_static(workshop: Workshop) -> Made:
    """Run the command in a copy, then pack its output (or the copy itself) for the static server."""
    await in_thread(workshop.copy_source, workshop.scratch)
    await workshop.run_command(workshop.scratch, workshop.env())
    await pack_static(workshop, workshop.scratch)
    return Made("static")


async def pack_static(workshop: Workshop, base: Path) -> None:
    """Pack `build.output` below `base`, or all of it, into the workshop's `app`."""
    service = workshop.plan.request.service
    folder = (base / (service.build.output or ".")).resolve()
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


async def build_none(workshop: Workshop) -> Made:
    """Copy the files and run the command among them."""
    await in_thread(workshop.copy_source, workshop.app)
    await workshop.run_command(workshop.app, workshop.env())
    return Made("none", {"PATH": SYSTEM_PATH})
