"""TLS: versions, certificate, redirect, HSTS."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from golive.checks import tls
from golive.checks.model import (
    Evidence,
    Family,
    Fix,
    Outcome,
    Setting,
    Unanswered,
    failed,
    not_applicable,
    passed,
    warned,
)
from golive.checks.site import Site

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

family = Family("tls", "Whether what goes over the network can be read, changed or faked on its way.")
SOON = timedelta(days=21)
"""What renews at two thirds of 90 days never has less left."""
HALF_A_YEAR = 180 * 86400
_BROKEN = re.compile(r"NULL|ADH|AECDH|RC4|DES|EXP|MD5")
_PLAIN = "asked by plain http; https:// would be looked at"


@family.site(
    "https",
    "The site answers over HTTPS",
    "Over plain HTTP everybody on the way reads passwords and changes pages.",
    answers="akashic.2 rt-apps.3 rt-apps.14",
)
async def https(site: Site) -> Outcome:
    if site.at.scheme == "https":
        shake = await tls.presented(site.at.host, site.at.port)
        if shake.error:
            return failed(f"the TLS handshake fails: {shake.error}", _handshake(site, shake))
        return passed(f"{shake.version}, {shake.cipher}", _handshake(site, shake))
    if not site.at.is_name:
        return warned(
            "plain HTTP, on an address of this machine or network",
            (await site.home()).evidence(),
            fix=Fix("serve it over TLS", (Setting(("edge", "https"), True),)),
        )
    try:
        shake = await tls.presented(site.at.host, 443)
    except Unanswered as error:
        return failed(f"no HTTPS: {error}", fix=Fix("serve it over TLS", (Setting(("edge", "https"), True),)))
    return warned(f"https://{site.at.host} answers ({shake.version}): check that address")


@family.site(
    "versions",
    "TLS 1.0 and 1.1 are refused",
    "They are broken (RFC 8996), and payment and health rules forbid them.",
    answers="rt-apps.3 datifyy.14",
)
async def versions(site: Site) -> Outcome:
    if site.at.scheme != "https":
        return not_applicable(_PLAIN)
    evidence, spoken = [], []
    for version in ("TLS 1.0", "TLS 1.1"):
        shake = await tls.offered(site.at.host, site.at.port, version)
        evidence.append(_handshake(site, shake, version))
        if not shake.error:
            spoken.append(version)
    if spoken:
        fix = "allow TLS 1.2 and newer only (ssl_protocols TLSv1.2 TLSv1.3; in nginx)"
        return failed(f"{' and '.join(spoken)} spoken", *evidence, fix=fix)
    return passed("both refused", *evidence)


@family.site(
    "modern",
    "TLS 1.3 is spoken",
    "It saves a round trip on every visit, and leaves out every cipher known to be weak.",
    answers="rt-apps.3",
)
async def modern(site: Site) -> Outcome:
    if site.at.scheme != "https":
        return not_applicable(_PLAIN)
    shake = await tls.offered(site.at.host, site.at.port, "TLS 1.3")
    if shake.error:
        return warned("not spoken", _handshake(site, shake, "TLS 1.3"), fix="turn TLS 1.3 on in the server")
    return passed(shake.cipher, _handshake(site, shake, "TLS 1.3"))


@family.site(
    "ciphers",
    "No weak cipher is taken",
    "An old program is talked into the weakest that both take, and what was recorded is read when the key leaks.",
    answers="rt-apps.3 rt-apps.11",
)
async def ciphers(site: Site) -> Outcome:
    if site.at.scheme != "https":
        return not_applicable(_PLAIN)
    shake = await tls.weak(site.at.host, site.at.port)
    asked = Evidence(
        f"TLS handshake with {site.at.host}:{site.at.port}, up to 1.2, weak suites alone", shake.error or shake.cipher
    )
    fix = "take ECDHE with AES-GCM or ChaCha20 alone: leave the server's default, it has been so for years"
    if shake.error:
        return passed("weak ones are refused", asked)
    if _BROKEN.search(shake.cipher):
        return failed(f"{shake.cipher} is taken", asked, fix=fix)
    return warned(f"{shake.cipher} is taken, which has no forward secrecy", asked, fix=fix)


@family.site(
    "trust",
    "Browsers trust the certificate",
    "Else every visitor meets a warning, and programs refuse to connect.",
    answers="rt-apps.3 rt-apps.14 datifyy.14",
)
async def trust(site: Site) -> Outcome:
    if site.at.scheme != "https":
        return not_applicable(_PLAIN)
    shake = await tls.trusted(site.at.host, site.at.port, site.aim.roots)
    if shake.error:
        fix = "serve the whole chain of a public authority; golive gets one for a domain that points to it"
        return failed(f"{shake.error}", _handshake(site, shake), fix=fix)
    return passed("the chain leads to a trusted root", _handshake(site, shake))


@family.site(
    "names",
    "The certificate is for this name",
    "A certificate of another name is refused like none at all.",
    answers="rt-apps.4 rt-apps.14",
)
async def names(site: Site) -> Outcome:
    if site.at.scheme != "https":
        return not_applicable(_PLAIN)
    found = tls.names_of(await _certificate(site))
    evidence = Evidence(f"certificate of {site.at.host}:{site.at.port}", "names: " + (", ".join(found) or "none"))
    if tls.covers(found, site.at.host):
        return passed(f"it names {site.at.host}", evidence)
    return failed(f"it does not name {site.at.host}", evidence, fix="add the name to `domains`, or to the certificate")


@family.site(
    "dates",
    "The certificate is valid, and not about to end",
    "The day it ends, the site is down for everybody.",
    answers="rt-apps.14 datifyy.14",
)
async def dates(site: Site) -> Outcome:
    if site.at.scheme != "https":
        return not_applicable(_PLAIN)
    found = await _certificate(site)
    begin, end = found.not_valid_before_utc, found.not_valid_after_utc
    evidence = Evidence(
        f"certificate of {site.at.host}:{site.at.port}",
        f"from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, by {found.issuer.rfc4514_string()}",
    )
    if site.now < begin:
        return failed(f"valid only from {begin:%Y-%m-%d %H:%M} UTC", evidence, fix="look at the clocks")
    if site.now >= end:
        return failed(f"it ended {end:%Y-%m-%d %H:%M} UTC", evidence, fix="renew it; golive renews by itself")
    left = end - site.now
    if left < min(SOON, (end - begin) / 4):
        return warned(f"{left.days} days left", evidence, fix="see why it was not renewed: it is late for that")
    return passed(f"{left.days} days left", evidence)


@family.site(
    "key",
    "Key and signature are strong",
    "Short keys and SHA-1 can be faked with rented machines.",
    answers="rt-apps.11 datifyy.14",
)
async def key(site: Site) -> Outcome:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if site.at.scheme != "https":
        return not_applicable(_PLAIN)
    found = await _certificate(site)
    public = found.public_key()
    kind = type(public).__name__.strip("_").replace("PublicKey", "")
    size = public.key_size if isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) else 256
    digest = found.signature_hash_algorithm.name if found.signature_hash_algorithm else "its own"
    evidence = Evidence(f"certificate of {site.at.host}:{site.at.port}", f"{kind} {size} bits, signed with {digest}")
    if isinstance(public, rsa.RSAPublicKey) and size < 2048:
        return failed(f"an RSA key of {size} bits", evidence, fix="make one of 2048 bits, or P-256")
    if digest in ("sha1", "md5"):
        return failed(f"signed with {digest}", evidence, fix="have it signed anew")
    return passed(f"{size} bits, {digest}", evidence)


@family.site(
    "redirect",
    "Plain HTTP is redirected to HTTPS",
    "People type a name without https://, and old links begin with http://.",
    answers="akashic.2 rt-apps.3 rt-apps.14",
)
async def redirect(site: Site) -> Outcome:
    if site.at.scheme != "https":
        return not_applicable(_PLAIN)
    if site.http_port is None:
        return not_applicable(f"HTTPS is on port {site.at.port}: where plain HTTP would be is not known")
    port = "" if site.http_port == 80 else f":{site.http_port}"
    url = f"http://{site.at.host}{port}/"
    try:
        answer = await site.web.ask(url)
    except Unanswered as error:
        return warned(f"nothing answers there: {error}", fix="answer port 80 with a redirect")
    to = answer.header("location")
    if 300 <= answer.status < 400 and to.lower().startswith("https://"):
        return passed(f"{answer.status} to {to}", answer.evidence("location"))
    fix = Fix("answer plain HTTP with a redirect to https://", (Setting(("edge", "https"), True),))
    return failed(f"it answers {answer.status}, not a redirect", answer.evidence("location"), fix=fix)


@family.site(
    "hsts",
    "Browsers are told to stay with HTTPS",
    "Without it the first request of each visit can be led elsewhere.",
    answers="threadr.1 rt-apps.5",
)
async def hsts(site: Site) -> Outcome:
    if site.at.scheme != "https":
        return not_applicable(_PLAIN)
    home = await site.home()
    value = home.header("strict-transport-security")
    evidence = home.evidence("strict-transport-security")
    fix = Fix("send it for a year", (Setting(("edge", "hsts"), "365d"),))
    if not value:
        return failed("no Strict-Transport-Security", evidence, fix=fix)
    found = re.search(r"max-age\s*=\s*\"?(\d+)", value, re.IGNORECASE)
    seconds = int(found[1][:12]) if found else 0
    if seconds == 0:
        return failed("max-age is 0, which turns it off", evidence, fix=fix)
    if seconds < HALF_A_YEAR:
        return warned(f"only for {seconds // 86400} days", evidence, fix=fix)
    return passed(f"for {seconds // 86400} days", evidence)


async def _certificate(site: Site) -> Certificate:
    """Unanswered when the handshake fails."""
    shake = await tls.presented(site.at.host, site.at.port)
    if shake.error:
        raise Unanswered(f"no handshake: {shake.error}")
    return tls.parsed(shake.certificate)


def _handshake(site: Site, shake: tls.Handshake, version: str = "") -> Evidence:
    asked = f"TLS handshake with {site.at.host}:{site.at.port}" + (f", {version} only" if version else "")
    return Evidence(asked, f"refused: {shake.error}" if shake.error else f"{shake.version} {shake.cipher} {shake.alpn}")
