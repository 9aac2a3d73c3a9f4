"""Authorities that are not there, or are something else: each is said in words, and nothing is raised."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest
from edge_harness import Upstreams, answer

from golive.edge.acme import Authority, Order, issue
from golive.edge.dns01 import Showing
from golive.secret import Secret
from golive.system import ports
from nameserver import SECRET, nameserver
from pebble import pebble


async def why(folder: Path, *authorities: Authority) -> str:
    outcome = await issue(Order(("shop.test",), authorities, folder / "accounts", 80), lambda _: None)
    assert outcome.chain == ""
    assert outcome.problems == ()
    return outcome.why


async def test_each_is_said_in_words(tmp_path: Path) -> None:
    away = Authority("https://127.0.0.1:1/dir")
    assert await why(tmp_path, away) == "127.0.0.1:1 cannot be asked: Connection refused"
    lost = Authority("https://127.0.0.1:1/dir", ca_file="/nowhere/ca.pem")
    assert await why(tmp_path, lost) == "127.0.0.1:1 is not asked: there is no ca_file /nowhere/ca.pem"
    assert (await why(tmp_path, away, lost)).count("127.0.0.1:1") == 2


@pytest.mark.parametrize("reply", [b"<html>", b"{}", b"[]", b'{"newNonce": 1}'])
async def test_what_is_no_acme_is_said(tmp_path: Path, upstreams: Upstreams, reply: bytes) -> None:
    endpoint = await upstreams.serve(answer(reply, content_type="application/json"))
    assert "no ACME" in await why(tmp_path, Authority(f"http://127.0.0.1:{endpoint.port}/dir"))


async def test_an_account_made_beforehand_is_bound_or_it_is_said_what_is_wrong(tmp_path: Path) -> None:
    hmac = base64.urlsafe_b64encode(b"32 bytes that only a test has, ok").decode().rstrip("=")
    with nameserver(tmp_path, "bound.test") as names:
        folder = tmp_path / "pebble"
        folder.mkdir()
        with pebble(folder, ports.choose(), nameserver=names.port, accounts={"kid": hmac}, reuse=100) as found:
            at = Authority(found.directory, ca_file=str(found.ca_file))
            dns = Showing(server=names.address, key=names.key, secret=Secret(SECRET), timeout=5, resolver=names.address)
            wrong = base64.urlsafe_b64encode(b"x" * 32).decode().rstrip("=")
            for words, authority in {
                "made beforehand": at,
                "has no value": replace(at, key_id="kid"),
                "takes no account": replace(at, key_id="kid", hmac=Secret(wrong)),
                "no base64url": replace(at, key_id="kid", hmac=Secret("a")),
            }.items():
                assert words in await why(tmp_path, authority)
            bound = replace(at, key_id="kid", hmac=Secret(hmac))
            for _ in range(2):  # made, and found again, with the name that was shown before
                outcome = await issue(
                    Order(("bound.test",), (at, bound), tmp_path / "accounts", 1, dns), lambda _: None
                )
                assert outcome.why == ""
                assert outcome.chain
