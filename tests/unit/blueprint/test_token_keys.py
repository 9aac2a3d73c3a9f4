"""Which files of keys a blueprint may name: those of which Envoy reads at least one key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from golive.blueprint.checkout import Checkout
from golive.blueprint.document import parse_document
from golive.blueprint.resolve import resolve
from golive.errors import BlueprintError

RSA = {"kty": "RSA", "n": "AQAB", "e": "AQAB"}
EC = {"kty": "EC", "crv": "P-256", "x": "AQAB", "y": "AQAB"}
ED25519 = {"kty": "OKP", "crv": "Ed25519", "x": "AQAB"}


@pytest.mark.parametrize(
    ("keys", "wrong"),
    [
        ([RSA], None),
        ([EC, {"kty": "oct"}], None),
        ([ED25519], None),
        ([{"kty": "oct"}], "has no key that the edge reads"),
        ([{**ED25519, "crv": "X25519"}, {**EC, "crv": "secp256k1"}], "has no key that the edge reads"),
        ([{"kty": "RSA", "n": "AQAB"}, {**EC, "x": 1}, {"kty": ["RSA"]}], "has no key that the edge reads"),
        ([], "is not a set of keys"),
        ([{**RSA, "d": "AQAB"}], "holds a private key"),
    ],
)
def test_a_set_of_keys_has_one_that_the_edge_reads(tmp_path: Path, keys: list[Any], wrong: str | None) -> None:
    (tmp_path / "keys.json").write_text(json.dumps({"keys": keys}))
    text = 'name = "a"\n[services.api]\nkind = "web"\nroute = "/"\ncommand = "./api"\njwt = { jwks = "keys.json" }\n'
    try:
        resolve(parse_document(text), Checkout(tmp_path), "production")
        said = ""
    except BlueprintError as error:
        said = str(error)
    assert (f"`keys.json` {wrong}" in said) if wrong else "keys.json" not in said, said
