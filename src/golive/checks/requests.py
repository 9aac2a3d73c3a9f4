"""The requests that golive.toml names: sent to the live app, and answered as it says or not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from golive.blueprint.checks_policy import CheckedRequest
from golive.checks.model import Outcome, failed, passed
from golive.checks.site import Site
from golive.checks.web import Exchange


async def answered(site: Site, wanted: Sequence[CheckedRequest]) -> Outcome:
    """All of them, side by side. Fails with those that are answered otherwise, or not at all."""
    asked = await asyncio.gather(
        *(site.web.ask(site.url(one.path), one.method) for one in wanted), return_exceptions=True
    )
    wrong, shown = [], []
    for one, answer in zip(wanted, asked, strict=True):
        if not isinstance(answer, Exchange):
            wrong.append(f"{one.name}: {answer}")
            continue
        shown.append(answer.evidence("content-type", body=200))
        if answer.status != one.status:
            wrong.append(f"{one.name}: {answer.status}, not {one.status}")
        elif one.contains not in answer.text:
            wrong.append(f"{one.name}: without {one.contains!r}")
    if wrong:
        return failed("; ".join(wrong), *shown, fix="see its logs: golive logs")
    return passed(", ".join(one.name for one in wanted), *shown)
