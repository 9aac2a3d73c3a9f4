"""Whether a domain leads to this machine: what its own name servers say, not what some cache remembers."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from golive.errors import GoliveError, UsageError

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver
    from dns.name import Name

TIMEOUT = 4.0
"""Seconds for one question to one name server."""
MOST_SERVERS = 8
PATIENCE = 20.0
"""Seconds for all there is to ask about one domain."""
KINDS = ("A", "AAAA")
Address = tuple[str, int]


@dataclass(frozen=True)
class Record:
    """One that the domain's DNS should have."""

    kind: str
    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.value}"


@dataclass(frozen=True)
class Finding:
    """`problems` name each wrong or missing record; `found` are the addresses, `servers` who was asked."""

    domain: str
    wanted: tuple[Record, ...]
    found: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """Of one name server: addresses, or what is wrong with it ("" when nothing is)."""

    server: str
    addresses: frozenset[str] = frozenset()
    trouble: str = ""


def public_addresses() -> tuple[str, ...]:
    """Of this machine's own interfaces; none behind a router that translates."""
    import psutil

    texts = (a.address.partition("%")[0] for found in psutil.net_if_addrs().values() for a in found)
    return tuple(sorted({text for text in texts if _is_public(text)}, key=lambda text: (":" in text, text)))


def wanted(domain: str, addresses: tuple[str, ...]) -> tuple[Record, ...]:
    """Pure: one record for each address. A wildcard's name is written as it is."""
    return tuple(Record("AAAA" if ":" in a else "A", domain, a) for a in addresses)


async def look(domain: str, addresses: tuple[str, ...], resolver: Address | None = None) -> Finding:
    """Ask every name server of the domain. `resolver` is asked where those are, on its port, in place of the system's.

    A name server that does not answer is a problem by name, never an error.
    """
    records = wanted(domain, addresses)
    try:
        async with asyncio.timeout(PATIENCE):
            return await _look(domain, records, resolver)
    except TimeoutError:
        return Finding(domain, records, problems=(f"DNS did not come to an answer within {PATIENCE:g} s",))
    except GoliveError as error:
        return Finding(domain, records, problems=(error.what,))


async def _look(domain: str, records: tuple[Record, ...], resolver: Address | None) -> Finding:
    asked = f"golive-looks.{domain.removeprefix('*.')}" if domain.startswith("*.") else domain
    servers = await name_servers(asked, resolver)
    port = resolver[1] if resolver else 53
    answers = await asyncio.gather(*(ask(asked, name, at, port, resolver) for name, at in servers))
    found = tuple(sorted({a for answer in answers for a in answer.addresses}))
    return Finding(domain, records, found, tuple(a.server for a in answers), problems(records, answers))


def problems(records: tuple[Record, ...], answers: list[Answer]) -> tuple[str, ...]:
    """Pure: each thing that is wrong, once, and with the server that says so where not all do."""
    said: dict[str, list[str]] = {}
    for answer in answers:
        for line in [answer.trouble] if answer.trouble else _wrong(records, answer.addresses):
            said.setdefault(line, []).append(answer.server)
    return tuple(
        line if len(by) == len(answers) or by[0] in line else f"{line} (so {', '.join(by)})"
        for line, by in said.items()
    )


def _wrong(records: tuple[Record, ...], found: frozenset[str]) -> list[str]:
    mine = {record.value for record in records}
    lines = [f"{_kind(a)} {a} is not this machine: remove it, or change it" for a in sorted(found - mine)]
    missing = [r for r in records if r.value not in found]
    # IPv6 beside IPv4 is good to have, and its absence stops nobody.
    needed = [r for r in missing if r.kind == "A" or not any(x.kind == "A" for x in records)]
    return [*lines, *(f"missing: {record}" for record in needed)]


