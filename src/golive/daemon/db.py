"""What clients may ask of an app's databases."""

from __future__ import annotations

from typing import Any

from golive.release import db
from golive.release.host import Host
from golive.state.records import Place


async def insight(host: Host, place: Place, resource: str | None) -> dict[str, Any]:
    return await db.insight(host, place, resource)
