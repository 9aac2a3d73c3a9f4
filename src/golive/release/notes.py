"""What there is to say about a blueprint before a deploy, beyond its connections: none of it stops one."""

from __future__ import annotations

from golive.blueprint.models import Blueprint
from golive.release import shards
from golive.release.host import Host


async def notes(host: Host, before: Blueprint | None, blueprint: Blueprint) -> list[str]:
    """Sentences. `before` is the live release's blueprint."""
    said = list(shards.moved(before, blueprint))
    if blueprint.edge.country and host.opened is not None and (about := await host.gateway.edge.locate()):
        said.append(about)
    return said
