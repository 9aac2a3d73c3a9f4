"""Certificates of public authorities: which domains get one, when it is ordered and renewed, what is wrong with it.

Nothing waits for it. Until there is one the local CA's serves, and an order that fails is made again later.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from golive.blueprint.acme import Acme, Dns
from golive.blueprint.models import Blueprint
from golive.edge.acme import LETS_ENCRYPT, MOST_NAMES, STAGING, Authority, Order, Outcome
from golive.edge.certificates import Attempt, CertificateStore, after_failure
from golive.edge.dns01 import Showing
from golive.edge.local import is_local
from golive.errors import GoliveError, UsageError
from golive.release.host import Host
from golive.release.traffic import edge_config
from golive.secret import Secret
from golive.state.records import Place
from golive.system.offload import Offload

if TYPE_CHECKING:
    from golive.edge.model import Challenge

log = logging.getLogger("golive.certificates")
EVERY = 10.0
"""Seconds between two looks for names that need a certificate."""
UNDER_WAY = "it is being ordered, or its order was cut off"
RESERVED = ("example", "invalid", "onion", "alt", "example.com", "example.net", "example.org")
"""Names that no authority signs (RFC 2606, 6761, 7686, 9476)."""


def obstacle(domain: str, policy: Acme | None, http_port: int) -> str | None:
    """Pure: why no authority is asked for a domain; None when one is."""
    if policy is None:
        return "acme = false in golive.toml"
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(domain)
        return "an address: the local CA signs it"
    if is_local(domain):
        return "a local name: the local CA signs it"
    if domain.startswith("*.") and policy.dns is None:
        return "a wildcard cannot be shown over HTTP: [edge.acme.dns], or bring a certificate with golive domain cert"
    if policy.directory is None and (
        "." not in domain or any(domain == top or domain.endswith(f".{top}") for top in RESERVED)
    ):
        return "a reserved name, which no authority signs"
    if http_port != 80 and policy == Acme():
        return (
            f"authorities look on port 80, and the edge listens on {http_port}; where 80 is led there, say so with "
            "[edge] acme = { email = … }"
        )
    return None


def authorities(policy: Acme, values: Mapping[str, Secret] = MappingProxyType({})) -> tuple[Authority, ...]:
    """Pure: in the order in which they are asked. `values` are the app's variables."""
    first = policy.directory or (STAGING if policy.staging else LETS_ENCRYPT)
    found = []
    for url in dict.fromkeys((first, *policy.fallback)):
        account = policy.accounts.get(url)
        bound = (account.key_id, values.get(account.secret_from, Secret(""))) if account else ()
        found.append(Authority(url, policy.email, policy.ca_file, *bound))
    return tuple(found)


def showing(host: Host, blueprint: Blueprint, settings: Dns) -> Showing:
    """How names of an app are shown by DNS. UsageError when a variable that it takes has no value."""
    place = Place(blueprint.name, blueprint.environment)
    values = host.state.variables(place)
    needed = (*settings.variables, *([settings.secret_from] if settings.secret_from else []))
    if missing := [name for name in needed if name not in values]:
        raise UsageError(f"{', '.join(missing)} has no value", hint=f"golive env set {missing[0]}")
    return Showing(
        hook=settings.hook,
        variables=tuple((name, values[name]) for name in settings.variables),
        folder=host.work_directory(place) if settings.hook else None,
        user=host.app_user(place.app) if settings.hook else None,
        server=settings.server,
        key=settings.key or "",
        secret=values[settings.secret_from] if settings.secret_from else Secret(""),
        algorithm=settings.algorithm,
        timeout=settings.timeout.total_seconds(),
        resolver=settings.resolver,
    )


def due(store: CertificateStore, names: list[str], now: datetime) -> list[str]:
    """Names that have none or one past two thirds of its life, and whose last order was long enough ago."""
    attempts = store.attempts()

    def wants(name: str) -> bool:
        kept = store.find(name)
        return kept is None or (not kept.own and now >= kept.renew_at())

    waits = {name for name, attempt in attempts.items() if attempt.next_at > now.timestamp()}
    return [name for name in names if name not in waits and wants(name)]


