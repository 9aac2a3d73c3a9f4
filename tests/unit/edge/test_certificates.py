"""When a certificate is renewed, when an order is tried again, and which files may serve."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from golive.edge.ca import LocalCA
from golive.edge.certificates import Attempt, CertificateStore, after_failure
from golive.edge.inspection import brought, inspect
from golive.edge.issuing import signed
from golive.edge.model import Challenge, EdgeConfig, Site
from golive.edge.resource import Layout
from golive.edge.routes import render_routes
from golive.errors import UsageError
from golive.secret import Secret

NOW = datetime.now(UTC)
MARK = "-----BEGIN CERTIFICATE-----"


def made(*names: str, at: datetime = NOW) -> tuple[str, Secret]:
    """A chain that signed itself, and its key."""
    leaf = signed(names, at)
    return leaf.chain, Secret(leaf.key)


def test_pauses_double_up_to_a_day_and_an_authority_makes_them_longer() -> None:
    pauses = [after_failure(Attempt(tries, 0), "", 0, None).next_at / 60 for tries in (1, 2, 3, 4, 20, 10_000)]
    assert pauses == [5, 10, 20, 40, 1440, 1440]
    assert after_failure(Attempt(1, 0), "", 0, 3600).next_at == 3600
    assert after_failure(Attempt(20, 0), "", 0, 60).next_at == 86400
    assert after_failure(Attempt(1, 0), "", 0, 3600).asked
    # Let's Encrypt forgives five failures of a name in an hour.
    moments, now = [], 0.0
    for tries in range(1, 10):
        moments.append(now)
        now = after_failure(Attempt(tries, 0), "", now, None).next_at
    assert len([m for m in moments if m < 3600]) <= 4


def test_renewal_is_at_two_thirds_and_not_of_all_on_one_day() -> None:
    moments = set()
    for _ in range(20):
        kept = inspect(*made("a.dev"))
        share = (kept.renew_at() - kept.begins) / (kept.ends - kept.begins)
        assert 2 / 3 <= share <= 2 / 3 + 1 / 24
        moments.add(kept.renew_at().date())
    assert len(moments) > 1


def test_a_file_is_kept_for_each_name_and_ones_own_comes_first(tmp_path: Path) -> None:
    store = CertificateStore(tmp_path / "certificates")
    assert store.serving("a.dev") is None
    chain, key = made("a.dev", "b.dev")
    store.keep(("a.dev", "b.dev"), chain, key, own=False)
    for name in ("a.dev", "b.dev"):
        found = store.serving(name)
        assert found is not None
        assert (found.names, found.chain) == ((name,), chain)
        assert found.key.reveal().strip() == key.reveal().strip()
    wild, its = made("*.b.dev")
    store.keep(("*.b.dev",), wild, its, own=True)
    own, also = made("b.dev")
    store.keep(("b.dev",), own, also, own=True)
    kept = store.find("b.dev")
    assert kept is not None
    assert kept.own
    assert kept.certificate.chain == own
    inside = store.serving("x.b.dev")
    assert inside is not None
    assert inside.chain == wild
    assert store.serving("x.y.b.dev") is None
    assert store.remove_own("b.dev")
    assert not store.remove_own("b.dev")
    again = store.find("b.dev")
    assert again is not None
    assert not again.own


def test_a_damaged_file_is_as_if_there_were_none(tmp_path: Path) -> None:
    store = CertificateStore(tmp_path)
    store.keep(("a.dev",), *made("a.dev"), own=False)
    (tmp_path / "acme/a.dev.pem").write_text("x" * 100)
    assert store.serving("a.dev") is None
    (tmp_path / "attempts.json").write_text("[1]")
    assert store.attempts() == {}
    store.note({"a.dev": Attempt(1, 2.0, "why"), "b.dev": None})
    assert store.attempts() == {"a.dev": Attempt(1, 2.0, "why")}
    store.note({"a.dev": None})
    assert store.attempts() == {}


def test_what_nobody_serves_any_more_goes_when_it_has_ended(tmp_path: Path) -> None:
    store = CertificateStore(tmp_path)
    for name, age in (("gone.dev", 91), ("back.dev", 10), ("kept.dev", 91)):
        store.keep((name,), *made(name, at=NOW - timedelta(days=age)), own=False)
    store.keep(("own.dev",), *made("own.dev", at=NOW - timedelta(days=91)), own=True)
    past, future = NOW.timestamp() - 1, NOW.timestamp() + 1
    store.note({"gone.dev": Attempt(1, past), "back.dev": Attempt(1, future), "kept.dev": Attempt(1, past)})
    store.prune({"kept.dev"}, NOW)
    assert sorted(p.stem for p in (tmp_path / "acme").iterdir()) == ["back.dev", "kept.dev"]
    assert store.find("own.dev") is not None
    assert set(store.attempts()) == {"back.dev", "kept.dev"}


@pytest.mark.parametrize(
    ("what", "domain", "at", "of_another"),
    [
        ("not for c.dev", "c.dev", NOW, False),
        ("expired on", "a.dev", NOW - timedelta(days=91), False),
        ("valid only from", "a.dev", NOW + timedelta(days=2), False),
        ("the key is not that of the certificate", "a.dev", NOW, True),
    ],
)
def test_what_somebody_brings_is_checked(what: str, domain: str, at: datetime, of_another: bool) -> None:
    chain, key = made("a.dev", at=at)
    with pytest.raises(UsageError, match=what):
        brought(chain, made("a.dev")[1] if of_another else key, domain)


def test_files_that_are_something_else_are_named() -> None:
    chain, key = made("a.dev")
    with pytest.raises(UsageError, match="the certificate cannot be read"):
        inspect(key.reveal(), key)
    with pytest.raises(UsageError, match="the key cannot be read"):
        inspect(chain, Secret(chain))
    with pytest.raises(UsageError, match="the chain is broken"):
        inspect(chain + made("b.dev")[0], key)
    _, notes = brought(chain, key, "a.dev")
    assert notes == ("it signed itself: browsers warn of it",)
    locked = serialization.load_pem_private_key(key.reveal().encode(), None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(b"words"),
    )
    with pytest.raises(UsageError, match="the key cannot be read") as caught:
        inspect(chain, Secret(locked.decode()))
    assert caught.value.why == "it asks for a passphrase"


def test_what_is_questionable_of_a_brought_one_is_said(tmp_path: Path) -> None:
    made_by = LocalCA(tmp_path).certificate_for(("a.localhost",))
    leaf = MARK + made_by.chain.split(MARK)[1]
    _, notes = brought(leaf, made_by.key, "a.localhost")
    assert len(notes) == 1
    assert "the file has only the certificate" in notes[0]
    _, notes = brought(*made("a.dev", at=NOW - timedelta(days=89)), "a.dev")
    assert any("golive cannot renew it" in note for note in notes)


def test_one_that_has_ended_is_served_until_there_is_another(tmp_path: Path) -> None:
    store = CertificateStore(tmp_path)
    store.keep(("a.dev",), *made("a.dev", at=NOW - timedelta(days=91)), own=False)
    kept = store.find("a.dev")
    assert kept is not None
    assert kept.ends < NOW
    assert kept.renew_at() < NOW
    assert store.serving("a.dev") is not None


def test_a_challenge_is_answered_for_its_domain_only_and_before_the_redirect() -> None:
    site = Site("shop", "production", ("a.dev", "b.dev"), ())
    challenge = Challenge("a.dev", "/.well-known/acme-challenge/token", "token.thumb")
    layout = Layout(Path("/edge"), Path("/admin"), 80, 443)
    (made,) = render_routes(EdgeConfig((site,), challenges=(challenge,)), layout, tls=False)["resources"]
    hosts = {tuple(host["domains"]): host["routes"][1:] for host in made["virtual_hosts"]}
    first, *rest = hosts["a.dev",]
    assert first["match"] == {"path": challenge.path}
    assert first["direct_response"]["body"] == {"inline_string": "token.thumb"}
    assert [r["match"] for r in rest] == [{"prefix": "/"}]
    assert all(r["match"] == {"prefix": "/"} for r in hosts["b.dev",])
    tls = render_routes(EdgeConfig((site,), challenges=(challenge,)), layout, tls=True)
    assert "token" not in str(tls)
