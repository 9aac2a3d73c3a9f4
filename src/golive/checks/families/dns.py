"""DNS: whether the name leads here, for everybody."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from golive.checks.model import Evidence, Family, Outcome, Unanswered, failed, not_applicable, passed, warned
from golive.checks.site import Site
from golive.checks.web import is_public

if TYPE_CHECKING:
    from dns.resolver import Answer

family = Family("dns", "Whether the name leads to the site, wherever one asks.")
_LOCAL = "an address or a name of this machine"
TIMEOUT = 4.0


async def _records(name: str, kind: str) -> list[str]:
    """Of a name, [] when there are none. Raises Unanswered where no server answers."""
    import dns.asyncresolver
    import dns.exception
    import dns.resolver

    try:
        answer: Answer = await dns.asyncresolver.resolve(name, kind, lifetime=TIMEOUT)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError) as error:
        raise Unanswered(f"no answer for {kind} of {name}: {type(error).__name__}") from error
    return [record.to_text() for record in answer]


def _shown(name: str, kind: str, found: list[str]) -> Evidence:
    return Evidence(f"{kind} {name}", "\n".join(found) or "(none)")


@family.site(
    "address",
    "The name has an address",
    "Without one nobody arrives.",
    answers="rt-apps.4",
)
async def address(site: Site) -> Outcome:
    host = site.at.host
    if not site.at.is_name:
        return not_applicable(_LOCAL)
    found = await _records(host, "A")
    six = await _records(host, "AAAA")
    evidence = (_shown(host, "A", found), _shown(host, "AAAA", six))
    if not found and not six:
        return failed("none", *evidence, fix="add an A record with the server's address")
    private = [one for one in (*found, *six) if not is_public(one)]
    if private:
        return warned(f"{private[0]} is no address of the Internet", *evidence, fix="name a public address")
    return passed(", ".join((found + six)[:3]), *evidence)


@family.site(
    "ipv6",
    "It can be reached over IPv6",
    "Phones have IPv6, and reach IPv4 by a detour.",
    answers="rt-apps.4",
)
async def ipv6(site: Site) -> Outcome:
    if not site.at.is_name:
        return not_applicable(_LOCAL)
    found = await _records(site.at.host, "AAAA")
    if found:
        return passed(found[0], _shown(site.at.host, "AAAA", found))
    return warned("no AAAA record", _shown(site.at.host, "AAAA", found), fix="add one, where the server has IPv6")


@family.site(
    "caa",
    "Only chosen authorities may sign for the name",
    "A CAA record keeps every other authority from making a certificate of yours for somebody else.",
    answers="rt-apps.3 rt-apps.11",
)
async def caa(site: Site) -> Outcome:
    if not site.at.is_name:
        return not_applicable(_LOCAL)
    labels = site.at.host.split(".")
    names = [".".join(labels[at:]) for at in range(len(labels) - 1)]
    found = await asyncio.gather(*(_records(name, "CAA") for name in names))
    evidence = [_shown(name, "CAA", records) for name, records in zip(names, found, strict=True)]
    if any(found):
        return passed(next(records for records in found if records)[0], *evidence)
    return warned("none", *evidence, fix='add CAA 0 issue "letsencrypt.org", or whoever signs for you')


@family.site(
    "servers",
    "More than one server knows the name",
    "When the only one is down, so is everything under the name.",
    answers="rt-apps.4",
)
async def servers(site: Site) -> Outcome:
    if not site.at.is_name:
        return not_applicable(_LOCAL)
    labels = site.at.host.split(".")
    for at in range(len(labels) - 1):
        name = ".".join(labels[at:])
        if found := await _records(name, "NS"):
            if len(found) < 2:
                return failed(f"only {found[0]}", _shown(name, "NS", found), fix="add a second name server")
            return passed(f"{len(found)}", _shown(name, "NS", found))
    return warned("none was found", _shown(site.at.host, "NS", []), fix="look at the zone")


@family.site(
    "www",
    "With and without www leads to the same",
    "Half of the people type it the other way.",
    answers="rt-apps.4",
)
async def www(site: Site) -> Outcome:
    host = site.at.host
    if not site.at.is_name:
        return not_applicable(_LOCAL)
    if host.startswith("www."):
        other = host.removeprefix("www.")
    elif host.count(".") == 1:
        other = f"www.{host}"
    else:
        return not_applicable("neither the name itself nor its www")
    found = await _records(other, "A") or await _records(other, "AAAA")
    if not found:
        return warned(f"{other} has no address", _shown(other, "A", found), fix=f"add {other}, and redirect it")
    try:
        last = (await site.web.follow(f"{site.at.scheme}://{other}/"))[0]
    except Unanswered as error:
        return failed(str(error), _shown(other, "A", found), fix=f"serve {other} too, and redirect it")
    if last.url.startswith(site.at.origin):
        return passed(f"{other} leads here", last.evidence("location"))
    return warned(f"{other} shows something of its own", last.evidence("content-type"), fix="redirect it here")
