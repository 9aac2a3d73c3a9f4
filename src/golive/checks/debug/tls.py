"""TLS of one address: which versions, whose certificate, until when, and whether browsers trust it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from golive.checks import tls
from golive.checks.debug.account import Account, Step
from golive.checks.model import Unanswered

OLD = ("TLS 1.0", "TLS 1.1")


async def handshakes(host: str, port: int, roots: tuple[Path, ...] = ()) -> Account:
    """Raises Unanswered where nothing listens."""
    shown = await tls.presented(host, port)
    title = f"TLS of {host}:{port}"
    if shown.error:
        means = (
            "it speaks plain HTTP there"
            if "wrong version" in shown.error
            else "no certificate for this name, or none at all"
        )
        return Account(title, f"no handshake: {shown.error}", (Step("failed", "handshake", shown.error, means),))
    steps = [Step("ok", "handshake", f"{shown.version}, {shown.cipher}")]
    for version in tls.VERSIONS:
        steps.append(await _version(host, port, version))
    trusted = await tls.trusted(host, port, roots)
    if trusted.error:
        means = "serve the whole chain, of an authority that browsers know; golive trust for golive's own"
        steps.append(Step("failed", "trust", trusted.error, means))
    else:
        steps.append(Step("ok", "trust", f"the chain leads to a trusted root; {trusted.alpn or 'no ALPN'}"))
    steps += _certificate(shown, host)
    bad = next((step for step in steps if step.state == "failed"), None)
    return Account(title, f"{bad.about}: {bad.seen}" if bad else "well", tuple(steps))


async def _version(host: str, port: int, version: str) -> Step:
    try:
        found = await tls.offered(host, port, version)
    except Unanswered as error:
        return Step("note", version, str(error))
    if version in OLD:
        if found.error:
            return Step("ok", version, "refused")
        return Step("failed", version, "spoken", "it is broken (RFC 8996): allow TLS 1.2 and newer only")
    if not found.error:
        return Step("ok", version, f"spoken, {found.cipher}")
    return Step("warning", version, "not spoken", "turn it on")


def _certificate(shown: tls.Handshake, host: str) -> list[Step]:
    certificate = tls.parsed(shown.certificate)
    names = tls.names_of(certificate)
    begin, end, now = certificate.not_valid_before_utc, certificate.not_valid_after_utc, datetime.now(UTC)
    text = ", ".join(names) or "none"
    steps = [
        Step("ok", "names", text)
        if tls.covers(names, host)
        else Step("failed", "names", text, f"{host} is not among them: add it, or serve the certificate that has it")
    ]
    dates = f"{begin:%Y-%m-%d} to {end:%Y-%m-%d}, by {certificate.issuer.rfc4514_string()}"
    if now < begin:
        steps.append(Step("failed", "dates", dates, "not valid yet: look at the clocks"))
    elif now >= end:
        steps.append(Step("failed", "dates", dates, "it has ended: renew it"))
    else:
        left = end - now
        late = left < (end - begin) / 4
        steps.append(
            Step(
                "warning" if late else "ok",
                "dates",
                f"{dates}; {left.days} days left",
                "renewal is late" if late else "",
            )
        )
    return steps
