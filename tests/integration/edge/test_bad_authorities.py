"""Authorities that are not there, or are something else: each is said in words, and nothing is raised."""

from __future__ import annotations

from pathlib import Path

import pytest
from edge_harness import Upstreams, answer

from golive.edge.acme import Authority, Order, issue


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
