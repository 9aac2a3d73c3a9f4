"""Names shown by DNS: a real authority that asks a real name server, by signed updates and by a program."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from golive.edge.acme import Authority, Order, Outcome, issue
from golive.edge.dns01 import Showing, shown
from golive.edge.inspection import inspect
from golive.errors import GoliveError
from golive.secret import Secret
from golive.system import ports
from nameserver import SECRET, NameServer, nameserver
from pebble import Pebble, pebble

NAMES = ("shop.test", "*.shop.test")
CHALLENGE = "_acme-challenge.shop.test"
HOOK = """
import os, sys
import dns.query, dns.tsigkeyring, dns.update
verb, name, value = sys.argv[2:]
keys = dns.tsigkeyring.from_text({"golive": os.environ["DNS_KEY"]})
update = dns.update.UpdateMessage("shop.test", keyring=keys, keyalgorithm="hmac-sha256.")
if sys.argv[1] == "fails":
    sys.exit("no zone for " + os.environ["DNS_KEY"])
at = name.removesuffix(".shop.test")
update.add(at, 60, "TXT", value) if verb == "add" else update.delete(at, "TXT", value)
with open("calls", "a") as file:
    print(verb, name, value, file=file)
dns.query.tcp(update, "127.0.0.1", 5, int(sys.argv[1])).rcode() == 0 or sys.exit("refused")
"""


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NameServer]:
    """The zone hands the challenges of one name over to another."""
    alias = "_acme-challenge.alias 60 CNAME other"
    with nameserver(tmp_path_factory.mktemp("knot"), "shop.test", alias) as found:
        yield found


@pytest.fixture(scope="module")
def authority(names: NameServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    with pebble(tmp_path_factory.mktemp("pebble"), ports.choose(), nameserver=names.port, bad_nonces=30) as found:
        yield found


@pytest.fixture
def updates(names: NameServer) -> Showing:
    return Showing(
        server=names.address, key=names.key, secret=Secret(SECRET), timeout=5, resolver=f"127.0.0.1:{names.port}"
    )


@pytest.fixture
def program(names: NameServer, tmp_path: Path) -> Showing:
    (tmp_path / "hook.py").write_text(HOOK)
    return Showing(
        hook=(sys.executable, str(tmp_path / "hook.py"), str(names.port)),
        variables=(("DNS_KEY", Secret(SECRET)),),
        folder=tmp_path,
        timeout=5,
        resolver=f"127.0.0.1:{names.port}",
    )


async def order(authority: Pebble, folder: Path, how: Showing, *domains: str) -> Outcome:
    whom = Authority(authority.directory, ca_file=str(authority.ca_file))
    return await issue(Order(domains or NAMES, (whom,), folder / "accounts", 1, how), lambda _: None)


async def test_a_wildcard_is_signed_by_signed_updates(
    authority: Pebble, names: NameServer, updates: Showing, tmp_path: Path
) -> None:
    """With 30 of 100 nonces refused, as an authority under load may do."""
    found = await order(authority, tmp_path, updates)
    assert found.problems == ()
    assert found.why == ""
    assert set(inspect(found.chain, found.key).certificate.names) == set(NAMES)
    assert names.texts(CHALLENGE) == set()


async def test_a_wildcard_is_signed_by_a_program(
    authority: Pebble, names: NameServer, program: Showing, tmp_path: Path
) -> None:
    found = await order(authority, tmp_path, program)
    assert set(inspect(found.chain, found.key).certificate.names) == set(NAMES)
    calls = [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    assert [(verb, name) for verb, name, _ in calls] == [("add", CHALLENGE)] * 2 + [("remove", CHALLENGE)] * 2
    assert {value for verb, _, value in calls if verb == "add"} == {v for verb, _, v in calls if verb == "remove"}
    assert names.texts(CHALLENGE) == set()


async def test_what_goes_wrong_is_said_and_shows_no_secret(
    authority: Pebble, names: NameServer, updates: Showing, program: Showing, tmp_path: Path
) -> None:
    fails = replace(program, hook=(*program.hook[:2], "fails"))
    wrong = {
        "exited with 1 (add _acme-challenge.shop.test): no zone for ••••••": fails,
        "cannot be started": replace(program, hook=("/nowhere/hook",)),
        "does not take the key golive": replace(updates, secret=Secret("bm90IHRoZSBrZXk=")),
        "no base64": replace(updates, secret=Secret("a")),
        "takes no update": replace(updates, server=f"127.0.0.1:{ports.choose()}"),
    }
    for words, how in wrong.items():
        found = await order(authority, tmp_path, how)
        assert words in found.why
        assert found.chain == ""
        assert SECRET not in found.why
    foreign = await order(authority, tmp_path, updates, "elsewhere.test")
    assert "elsewhere.test" in foreign.why
    assert names.texts(CHALLENGE) == set()


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """A name server that takes every question, and answers none."""
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams, socket.socket() as streams:
        streams.bind(("127.0.0.1", 0))
        streams.listen(64)
        datagrams.bind(streams.getsockname())
        yield f"127.0.0.1:{streams.getsockname()[1]}"


async def test_dns_that_keeps_silent_lies_or_hangs_ends_the_order_in_bounded_time(
    authority: Pebble, updates: Showing, program: Showing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("golive.edge.dns01.ANSWER", 0.1)
    monkeypatch.setattr("golive.edge.dns01.HOOK", 0.3)
    monkeypatch.setattr("golive.edge.records.TIMEOUT", 0.3)
    (tmp_path / "away").mkdir()
    quick = replace(program, hook=("/bin/true",), timeout=0.3)
    with silent() as nobody, nameserver(tmp_path / "away", "shop.test") as other:
        hangs = replace(program, hook=(sys.executable, "-c", "import time; time.sleep(60)"))
        wrong = {
            "takes no update: The DNS operation timed out": replace(updates, server=nobody),
            "DNS does not say who serves": replace(quick, resolver=nobody),
            "does not have the TXT record": replace(quick, resolver=other.address),  # another zone of that name
            "was ended after": hangs,
        }
        for words, how in wrong.items():
            found = await order(authority, tmp_path, how)
            assert words in found.why
            assert found.chain == ""
            assert SECRET not in found.why


def test_records_are_seen_at_every_server_or_it_is_said_which_lacks_them(names: NameServer, updates: Showing) -> None:
    with shown(updates, [("_acme-challenge.alias.shop.test", "here")]):
        assert names.texts("other.shop.test") == {"here"}  # the alias leads there
    assert names.texts("other.shop.test") == set()
    quick = replace(updates, timeout=0.2, hook=("/bin/true",), folder=Path("/"))
    with (
        pytest.raises(GoliveError, match=r"ns1\.shop\.test does not have the TXT record _acme-challenge\.shop\.test"),
        shown(quick, [(CHALLENGE, "nobody made it")]),
    ):
        pass
