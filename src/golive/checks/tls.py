"""Handshakes, one at a time: which versions are spoken, what the certificate says, whether it is trusted."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from golive.checks.model import Unanswered
from golive.checks.web import addresses

if TYPE_CHECKING:
    from cryptography import x509

TIMEOUT = 6.0
"""Seconds of a handshake."""
VERSIONS = {
    "TLS 1.0": ssl.TLSVersion.TLSv1,
    "TLS 1.1": ssl.TLSVersion.TLSv1_1,
    "TLS 1.2": ssl.TLSVersion.TLSv1_2,
    "TLS 1.3": ssl.TLSVersion.TLSv1_3,
}


@dataclass(frozen=True)
class Handshake:
    """`error` is "" when it succeeded. `certificate` is DER."""

    version: str = ""
    cipher: str = ""
    alpn: str = ""
    certificate: bytes = b""
    error: str = ""


async def offered(host: str, port: int, version: str) -> Handshake:
    """A handshake of that version alone. Raises Unanswered where nothing listens or this machine cannot speak it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old versions are the point
        try:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = VERSIONS[version]
        except (ssl.SSLError, ValueError) as error:
            raise Unanswered(f"OpenSSL of this machine cannot speak {version}") from error
    return await _shake(context, host, port)


async def weak(host: str, port: int) -> Handshake:
    """A handshake by suites that nobody should take: without encryption or a certificate, broken ones, and those
    whose traffic is read later by whoever gets the key. Raises Unanswered as `offered` does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        context.set_ciphers("eNULL:aNULL:3DES:RC4:kRSA@SECLEVEL=0")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    except (ssl.SSLError, ValueError) as error:
        raise Unanswered("OpenSSL of this machine cannot speak weak suites") from error
    return await _shake(context, host, port)


async def trusted(host: str, port: int, roots: tuple[Path, ...]) -> Handshake:
    """A handshake as a browser does it: the chain and the name are verified."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())  # where the system has no store of its own
    for root in roots:
        with contextlib.suppress(OSError, ssl.SSLError):
            context.load_verify_locations(root)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return await _shake(context, host, port)


async def presented(host: str, port: int) -> Handshake:
    """The certificate whatever is wrong with it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    return await _shake(context, host, port)


async def _shake(context: ssl.SSLContext, host: str, port: int) -> Handshake:
    try:
        async with asyncio.timeout(TIMEOUT):
            address = (await addresses(host))[0]
            name = host.strip("[]")
            _, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=name)
    except TimeoutError:
        raise Unanswered(f"{host}:{port} did not finish a TLS handshake in {TIMEOUT:g} s") from None
    except ssl.SSLCertVerificationError as error:
        return Handshake(error=error.verify_message or str(error))
    except ssl.SSLError as error:
        return Handshake(error=(error.reason or str(error)).replace("_", " ").lower())
    except ConnectionResetError:
        return Handshake(error="the connection was reset")
    except OSError as error:
        raise Unanswered(f"{host}:{port} cannot be reached: {error.strerror or error}") from error
    session: ssl.SSLObject = writer.get_extra_info("ssl_object")
    cipher = session.cipher()
    found = Handshake(
        version=(session.version() or "").replace("TLSv", "TLS "),
        cipher=cipher[0] if cipher else "",
        alpn=session.selected_alpn_protocol() or "",
        certificate=session.getpeercert(binary_form=True) or b"",
    )
    writer.transport.abort()
    return found


def parsed(der: bytes) -> x509.Certificate:
    """Raises Unanswered for what is no certificate."""
    from cryptography import x509

    try:
        return x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise Unanswered(f"the certificate cannot be read: {error}") from error


def names_of(certificate: x509.Certificate) -> list[str]:
    """DNS names and addresses it is for."""
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    dns = found.get_values_for_type(x509.DNSName)
    return [*dns, *(str(address) for address in found.get_values_for_type(x509.IPAddress))]


def covers(names: list[str], host: str) -> bool:
    """Whether one of them is the host (RFC 6125: a star is one whole label, the first)."""
    wanted = host.lower().rstrip(".")
    after = wanted.partition(".")[2]
    return any(name.lower() == wanted or (name.startswith("*.") and name[2:].lower() == after != "") for name in names)
