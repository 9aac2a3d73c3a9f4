"""Which names an authority is asked for, when, and what a failed order leaves behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from golive.blueprint.acme import Acme, Dns
from golive.edge.acme import LETS_ENCRYPT, STAGING, Outcome
from golive.edge.certificates import Attempt, CertificateStore
from golive.edge.issuing import signed
from golive.release.certificates import _noted, authorities, due, obstacle
from golive.secret import Secret

NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("domain", "policy", "port", "words"),
    [
        ("shop.dev", Acme(), 80, None),
        ("shop.dev", None, 80, "acme = false"),
        ("shop.localhost", Acme(), 80, "local"),
        ("10.0.0.1", Acme(), 80, "address"),
        ("*.shop.dev", Acme(), 80, "wildcard"),
        ("shop.example.com", Acme(), 80, "reserved"),
        ("shop", Acme(), 80, "reserved"),
        ("shop.dev", Acme(), 8080, "port 80"),
        ("shop.dev", Acme(email="a@b.c"), 8080, None),
        ("shop.example.com", Acme(directory="https://ca.corp/dir"), 8080, None),
        ("*.shop.dev", Acme(dns=Dns(hook=("/bin/dns",))), 8080, None),
        ("*.shop.localhost", Acme(dns=Dns(hook=("/bin/dns",))), 8080, "local"),
    ],
)
def test_nobody_is_asked_in_vain(domain: str, policy: Acme | None, port: int, words: str | None) -> None:
    found = obstacle(domain, policy, port)
    assert (found is None) if words is None else (words in (found or ""))


def test_authorities_in_their_order() -> None:
    assert [a.directory for a in authorities(Acme())] == [LETS_ENCRYPT]
    assert [a.directory for a in authorities(Acme(staging=True))] == [STAGING]
    two = Acme(directory="https://a/d", fallback=("https://b/d", "https://a/d"))
    assert [a.directory for a in authorities(two)] == ["https://a/d", "https://b/d"]


def test_an_account_made_beforehand_goes_to_its_own_authority() -> None:
    account = {"https://b/d": {"key_id": "kid", "secret_from": "HMAC"}}
    two = Acme.model_validate({"directory": "https://a/d", "fallback": ["https://b/d"], "accounts": account})
    assert [(a.key_id, a.hmac.reveal()) for a in authorities(two, {"HMAC": Secret("key")})] == [
        (None, ""),
        ("kid", "key"),
    ]
    assert not authorities(two)[1].hmac


def test_due_is_what_has_none_or_an_old_one_and_has_waited_long_enough(tmp_path: Path) -> None:
    store = CertificateStore(tmp_path)
    for name, age, own in (("fresh.dev", 1, False), ("old.dev", 70, False), ("own.dev", 70, True)):
        leaf = signed((name,), NOW - timedelta(days=age))
        store.keep((name,), leaf.chain, Secret(leaf.key), own=own)
    store.note({"waits.dev": Attempt(1, NOW.timestamp() + 1), "waited.dev": Attempt(1, NOW.timestamp() - 1)})
    names = ["fresh.dev", "old.dev", "own.dev", "new.dev", "waits.dev", "waited.dev"]
    assert due(store, names, NOW) == ["old.dev", "new.dev", "waited.dev"]


def test_only_the_names_to_blame_wait() -> None:
    begun = {"a.dev": Attempt(1, 0), "b.dev": Attempt(3, 0)}
    assert _noted(Outcome(chain="pem"), begun, 0) == {"a.dev": None, "b.dev": None}
    blamed = _noted(Outcome(problems=(("b.dev", "no such name"),)), begun, 0)
    assert blamed == {"a.dev": None, "b.dev": Attempt(3, 1200.0, "no such name")}
    away = _noted(Outcome(why="away", retry_after=7200), begun, 0)
    assert away == {"a.dev": Attempt(1, 7200.0, "away", True), "b.dev": Attempt(3, 7200.0, "away", True)}
