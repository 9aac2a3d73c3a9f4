"""DNS of one name: what this machine's resolver says, what the zone's own servers say, and where they differ."""

from __future__ import annotations

import asyncio
import time

from golive.checks.debug.account import Account, Step
from golive.checks.model import Unanswered
from golive.edge import records
from golive.edge.records import Address
from golive.errors import GoliveError

KINDS = ("A", "AAAA", "CNAME", "NS", "CAA", "MX", "TXT")
TIMEOUT = 4.0
"""Seconds for one question."""


async def names(name: str, resolver: Address | None = None) -> Account:
    """`resolver` is asked in place of this machine's. Raises Unanswered where it does not answer at all."""
    began = time.monotonic()
    found = dict(zip(KINDS, await asyncio.gather(*(_asked(name, kind, resolver) for kind in KINDS)), strict=True))
    steps = [
        Step("note", "resolver", f"{resolver[0] if resolver else 'of this machine'}: {time.monotonic() - began:.2f} s")
    ]
    steps += [Step("ok", kind, ", ".join(values)) for kind, values in found.items() if values]
    addresses = tuple(sorted({*found["A"], *found["AAAA"]}))
    if not addresses:
        steps.append(Step("failed", "address", "none", "add an A record; golive domain verify names the exact one"))
    elif not found["AAAA"]:
        steps.append(Step("note", "AAAA", "none", "phones reach IPv4 by a detour"))
    steps += await _servers(name, addresses, resolver)
    bad = next((step for step in steps if step.state == "failed"), None)
    verdict = f"{bad.about}: {bad.seen}" if bad else f"leads to {', '.join(addresses)}"
    return Account(f"DNS of {name}", verdict, tuple(steps))


async def _servers(name: str, addresses: tuple[str, ...], resolver: Address | None) -> list[Step]:
    """Those that know the zone, against what the resolver remembers."""
    try:
        servers = await records.name_servers(name, resolver)
    except GoliveError as error:
        return [Step("failed", "name servers", error.what, "look at the registrar's name servers")]
    port = resolver[1] if resolver else 53
    answers = await asyncio.gather(*(records.ask(name, server, at, port, resolver) for server, at in servers))
    steps = []
    for answer in answers:
        said = ", ".join(sorted(answer.addresses)) or "no address"
        if answer.trouble:
            steps.append(Step("failed", answer.server, answer.trouble, "take it out of the zone's NS, or mend it"))
        elif set(addresses) - answer.addresses or answer.addresses - set(addresses):
            steps.append(
                Step("warning", answer.server, said, "the resolver remembers something else: wait for the TTL")
            )
        else:
            steps.append(Step("ok", answer.server, said))
    if len({answer.addresses for answer in answers if not answer.trouble}) > 1:
        steps.append(Step("failed", "name servers", "they do not agree", "look at the zone's transfer and serial"))
    return steps


async def _asked(name: str, kind: str, resolver: Address | None) -> list[str]:
    import dns.asyncresolver
    import dns.exception
    import dns.resolver

    asking = dns.asyncresolver.Resolver(configure=resolver is None)
    if resolver:
        asking.nameservers, asking.port = [resolver[0]], resolver[1]
    try:
        answer = await asking.resolve(name, kind, lifetime=TIMEOUT)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError) as error:
        raise Unanswered(f"no answer for {kind} of {name}: {type(error).__name__}") from error
    return [record.to_text() for record in answer]
