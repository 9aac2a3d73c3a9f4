"""A database by the very URL that the app has: name, network, login and a question, each timed."""

from __future__ import annotations

import asyncio
import time
from typing import Literal

from golive.blueprint.models import Resource
from golive.checks.debug.account import Account, Phase, Step
from golive.checks.web import addresses
from golive.data.external import check_external, target_of
from golive.errors import GoliveError, ResourceFailed
from golive.secret import Secret

TIMEOUT = 5.0
"""Seconds to connect."""
SLOW = 50
"""Milliseconds for a question to a database that is near."""


async def database(engine: Literal["postgres", "redis"], url: Secret, variable: str) -> Account:
    """`variable` is the URL's name, in words for people; the URL is never shown. Raises ResourceFailed for no URL."""
    resource = Resource.model_validate({"engine": engine, "url_from": variable})
    target = target_of(resource, url)
    title = f"{'PostgreSQL' if engine == 'postgres' else 'Redis'} at {target.label} ({variable})"
    steps: list[Step] = [Step("ok", "URL", f"{target.label}, database {target.name or 'of the user'}")]
    phases: list[Phase] = []
    began = time.monotonic()

    def passed(name: str) -> float:
        at = sum(phase.took for phase in phases)
        took = time.monotonic() - began - at
        phases.append(Phase(name, round(at, 4), round(took, 4)))
        return took

    try:
        if not target.host.startswith("/"):
            try:
                found = await addresses(target.host)
            except OSError as error:
                means = "look for a typing mistake in the host, or ask golive debug dns"
                steps.append(Step("failed", "name", error.strerror or str(error), means))
                return Account(title, f"there is no address of {target.host}", tuple(steps), tuple(phases))
            steps.append(Step("ok", "name", f"{', '.join(found)} in {passed('DNS') * 1000:.1f} ms"))
            await _reached(found[0], target.port)
            steps.append(Step("ok", "network", f"connected in {passed('connect') * 1000:.1f} ms"))
        report = await check_external(resource, url)  # says by itself what is wrong with a socket
    except GoliveError as error:
        steps.append(Step("failed", "login", error.why or error.what, error.hint or ""))
        return Account(title, error.what, tuple(steps), tuple(phases))
    except OSError as error:
        means = "is it running, and is the port right? A firewall may drop what is sent"
        said = error.strerror or str(error) or f"no answer in {TIMEOUT:g} s"
        steps.append(Step("failed", "network", said, means))
        return Account(title, f"cannot be reached: {said}", tuple(steps), tuple(phases))
    passed("login")
    steps.append(Step("ok", "login", f"version {report.version}"))
    steps += [Step("note", name, str(value)) for name, value in report.details.items()]
    slow = report.latency_ms > SLOW
    means = "each query pays that: bring app and database closer, ask less often" if slow else ""
    steps.append(Step("warning" if slow else "ok", "question", f"answered in {report.latency_ms:.1f} ms", means))
    return Account(title, f"works; a question takes {report.latency_ms:.1f} ms", tuple(steps), tuple(phases))


async def _reached(host: str, port: int) -> None:
    async with asyncio.timeout(TIMEOUT):
        _, writer = await asyncio.open_connection(host, port)
    writer.close()


def engine_of(url: Secret, variable: str) -> Literal["postgres", "redis"]:
    """By its scheme. ResourceFailed for another one."""
    scheme = url.reveal().partition(":")[0].lower()
    if scheme in ("redis", "rediss", "valkey", "valkeys"):
        return "redis"
    if scheme.partition("+")[0] in ("postgres", "postgresql"):
        return "postgres"
    raise ResourceFailed(f"{variable} is the URL of neither PostgreSQL nor Redis", hint="postgresql://… or redis://…")
