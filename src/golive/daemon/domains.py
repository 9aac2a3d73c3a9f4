"""What clients may ask about domains and their certificates."""

from __future__ import annotations

import asyncio
from typing import Any

from golive.blueprint.models import Blueprint
from golive.daemon import api
from golive.daemon.daemon import Daemon
from golive.errors import NotFound, nearest
from golive.release import certificates
from golive.release.host import Host
from golive.release.traffic import edge_config
from golive.secret import Secret
from golive.state.records import Place


def listing(host: Host, place: Place) -> dict[str, Any]:
    return {"domains": certificates.view(host, _live(host, place))}


def retry(daemon: Daemon, call: api.DomainsCall) -> dict[str, Any]:
    """Orders that failed before are made again at once, unless the authority itself asked for time."""
    host = daemon.host
    app = host.state.app(call.place)
    if host.opened is None or app is None or app.live is None:
        return {"domains": []}
    store = host.gateway.certificates
    own = set(host.release_blueprint(call.place, app.live).domains) & set(call.domains)
    again = {n: a.at(0) for n, a in store.attempts().items() if n in own and not a.asked}
    if again:
        store.note(again)
    daemon.certificates.wake()
    return {"domains": sorted(again)}


async def bring(host: Host, call: api.BringCertificateCall, actor: str) -> dict[str, Any]:
    """Served at once. UsageError says why it cannot be."""
    from golive.edge.inspection import brought

    _belongs(host, call)
    key = Secret(call.key)
    kept, notes = await asyncio.to_thread(brought, call.chain, key, call.domain)
    host.gateway.certificates.keep((call.domain,), kept.certificate.chain, key, own=True)
    host.state.audit(actor, "domain.certificate", call.place, domain=call.domain, issuer=kept.issuer)
    await host.gateway.apply(edge_config(host))
    return {"issuer": kept.issuer, "ends": kept.ends.timestamp(), "notes": list(notes)}


async def remove(host: Host, call: api.DomainCall, actor: str) -> dict[str, Any]:
    _belongs(host, call)
    if not host.gateway.certificates.remove_own(call.domain):
        raise NotFound(f"nobody brought a certificate for {call.domain}", hint="golive domain ls")
    host.state.audit(actor, "domain.certificate.remove", call.place, domain=call.domain)
    await host.gateway.apply(edge_config(host))
    return {"removed": True}


def _belongs(host: Host, call: api.DomainCall) -> None:
    """A certificate is for a domain of the live release, or for the wildcard above one."""
    domains = _live(host, call.place).domains
    if call.domain not in {*domains, *(f"*.{d.partition('.')[2]}" for d in domains)}:
        near = nearest(call.domain, domains)
        raise NotFound(f"{call.domain} is no domain of {call.place}", hint=near or f"they are {', '.join(domains)}")


def _live(host: Host, place: Place) -> Blueprint:
    """NotFound when nothing of it is live."""
    app = host.state.app(place)
    if app is None or app.live is None:
        raise NotFound(f"{place} has no live release", hint="golive up makes the first one")
    return host.release_blueprint(place, app.live)