async def name_servers(domain: str, resolver: Address | None) -> list[tuple[str, str]]:
    """Name and address of each server of the domain's zone. GoliveError where there are none."""
    import dns.asyncresolver
    import dns.exception
    import dns.name
    import dns.resolver

    asking = _resolver(resolver)
    try:
        zone = await dns.asyncresolver.zone_for_name(domain, resolver=asking)
        if len(zone) <= 2:  # the root, or what is below it: nobody has registered the name
            raise GoliveError(f"nobody serves {domain}: is it registered, and are its name servers set?")
        names = sorted(str(r.target) for r in await asking.resolve(zone, "NS"))[:MOST_SERVERS]
    except dns.resolver.NoRootSOA:
        raise GoliveError(f"DNS does not say who serves {domain}: the resolver knows not even the root") from None
    except dns.resolver.NoNameservers:
        raise GoliveError(f"the name servers of {domain} answer with errors") from None
    except (dns.exception.DNSException, OSError) as error:
        raise GoliveError(f"DNS does not say who serves {domain}: {type(error).__name__}") from error
    each = await asyncio.gather(*(_addresses(name, asking) for name in names))
    found = [(name.rstrip("."), at[0]) for name, at in zip(names, each, strict=True) if at]
    if not found:
        raise GoliveError(f"the name servers of {domain} have no address: {', '.join(names)}")
    return found


def _resolver(given: Address | None) -> Resolver:
    import dns.asyncresolver
    import dns.resolver

    try:
        asking = dns.asyncresolver.Resolver(configure=given is None)
    except dns.resolver.NoResolverConfiguration:
        raise GoliveError("this machine has no DNS resolver", hint="look at /etc/resolv.conf") from None
    asking.lifetime = TIMEOUT
    if given:
        asking.nameservers, asking.port = [given[0]], given[1]
    return asking


async def _addresses(name: Name | str, asking: Resolver) -> list[str]:
    """IPv4 first; [] when there are none, or nobody says."""
    import dns.exception

    found: list[str] = []
    for kind in KINDS:
        try:
            found += [str(record.address) for record in await asking.resolve(name, kind)]
        except (dns.exception.DNSException, OSError):
            continue
    return found


async def ask(domain: str, server: str, address: str, port: int, resolver: Address | None) -> Answer:
    """What that name server itself says the addresses are; `resolver` follows an alias into another zone."""
    import dns.asyncquery
    import dns.exception
    import dns.flags
    import dns.message
    import dns.rcode

    found: set[str] = set()
    for kind in KINDS:
        query = dns.message.make_query(domain, kind)
        query.flags &= ~dns.flags.RD
        try:
            answer, _ = await dns.asyncquery.udp_with_fallback(query, address, TIMEOUT, port)
        except (dns.exception.DNSException, OSError):
            return Answer(server, trouble=f"the name server {server} does not answer")
        code = dns.rcode.to_text(answer.rcode())
        if code not in ("NOERROR", "NXDOMAIN"):
            return Answer(server, trouble=f"the name server {server} answers {code}")
        if not answer.flags & dns.flags.AA:
            return Answer(server, trouble=f"{server} is named as a name server of {domain}, and does not know it")
        alias = None
        here: set[str] = set()
        for record in (record for rrset in answer.answer for record in rrset):
            if record.rdtype.name == kind:
                here.add(record.to_text())
            elif record.rdtype.name == "CNAME":
                alias = record.to_text()
        found |= here
        if alias and not here:  # into another zone
            found |= {a for a in await _addresses(alias, _resolver(resolver)) if _kind(a) == kind}
    return Answer(server, frozenset(found))


def parse_resolver(text: str) -> Address:
    """`9.9.9.9` or `127.0.0.1:5353`. UsageError when it is neither."""
    host, port = text.split(":") if text.count(":") == 1 else (text, "53")
    try:
        ipaddress.ip_address(host)
        return host, int(port)
    except ValueError:
        raise UsageError(f"{text!r} is not a resolver", hint="such as 9.9.9.9 or 127.0.0.1:5353") from None


def parse_address(text: str) -> str:
    """UsageError when it is none."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise UsageError(f"{text!r} is not an address", hint="such as 203.0.113.7") from None


def _is_public(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _kind(address: str) -> str:
    return "AAAA" if ":" in address else "A"
