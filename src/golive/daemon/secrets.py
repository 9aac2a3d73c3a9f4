"""golive secrets scan: the search that a deploy makes, by hand and in full."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from golive.blueprint.load import load
from golive.build.finding import Finding, judge
from golive.build.search import Summary
from golive.daemon.api import SecretsCall
from golive.release.host import Host
from golive.release.secrets import request_for, search

WHOLE = 3600.0
"""Seconds for the history, where somebody waits for all of it."""


async def scan(host: Host, call: SecretsCall) -> AsyncIterator[dict[str, Any]]:
    """Progress, line by line, then every finding and whether it would stop a deploy."""
    loaded = await asyncio.to_thread(load, Path(call.checkout), call.environment)
    blueprint = loaded.resolved.blueprint
    request = request_for(host, call.place, blueprint, loaded.checkout, host.state.variables(call.place))
    # Not what deploys remember: they know more values, the passwords of resources among them.
    own = str(host.home.app(*call.place) / "secrets-scan.json") if host.state.app(call.place) else ""
    budget = WHOLE if call.history else request.budget
    request = replace(request, memory=own, budget=budget, history=call.history, anew=call.anew)
    lines: asyncio.Queue[str | None] = asyncio.Queue()
    task = asyncio.create_task(search(request, lines.put_nowait))
    task.add_done_callback(lambda _: lines.put_nowait(None))
    try:
        while (line := await lines.get()) is not None:
            yield {"type": "progress", "text": line}
        found, summary = await task
    finally:
        task.cancel()
    yield {"type": "done", **_result(judge(found, blueprint.secrets.allow), summary)}


def _result(verdict: Any, summary: Summary) -> dict[str, Any]:
    def shown(finding: Finding, outcome: str) -> dict[str, Any]:
        return {**asdict(finding), "what": finding.what, "outcome": outcome}

    findings = [shown(f, o) for o in ("stops", "told", "allowed") for f in getattr(verdict, o)]
    return {"findings": findings, "stops": len(verdict.stops), "searched": asdict(summary)}
