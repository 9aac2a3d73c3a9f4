"""Reading certificates of others: whether chain and key belong together, and what they say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from golive.edge.certificates import Kept
from golive.edge.model import Certificate
from golive.errors import UsageError
from golive.secret import Secret

LARGEST = 1024 * 1024
"""Bytes of PEM that anybody could mean."""


def inspect(chain: str, key: Secret, *, own: bool = False) -> Kept:
    """A chain, leaf first, with the key of its leaf. UsageError names what cannot be: PEM, key, order of the chain."""
    leaf, *rest = _certificates(chain)
    try:
        private = serialization.load_pem_private_key(key.reveal().encode(), None)
    except (ValueError, TypeError) as error:
        why = "it asks for a passphrase" if isinstance(error, TypeError) else "it is no private key in PEM"
        raise UsageError("the key cannot be read", why=why, hint="openssl pkey -in FILE shows what it is") from None
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        raise UsageError(
            "the key is not that of the certificate",
            why="the first certificate of the file has another public key",
            hint="the certificate itself comes first in the file, those of the authority after it",
        )
    for below, above in zip((leaf, *rest), rest, strict=False):
        try:
            below.verify_directly_issued_by(above)
        except (ValueError, TypeError, InvalidSignature):
            raise UsageError(
                f"the chain is broken: {_called(below.subject)} was not signed by {_called(above.subject)}",
                hint="in the file each certificate comes before the one that signed it",
            ) from None
    names = _names(leaf)
    if not names:
        raise UsageError("the certificate names no domain", hint="it needs subjectAltName; browsers read nothing else")
    pem = "".join(c.public_bytes(serialization.Encoding.PEM).decode() for c in (leaf, *rest))
    certificate = Certificate(names, pem, key)
    ends = leaf.not_valid_after_utc
    return Kept(certificate, _called(leaf.issuer), leaf.not_valid_before_utc, ends, leaf.serial_number, own)


def brought(chain: str, key: Secret, domain: str, now: datetime | None = None) -> tuple[Kept, tuple[str, ...]]:
    """Somebody's certificate for a domain, and what is questionable about it. UsageError says why it cannot serve."""
    kept = inspect(chain, key, own=True)
    moment = now or datetime.now(UTC)
    if not (kept.certificate.covers(domain) or domain in kept.certificate.names):
        shown = ", ".join(kept.certificate.names[:10])
        raise UsageError(f"the certificate is not for {domain}", why=f"it names {shown}")
    if moment >= kept.ends:
        raise UsageError(f"the certificate expired on {kept.ends:%Y-%m-%d}", hint="bring the renewed one")
    if moment < kept.begins:
        raise UsageError(f"the certificate is valid only from {kept.begins:%Y-%m-%d %H:%M} UTC on")
    notes = []
    leaf, *rest = _certificates(chain)
    if not rest and leaf.issuer != leaf.subject:
        notes.append(f"the file has only the certificate: many clients need that of {kept.issuer} after it")
    if leaf.issuer == leaf.subject:
        notes.append("it signed itself: browsers warn of it")
    if kept.ends - moment < timedelta(days=14):
        notes.append(f"it ends on {kept.ends:%Y-%m-%d}, and golive cannot renew it")
    return kept, tuple(notes)


def _certificates(chain: str) -> list[x509.Certificate]:
    if len(chain) > LARGEST:
        raise UsageError("that is no certificate", why=f"it is longer than {LARGEST} bytes")
    try:
        return x509.load_pem_x509_certificates(chain.encode())
    except ValueError:
        hint = "openssl x509 -in FILE -noout -text shows what it is"
        raise UsageError("the certificate cannot be read", why="it is no PEM", hint=hint) from None


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(name.lower() for name in found.get_values_for_type(x509.DNSName))


def _called(name: x509.Name) -> str:
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        if found := name.get_attributes_for_oid(oid):
            return str(found[0].value)
    return name.rfc4514_string()
