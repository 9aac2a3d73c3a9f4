"""Domains asked of real name servers on loopback: right, wrong, missing, lame, silent and disagreeing ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from golive.edge.records import Record, look, public_addresses
from golive.system import ports

ONE, TWO = "127.0.0.1", "127.0.0.2"
HERE = ("203.0.113.7", "2001:db8::7")


@dataclass
class Zone(asyncio.DatagramProtocol):
    """A name server of shop.test.: what it has, and how it misbehaves; `broken` as a resolver too."""

    data: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    lame: bool = False
    silent: bool = False
    garbage: bool = False
    broken: str = ""
    rcode: str = "NOERROR"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        name, kind = query.question[0].name.to_text(), query.question[0].rdtype.name
        looked_for = kind in ("A", "AAAA") and not name.startswith("ns")
        if (self.silent and looked_for) or self.broken == "silent":
            return
        if self.garbage and looked_for:
            self.transport.sendto(data[:2] + b"no DNS", address)  # type: ignore[attr-defined]
            return
        if self.broken:
            failed = dns.message.make_response(query)
            failed.set_rcode(dns.rcode.from_text(self.broken))
            self.transport.sendto(failed.to_wire(), address)  # type: ignore[attr-defined]
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA | dns.flags.RA
        if looked_for:
            answer.set_rcode(dns.rcode.from_text(self.rcode))
            if self.lame:
                answer.flags &= ~dns.flags.AA
        for known in (kind, "CNAME"):
            if texts := self.data.get((name, known)):
                answer.answer.append(dns.rrset.from_text(name, 60, "IN", known, *texts))
                break
        else:
            if not any(n == name or n.endswith("." + name) for n, _ in self.data):
                answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), address)  # type: ignore[attr-defined]


@dataclass
class Servers:
    port: int
    one: Zone
    two: Zone

    @property
    def resolver(self) -> tuple[str, int]:
        return ONE, self.port

    def both(self, name: str, kind: str, *texts: str) -> None:
        for zone in (self.one, self.two):
            zone.data[name, kind] = list(texts)


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    made = Servers(ports.choose(), Zone(), Zone())
    made.both("shop.test.", "SOA", "ns1.shop.test. admin.shop.test. 1 60 60 60 60")
    made.both("shop.test.", "NS", "ns1.shop.test.", "ns2.shop.test.")
    made.both("ns1.shop.test.", "A", ONE)
    made.both("ns2.shop.test.", "A", TWO)
    loop = asyncio.get_running_loop()
    open_ones = [
        (await loop.create_datagram_endpoint(lambda zone=zone: zone, local_addr=(at, made.port)))[0]  # type: ignore[misc]
        for zone, at in ((made.one, ONE), (made.two, TWO))
    ]
    yield made
    for transport in open_ones:
        transport.close()


async def problems(servers: Servers, domain: str = "www.shop.test") -> tuple[str, ...]:
    return (await look(domain, HERE, servers.resolver)).problems


async def test_right_records_are_right(servers: Servers) -> None:
    servers.both("www.shop.test.", "A", HERE[0])
    servers.both("www.shop.test.", "AAAA", HERE[1])
    found = await look("www.shop.test", HERE, servers.resolver)
    assert found.problems == ()
    assert found.found == (HERE[1], HERE[0])
    assert found.servers == ("ns1.shop.test", "ns2.shop.test")
    assert found.wanted == (Record("A", "www.shop.test", HERE[0]), Record("AAAA", "www.shop.test", HERE[1]))
    servers.both("www.shop.test.", "AAAA")
    assert await problems(servers) == ()  # without IPv6 everybody arrives all the same


async def test_wrong_and_missing_ones_are_named(servers: Servers) -> None:
    servers.both("www.shop.test.", "A", "198.51.100.1")
    servers.both("www.shop.test.", "AAAA", "2001:db8::bad")
    assert await problems(servers) == (
        "A 198.51.100.1 is not this machine: remove it, or change it",
        "AAAA 2001:db8::bad is not this machine: remove it, or change it",
        "missing: A www.shop.test 203.0.113.7",
    )
    assert await problems(servers, "none.shop.test") == ("missing: A none.shop.test 203.0.113.7",)


async def test_an_alias_is_followed_and_a_wildcard_looked_below(servers: Servers) -> None:
    servers.both("www.shop.test.", "CNAME", "app.shop.test.")
    servers.both("app.shop.test.", "A", HERE[0])
    assert await problems(servers) == ()
    assert await problems(servers, "*.shop.test") == ("missing: A *.shop.test 203.0.113.7",)
    servers.both("golive-looks.shop.test.", "A", HERE[0])
    assert await problems(servers, "*.shop.test") == ()


async def test_servers_that_disagree_lie_or_keep_silent_are_named(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("golive.edge.records.TIMEOUT", 0.3)
    servers.both("www.shop.test.", "A", HERE[0])
    servers.two.data["www.shop.test.", "A"] = ["198.51.100.1"]
    assert await problems(servers) == (
        "A 198.51.100.1 is not this machine: remove it, or change it (so ns2.shop.test)",
        "missing: A www.shop.test 203.0.113.7 (so ns2.shop.test)",
    )
    servers.two.rcode = "REFUSED"
    assert await problems(servers) == ("the name server ns2.shop.test answers REFUSED",)
    servers.two.rcode, servers.two.lame = "NOERROR", True
    assert "ns2.shop.test is named as a name server" in (await problems(servers))[0]
    servers.two.silent = True
    assert "ns2.shop.test does not answer" in (await problems(servers))[0]


async def test_a_resolver_that_fails_keeps_silent_or_talks_nonsense_is_said_in_bounded_time(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("golive.edge.records.TIMEOUT", 0.3)
    servers.both("www.shop.test.", "A", HERE[0])
    servers.one.garbage = True
    assert await problems(servers) == ("the name server ns1.shop.test does not answer",)
    servers.one.garbage = False
    servers.one.broken = "SERVFAIL"
    assert await problems(servers) == ("the name servers of www.shop.test answer with errors",)
    servers.one.broken = "silent"
    assert "DNS does not say who serves www.shop.test" in (await problems(servers))[0]
    # Each question has its time; all together have no more than this.
    monkeypatch.setattr("golive.edge.records.TIMEOUT", 60.0)
    monkeypatch.setattr("golive.edge.records.PATIENCE", 0.3)
    assert await problems(servers) == ("DNS did not come to an answer within 0.3 s",)


async def test_aliases_in_a_circle_come_to_an_end(servers: Servers) -> None:
    servers.both("www.shop.test.", "CNAME", "app.shop.test.")
    servers.both("app.shop.test.", "CNAME", "www.shop.test.")
    assert await problems(servers) == ("missing: A www.shop.test 203.0.113.7",)


async def test_a_name_that_nobody_registered(servers: Servers) -> None:
    assert "DNS does not say who serves" in (await problems(servers, "nobody.elsewhere"))[0]


def test_addresses_of_this_machine_are_public_ones() -> None:
    assert not any(a.startswith(("127.", "10.", "192.168.", "fe80", "::1")) for a in public_addresses())
