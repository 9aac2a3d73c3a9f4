"""The local authority: what it signs, when it signs again, and what it will not vouch for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from golive.edge.ca import LocalCA, trust
from golive.edge.local import is_local

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def leaf(chain: str) -> x509.Certificate:
    return x509.load_pem_x509_certificates(chain.encode())[0]


def test_a_leaf_is_for_its_names_and_ninety_days(tmp_path: Path) -> None:
    made = LocalCA(tmp_path).certificate_for(("threadr.localhost", "*.threadr.localhost", "127.0.0.1"), now=NOW)
    cert, root = x509.load_pem_x509_certificates(made.chain.encode())
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["threadr.localhost", "*.threadr.localhost"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert cert.not_valid_after_utc == NOW + timedelta(days=90)
    cert.verify_directly_issued_by(root)
    assert "PRIVATE KEY" in made.key.reveal()
    assert "PRIVATE KEY" not in repr(made)


def test_a_client_that_trusts_the_root_accepts_the_leaf_and_no_other_name(tmp_path: Path) -> None:
    ca = LocalCA(tmp_path)
    made = ca.certificate_for(("threadr.localhost",), now=NOW)
    store = Store([x509.load_pem_x509_certificate(ca.root.read_bytes())])
    builder = PolicyBuilder().store(store).time(NOW)
    builder.build_server_verifier(x509.DNSName("threadr.localhost")).verify(leaf(made.chain), [])
    with pytest.raises(VerificationError):
        builder.build_server_verifier(x509.DNSName("other.localhost")).verify(leaf(made.chain), [])


def test_the_root_is_limited_to_names_nobody_owns(tmp_path: Path) -> None:
    root = x509.load_pem_x509_certificate(LocalCA(tmp_path).ensure().read_bytes())
    limits = root.extensions.get_extension_for_class(x509.NameConstraints)
    assert limits.critical
    assert x509.DNSName("localhost") in (limits.value.permitted_subtrees or [])
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert [is_local(n) for n in ("a.localhost", "localhost", "x.test", "192.168.1.5", "::1")] == [True] * 5
    assert [is_local(n) for n in ("example.com", "notlocalhost", "8.8.8.8", "localhost.com")] == [False] * 4


def test_other_names_are_self_signed_until_somebody_vouches_for_them(tmp_path: Path) -> None:
    made = LocalCA(tmp_path).certificate_for(("example.com",), now=NOW)
    cert = leaf(made.chain)
    cert.verify_directly_issued_by(cert)
    assert made.chain.count("BEGIN CERTIFICATE") == 1


def test_a_leaf_is_kept_until_two_thirds_of_its_life_and_its_names_last(tmp_path: Path) -> None:
    ca = LocalCA(tmp_path)
    first = ca.certificate_for(("a.localhost",), now=NOW)
    assert LocalCA(tmp_path).certificate_for(("a.localhost",), now=NOW + timedelta(days=59)) == first
    later = ca.certificate_for(("a.localhost",), now=NOW + timedelta(days=61))
    assert later != first
    more = ca.certificate_for(("a.localhost", "b.localhost"), now=NOW + timedelta(days=61))
    assert more not in (first, later)
    # A clock that was set back makes the certificate one from the future.
    assert ca.certificate_for(("a.localhost", "b.localhost"), now=NOW) != more


def test_a_root_that_is_lost_or_spoilt_is_made_again_with_its_leaves(tmp_path: Path) -> None:
    ca = LocalCA(tmp_path)
    first = ca.certificate_for(("a.localhost",), now=NOW)
    (tmp_path / "root.key").write_text("spoilt")
    second = ca.certificate_for(("a.localhost",), now=NOW)
    assert second != first
    leaf(second.chain).verify_directly_issued_by(x509.load_pem_x509_certificate(ca.root.read_bytes()))
    (tmp_path / "leaves" / "a.localhost.pem").write_text("spoilt")
    assert ca.certificate_for(("a.localhost",), now=NOW) != second


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    ca = LocalCA(tmp_path / "ca")
    ca.certificate_for(("a.localhost",), now=NOW)
    modes = {p.relative_to(tmp_path).as_posix(): oct(p.stat().st_mode & 0o777) for p in tmp_path.rglob("*")}
    assert modes == {
        "ca": "0o700",
        "ca/root.key": "0o600",
        "ca/root.crt": "0o644",
        "ca/leaves": "0o700",
        "ca/leaves/a.localhost.pem": "0o600",
    }


@pytest.mark.parametrize(
    ("system", "family", "command"),
    [
        ("Linux", "debian", "update-ca-certificates"),
        ("Linux", "ubuntu debian", "update-ca-certificates"),
        ("Linux", "rhel fedora", "sudo trust anchor /ca/root.crt"),
        ("Darwin", "", "security add-trusted-cert -d -r trustRoot"),
    ],
)
def test_one_command_trusts_the_root(system: str, family: str, command: str) -> None:
    made = trust(Path("/ca/root.crt"), system, family)
    assert command in made.command
    assert ("certutil" in " ".join(made.notes)) == (system == "Linux")
