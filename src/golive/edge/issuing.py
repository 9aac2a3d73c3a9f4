"""What the local authority signs: `python -m golive.edge.issuing DIRECTORY MOMENT [DOMAIN …]` for a daemon, which keeps
the library of certificates out of its memory."""

from __future__ import annotations

import ipaddress
import json
import platform
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from golive.edge.local import (
    LOCAL_NAMES,
    LOCAL_NETWORKS,
    Leaf,
    is_local,
    leaf_file,
    root_certificate,
    root_key,
    root_sum,
)
from golive.errors import StateError
from golive.system.files import private_directory, write_atomic

ROOT_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=90)
SKEW = timedelta(hours=1)
"""Certificates are valid from this long ago: clocks differ."""
Root = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def issue(directory: Path, domains: tuple[str, ...], now: datetime) -> None:
    """The leaf of the domains, and its root where that cannot sign. Names beyond the root's limits sign themselves:
    browsers warn until a public authority has signed one. Without domains the root alone."""
    root = _root(directory, now)
    if not domains:
        return
    path = leaf_file(directory, domains[0])
    private_directory(path.parent)
    local = all(map(is_local, domains))
    signed(domains, now, root if local else None, root_sum(directory) if local else "").write(path)


def signed(domains: tuple[str, ...], now: datetime, root: Root | None = None, mark: str = "") -> Leaf:
    """A new leaf, by the root of that sum or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(domains[0] if len(domains[0]) <= 64 else "golive")
    issuer, signer = (root[0].subject, root[1]) if root else (subject, key)
    leaf = (
        _builder(subject, issuer, key.public_key(), now, LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(d) for d in domains]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    chain = "".join(_pem(c) for c in ([leaf, root[0]] if root else [leaf]))
    begins, ends = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    return Leaf(domains, begins, ends, mark, _key_pem(key), chain)


def _root(directory: Path, now: datetime) -> Root:
    """From disk, or made anew when missing, unreadable or within a leaf's life of its end."""
    try:
        cert = x509.load_pem_x509_certificate(root_certificate(directory).read_bytes())
        key = serialization.load_pem_private_key(root_key(directory).read_bytes(), None)
    except (OSError, ValueError):
        return _make_root(directory, now)
    ends = cert.not_valid_after_utc - LEAF_LIFE
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != cert.public_key() or now > ends:
        return _make_root(directory, now)
    return cert, key


def _make_root(directory: Path, now: datetime) -> Root:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"golive local CA on {platform.node() or 'this machine'}"[:64])
    names = [x509.DNSName(n) for n in LOCAL_NAMES]
    networks = [x509.IPAddress(ipaddress.ip_network(n)) for n in LOCAL_NETWORKS]
    cert = (
        _builder(name, name, key.public_key(), now, ROOT_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.NameConstraints([*names, *networks], None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private_directory(directory)
    write_atomic(root_key(directory), _key_pem(key))
    write_atomic(root_certificate(directory), _pem(cert), mode=0o644)
    return cert, key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "golive"), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


def _general_name(domain: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(domain))
    except ValueError:
        return x509.DNSName(domain)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def main(arguments: Sequence[str] | None = None) -> int:
    """0, or 1 with an error of golive's as JSON on standard output."""
    directory, moment, *domains = sys.argv[1:] if arguments is None else arguments
    try:
        issue(Path(directory), tuple(domains), datetime.fromisoformat(moment))
    except OSError as error:
        why = f"{error.filename or directory}: {error.strerror or error}"
        hint = "look at the disk and at who may write there, then try again"
        print(json.dumps(StateError("the local authority cannot write its files", why=why, hint=hint).to_json()))
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
