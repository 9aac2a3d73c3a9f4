"""Names that lead elsewhere or nowhere, asked of a real DNS server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from golive.checks import catalog
from golive.checks.model import Result, Status
from golive.checks.run import run
from golive.checks.site import Aim, Site, address
from golive.checks.web import Web

Zone = dict[tuple[str, str], list[str]]
CHECKS = [check for check in catalog.checks(("dns",), app=False) if check.id != "dns-www"]
GOOD: Zone = {
    ("tea.example", "A"): ["93.184.216.34"],
    ("tea.example", "AAAA"): ["2606:2800:220:1:248:1893:25c8:1946"],
    ("tea.example", "NS"): ["ns1.tea.example.", "ns2.elsewhere.example."],
    ("tea.example", "CAA"): ['0 issue "ca.example"'],
}


class _Server(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone, *, silent: bool) -> None:
        self._zone, self._silent = zone, silent

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, where: Any) -> None:
        if self._silent:
            return
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if found := self._zone.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *found))
        elif not any(known == name for known, _ in self._zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(answer.to_wire(), where)


@asynccontextmanager
async def resolving(zone: Zone, monkeypatch: pytest.MonkeyPatch, *, silent: bool = False) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Server(zone, silent=silent), local_addr=("127.0.0.1", 0)
    )
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = transport.get_extra_info("sockname")[1]
    monkeypatch.setattr(dns.asyncresolver, "default_resolver", resolver)
    try:
        yield
    finally:
        transport.close()


async def examine(zone: Zone, monkeypatch: pytest.MonkeyPatch, *, silent: bool = False) -> dict[str, Result]:
    web = Web("https://tea.example/")
    async with resolving(zone, monkeypatch, silent=silent):
        try:
            results = await run(CHECKS, Site(Aim(address("https://tea.example/")), web), None)
        finally:
            await web.close()
    return {result.check.id: result for result in results}


async def test_a_good_zone_raises_no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await examine(GOOD, monkeypatch)
    assert {id: r.status for id, r in found.items()} == dict.fromkeys(found, Status.PASS)
    assert found["dns-address"].outcome.evidence[0].asked == "A tea.example"


@pytest.mark.parametrize(
    ("id", "change"),
    [
        ("dns-address", {("tea.example", "A"): [], ("tea.example", "AAAA"): []}),
        ("dns-address", {("tea.example", "A"): ["10.1.2.3"]}),
        ("dns-ipv6", {("tea.example", "AAAA"): []}),
        ("dns-caa", {("tea.example", "CAA"): []}),
        ("dns-servers", {("tea.example", "NS"): ["ns1.tea.example."]}),
    ],
)
async def test_a_fault_is_found(id: str, change: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    found = await examine(GOOD | change, monkeypatch)
    wrong = {id for id, r in found.items() if r.status in (Status.FAIL, Status.WARNING)}
    assert id in wrong
    assert wrong <= {id, "dns-ipv6"}


async def test_a_server_that_does_not_answer_is_no_fault_of_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from golive.checks.families import dns as family

    monkeypatch.setattr(family, "TIMEOUT", 0.5)
    found = await examine(GOOD, monkeypatch, silent=True)
    assert {r.status for r in found.values()} == {Status.COULD_NOT_TELL}
