"""Which findings stop a deploy, and what is said of them."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from golive.blueprint.faults import validate
from golive.blueprint.models import AllowedSecret
from golive.build.finding import VALUE, Finding, Place, excerpt, fingerprint, judge
from golive.build.needles import distinctive, forms
from golive.build.shapes import harmless
from golive.release.secrets import refusal, telling

TOKEN = Finding("work tree", "src/pay.py", 3, 9, "stripe-access-token", "f00dfeed0123", "sk_live_… (32 characters)")
OWN = Finding("work tree", "src/pay.py", 3, 9, VALUE, "0", name="API_KEY")


def token(claims: dict[str, object]) -> str:
    head, body = (base64.urlsafe_b64encode(json.dumps(x).encode()).decode().rstrip("=") for x in ({"alg": "x"}, claims))
    return f"{head}.{body}.signature"


@pytest.mark.parametrize(
    "file",
    ["tests/pay.py", "web/src/pay.test.ts", "api/test_pay.py", "pay_test.go", ".env.example", "a/__mocks__/b.js",
     "fixtures/key.pem", "web/e2e/login.ts"],
)  # fmt: skip
def test_tokens_in_tests_are_told_and_the_apps_own_values_stop(file: str) -> None:
    verdict = judge([replace(TOKEN, file=file), replace(OWN, file=file)], ())
    assert [f.rule for f in verdict.told] == [TOKEN.rule]
    assert [f.rule for f in verdict.stops] == [VALUE]


@pytest.mark.parametrize(
    "file", ["src/attest.py", "contest/a.py", "latest.js", "public/index.html", "README.md", ".env"]
)
def test_what_only_sounds_like_a_test_stops(file: str) -> None:
    assert judge([replace(TOKEN, file=file)], ()).stops


@pytest.mark.parametrize("place", ["bundle", "log"])
def test_what_browsers_get_and_what_a_build_says_is_no_test(place: Place) -> None:
    assert judge([replace(TOKEN, place=place, file="tests/app.js")], ()).stops


def test_what_harms_nobody_is_told() -> None:
    assert judge([replace(TOKEN, mild="it has expired")], ()).told


@pytest.mark.parametrize(
    ("entry", "fits"),
    [
        ({"fingerprint": "f00dfeed0123"}, True),
        ({"fingerprint": "f00dfeed0124"}, False),
        ({"path": "src/"}, True),
        ({"path": "*.py"}, True),
        ({"path": "/pay.py"}, False),
        ({"rule": "stripe-access-token"}, True),
        ({"rule": "stripe-access-token", "path": "docs/**"}, False),
        ({"rule": "stripe-access-token", "path": "src/**"}, True),
    ],
)
def test_an_entry_allows_what_all_its_keys_fit(entry: dict[str, str], fits: bool) -> None:
    verdict = judge([TOKEN], [AllowedSecret(because="revoked", **entry)])
    assert (bool(verdict.allowed), bool(verdict.stops)) == (fits, not fits)


def test_an_entry_has_to_say_what_it_allows() -> None:
    with pytest.raises(ValueError, match="needs `fingerprint`"):
        AllowedSecret(because="all of it")


def test_faults_of_an_entry_are_told_with_the_others() -> None:
    table = {
        "name": "a",
        "services": {"a": {"kind": "static"}},
        "secrets": {"allow": [{"path": "x"}, {"because": "y"}]},
    }
    _, faults = validate(table)
    assert [(f.path, f.message) for f in faults] == [
        (("secrets", "allow", 0, "because"), "is required"),
        (("secrets", "allow", 1), "needs `fingerprint`, `path` or `rule`"),
    ]


def test_the_refusal_names_every_file_line_and_commit_and_what_to_do() -> None:
    past = replace(TOKEN, place="history", file="old.py", commit="1234567890abcdef")
    error = refusal(judge([OWN, TOKEN, past], ()))
    assert "3 secrets stand" in error.what
    assert "src/pay.py, line 3, column 9: the value of API_KEY" in error.what
    assert "old.py, line 3, column 9, of commit 1234567890: stripe access token sk_live_…" in error.what
    assert error.where == "src/pay.py, line 3, column 9"
    assert "golive env set API_KEY" in (error.hint or "")
    assert 'fingerprint = "f00dfeed0123", because = ' in (error.hint or "")


def test_many_findings_are_not_all_listed() -> None:
    error = refusal(judge([replace(TOKEN, line=n) for n in range(1, 31)], ()))
    assert "… and 20 more: golive secrets scan" in error.what


def test_an_excerpt_tells_the_beginning_only() -> None:
    assert excerpt("abcdefghijklmnopqrstuvwxyz0123456789") == "abcdefgh… (36 characters)"
    assert excerpt("secret12") == "se… (8 characters)"
    key = "-----BEGIN RSA PRIVATE " + "KEY-----\nMIIabc\n-----END"
    assert "MII" not in excerpt(key)


def test_a_fingerprint_is_of_the_token_and_not_of_its_place() -> None:
    assert fingerprint("a", "token") == fingerprint("a", "token") != fingerprint("b", "token")


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("sk_test_" + "4eC39HqLyjWDarjtT1zdp7dc", "test mode"),
        (token({"role": "anon", "exp": 4_000_000_000}), "anon key"),
        (token({"sub": "ann", "exp": 1000}), "expired"),
        (token({"sub": "1234567890"}), "jwt.io"),
        (token({"role": "service_role", "exp": 4_000_000_000}), ""),
        ("mongodb://root:hunter2@localhost:27017/shop", "this machine"),
        ("mongodb+srv://shop:Xk29dd82@cluster0.ab1cd.mongodb.net", ""),
        ("eyJnot.json", ""),
    ],
)
def test_tokens_that_harm_nobody(secret: str, why: str) -> None:
    found = harmless(secret, now=2_000_000_000)
    assert why in found
    assert bool(found) == bool(why)


@pytest.mark.parametrize(
    "value", ["changeme", "postgres", "password", "12345678", "aaaaaaaaaaaa", "<your-key>", "short", ""]
)
def test_values_that_are_words_are_not_looked_for(value: str) -> None:
    assert not distinctive(value)


@pytest.mark.parametrize("value", ["hunter2-and-more", "a8f5f167f44f4964", "correcthorsebatterystaple"])
def test_values_that_can_only_be_the_secret_are(value: str) -> None:
    assert distinctive(value)
    assert base64.b64encode(value.encode()).rstrip(b"=")[:-1] in b" ".join(forms(value))


def test_of_an_address_the_password_is_the_secret() -> None:
    assert telling("postgres://shop:Xk29dd82%21@db.example:5432/shop") == "Xk29dd82!"
    assert telling("postgres://shop@db.example/shop") == "postgres://shop@db.example/shop"
    assert telling("plain-value") == "plain-value"
