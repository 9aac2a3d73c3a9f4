"""The local certificate authority: HTTPS for names that no public authority signs.

The root is limited (RFC 5280, name constraints) to names and addresses that cannot belong to anybody on the Internet,
so that trusting it risks nothing else, whoever gets hold of its key.
"""

from __future__ import annotations

import ipaddress
import platform
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from golive.edge.model import Certificate
from golive.secret import Secret
from golive.system.files import private_directory, write_atomic

ROOT_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=90)
RENEW_AFTER = 2 / 3
"""Of a leaf's life, as ACME clients do."""
SKEW = timedelta(hours=1)
"""Certificates are valid from this long ago: clocks differ."""
LOCAL_NAMES = ("localhost", "test", "internal", "local", "home.arpa")
"""Reserved for local use (RFC 6761, 6762, 8375 and ICANN's resolution on .internal)."""
LOCAL_NETWORKS = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")


def is_local(name: str) -> bool:
    """Whether the local root may vouch for a domain or address."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return any(name == top or name.endswith(f".{top}") for top in LOCAL_NAMES)
    networks = (ipaddress.ip_network(n) for n in LOCAL_NETWORKS)
    return any(address in network for network in networks)


@dataclass(frozen=True)
class Trust:
    """`command` makes this machine trust the root; `notes` are for programs with a store of their own."""

    command: str
    notes: tuple[str, ...]


class LocalCA:
    """Keys and certificates under `directory` (0700), made at first use."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def root(self) -> Path:
        """The root certificate, PEM; the one file to trust."""
        return self._directory / "root.crt"

    @property
    def _key(self) -> Path:
        return self._directory / "root.key"

    def certificate_for(self, domains: tuple[str, ...], *, now: datetime | None = None) -> Certificate:
        """A certificate for the domains: the one on disk until two thirds of its life are over, else a new one.

        Names beyond the root's limits make it self-signed: browsers warn until a public authority has signed one.
        """
        moment = now or datetime.now(UTC)
        path = self._directory / "leaves" / f"{domains[0].replace('*', '_')}.pem"
        root = self._root(moment)
        kept = _load(path)
        if kept is None or not _good(kept, domains, moment, root[0]):
            private_directory(path.parent)
            write_atomic(path, _issue(domains, moment, root if all(map(is_local, domains)) else None))
            kept = path.read_text()
        key, chain = _split(kept)
        return Certificate(domains, chain, Secret(key))

    def _root(self, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """From disk, or made anew when missing, unreadable or within a leaf's life of its end."""
        try:
            cert = x509.load_pem_x509_certificate(self.root.read_bytes())
            key = serialization.load_pem_private_key(self._key.read_bytes(), None)
        except (OSError, ValueError):
            return self._make_root(now)
        ends = cert.not_valid_after_utc - LEAF_LIFE
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != cert.public_key() or now > ends:
            return self._make_root(now)
        return cert, key

    def _make_root(self, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
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
        private_directory(self._directory)
        write_atomic(self._key, _key_pem(key))
        write_atomic(self.root, cert.public_bytes(serialization.Encoding.PEM), mode=0o644)
        return cert, key

    def ensure(self) -> Path:
        """Make the root when there is none; its path."""
        self._root(datetime.now(UTC))
        return self.root

    def trust_command(self) -> Trust:
        """What a user runs once, on this system, to trust the root; the root is made when there is none."""
        return trust(self.ensure(), platform.system(), _distribution())


def trust(root: Path, system: str, family: str) -> Trust:
    """`system` as `platform.system()` says it; `family` as ID and ID_LIKE of /etc/os-release."""
    nss = (
        "Chrome and Firefox on Linux keep stores of their own: "
        f'certutil -d sql:"$HOME/.pki/nssdb" -A -t C,, -n golive -i {root}'
    )
    if system == "Darwin":
        store = "/Library/Keychains/System.keychain"
        return Trust(f"sudo security add-trusted-cert -d -r trustRoot -k {store} {root}", ())
    if any(word in family for word in ("fedora", "rhel", "suse", "arch")):
        return Trust(f"sudo trust anchor {root}", (nss,))
    target = "/usr/local/share/ca-certificates/golive.crt"
    return Trust(f"sudo install -m 644 {root} {target} && sudo update-ca-certificates", (nss,))


def _distribution() -> str:
    try:
        found = platform.freedesktop_os_release()
    except OSError:
        return ""
    return f"{found.get('ID', '')} {found.get('ID_LIKE', '')}"


def _issue(
    domains: tuple[str, ...], now: datetime, root: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None
) -> str:
    """Key, leaf and (when signed by it) root as one PEM text."""
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
    chain = [leaf, root[0]] if root else [leaf]
    return _key_pem(key) + "".join(c.public_bytes(serialization.Encoding.PEM).decode() for c in chain)


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


def _load(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def _split(text: str) -> tuple[str, str]:
    """A leaf's file as key and chain."""
    mark = "-----END PRIVATE KEY-----\n"
    key, _, chain = text.partition(mark)
    return key + mark, chain


def _good(text: str, domains: tuple[str, ...], now: datetime, root: x509.Certificate) -> bool:
    """Whether a leaf is for these names, not two thirds through its life, and from this root if from any."""
    try:
        leaf, *rest = x509.load_pem_x509_certificates(_split(text)[1].encode())
    except ValueError:
        return False
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    fresh = begins <= now < begins + (ends - begins) * RENEW_AFTER
    wanted = x509.SubjectAlternativeName([_general_name(d) for d in domains])
    return names == wanted and fresh and rest == ([root] if all(map(is_local, domains)) else [])