class Certificates:
    """Runs for the daemon's life. `wake` brings the next look forward."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._offload = Offload()
        self._wake = asyncio.Event()
        self._jobs: set[asyncio.Task[bool]] = set()

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        while True:
            if self._host.opened is not None and self._host.replaced is None:
                await self.tick()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._wake.wait()
            self._wake.clear()

    async def stop(self) -> None:
        await self._offload.close()

    async def tick(self) -> None:
        """Order what is due, one certificate after the other."""
        moment, gateway = datetime.now(UTC), self._host.gateway
        blueprints = live_blueprints(self._host)
        known = {name for blueprint in blueprints for name in blueprint.domains}
        await asyncio.to_thread(gateway.certificates.prune, known, moment)
        for blueprint in blueprints:
            policy = blueprint.edge.acme
            if policy is None or not blueprint.edge.https:
                continue
            names = [d for d in blueprint.domains if obstacle(d, policy, gateway.http_port) is None]
            wanted = await asyncio.to_thread(due, gateway.certificates, names, moment)
            for start in range(0, len(wanted), MOST_NAMES):
                if self._host.opened is not gateway:
                    return  # the last app went meanwhile, and the edge with it
                await self._order(tuple(wanted[start : start + MOST_NAMES]), blueprint, policy)

    async def _order(self, names: tuple[str, ...], blueprint: Blueprint, policy: Acme) -> None:
        gateway = self._host.gateway
        store, before = gateway.certificates, gateway.certificates.attempts()
        # Counted before it is made: an order that a crash cut off is not made again at once.
        begun = {n: Attempt((before[n].tries if n in before else 0) + 1, 0) for n in names}
        store.note({n: after_failure(a, UNDER_WAY, time.time(), None) for n, a in begun.items()})
        log.info("ordering a certificate for %s", ", ".join(names))
        try:
            outcome = await self._outcome(names, blueprint, policy)
            if outcome.chain:
                store.keep(names, outcome.chain, outcome.key, own=False)
            store.note(left := _noted(outcome, begun, time.time()))
            if outcome.problems and None in left.values():
                self.wake()
        finally:
            self._host.challenges = ()
            with contextlib.suppress(GoliveError):
                await gateway.apply(edge_config(self._host))
        if not outcome.chain:
            log.warning("no certificate for %s: %s", ", ".join(names), outcome.why or dict(outcome.problems))

    async def _outcome(self, names: tuple[str, ...], blueprint: Blueprint, policy: Acme) -> Outcome:
        gateway = self._host.gateway
        try:
            shown = showing(self._host, blueprint, policy.dns) if policy.dns else None
            whom = authorities(policy, self._host.state.variables(Place(blueprint.name, blueprint.environment)))
            order = Order(names, whom, gateway.certificates.accounts, gateway.http_port, shown)
            return await self._offload.reporting(self._publish, _issue, order)
        except (GoliveError, RuntimeError) as error:
            log.exception("the order of a certificate")
            return Outcome(why=str(error).splitlines()[-1])

    def _publish(self, challenges: tuple[Challenge, ...]) -> None:
        self._host.challenges = challenges
        job = asyncio.create_task(self._host.gateway.apply(edge_config(self._host)))
        self._jobs.add(job)
        job.add_done_callback(self._published)

    def _published(self, job: asyncio.Task[bool]) -> None:
        self._jobs.discard(job)
        if not job.cancelled() and (error := job.exception()):
            log.error("the edge did not take a challenge: %s", error)


async def _issue(order: Order, report: Any = None) -> Outcome:
    from golive.edge.acme import issue

    return await issue(order, report)


def _noted(outcome: Outcome, begun: dict[str, Attempt], now: float) -> dict[str, Attempt | None]:
    """Pure: a name that was not to blame is ordered again at once, without those that were."""
    if outcome.chain:
        return dict.fromkeys(begun)
    if not outcome.problems:
        return {n: after_failure(a, outcome.why, now, outcome.retry_after) for n, a in begun.items()}
    problems = dict(outcome.problems)
    return {
        n: after_failure(a, problems[n], now, outcome.retry_after) if n in problems else None for n, a in begun.items()
    }


def live_blueprints(host: Host) -> list[Blueprint]:
    return [host.release_blueprint(app.place, app.live) for app in host.state.apps() if app.live is not None]


def view(host: Host, blueprint: Blueprint) -> dict[str, dict[str, Any]]:
    """Domain → who signed what it serves, until when, and what is in the way of a better one."""
    if host.opened is None or not blueprint.edge.https:
        return {}
    gateway = host.gateway
    attempts = gateway.certificates.attempts()
    found = {}
    for domain in blueprint.domains:
        kept = gateway.certificates.find(domain)
        attempt = attempts.get(domain)
        reason = obstacle(domain, blueprint.edge.acme, gateway.http_port)
        found[domain] = {
            "certificate": ("own" if kept.own else "acme") if kept else "local" if is_local(domain) else "self-signed",
            "issuer": kept.issuer if kept else None,
            "ends": kept.ends.timestamp() if kept else None,
            "renew_at": kept.renew_at().timestamp() if kept and not kept.own else None,
            "why_none": reason if kept is None else None,
            "trouble": attempt.why if attempt else None,
            "next_at": attempt.next_at if attempt else None,
        }
    return found
