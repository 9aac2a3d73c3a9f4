"""What golive debug says of sites with one thing wrong each: CORS as browsers decide it, TLS, DNS, where time goes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from faults_server import Good, Request, Response, authority, certificate, served
from test_faults_of_dns import GOOD, resolving

from golive.checks.debug import cors, dns, request, tls
from golive.checks.debug.account import Account
from golive.checks.model import Unanswered
from golive.checks.site import address
from golive.checks.web import Exchange
from golive.edge import records
from golive.errors import UsageError

OWN = "https://app.tea.test"


def failed(account: Account) -> dict[str, str]:
    return {step.about: step.seen for step in account.steps if step.state == "failed"}


async def asked_across(site: Good, origin: str = OWN, **more: object) -> Account:
    async with served(site, None) as port:
        return await cors.cors(address(f"http://127.0.0.1:{port}/health"), origin, **more)  # type: ignore[arg-type]


async def test_a_request_and_where_its_time_went() -> None:
    def moved(asked: Request, response: Response) -> None:
        if asked.path == "/old":
            response.status, response.headers["location"] = 308, "/health"

    site = Good(changes=[moved], pause=0.05)
    async with served(site, None) as port:
        account = await request.request(address(f"http://localhost:{port}/old"))
    assert account.verdict.startswith("200 OK after ")
    assert not account.failed
    assert [step.seen for step in account.steps if step.about.startswith("GET ")] == [
        "HTTP/1.1 308 OK → /health",
        "HTTP/1.1 200 OK",
    ]
    names = [phase.name for phase in account.phases]
    assert names.index("connect 1") < names.index("wait 1") < names.index("wait 2")
    assert "connect 2" not in names
    assert all(phase.took >= 0.05 for phase in account.phases if phase.name.startswith("wait"))
    ends = [phase.began + phase.took for phase in account.phases]
    assert all(abs(phase.began - end) < 0.001 for phase, end in zip(account.phases[1:], ends, strict=False))


async def test_a_refusal_is_explained_and_a_silent_port_is_said() -> None:
    site = Good(limit=0)
    async with served(site, None) as port:
        account = await request.request(address(f"http://127.0.0.1:{port}/health"), headers={"x-one": "1"})
    assert account.failed
    assert account.steps[0].means.startswith("a limit is used up")
    assert "retry-after: 1" in account.steps[1].seen
    assert site.asked[0].headers["x-one"] == "1"
    with pytest.raises(Unanswered, match="nothing listens there"):
        await request.request(address(f"http://127.0.0.1:{port}/"))


def test_headers_that_are_none_are_refused_without_their_value() -> None:
    assert request.headers_of(("X-One: 1", "accept:  text/html ")) == {"x-one": "1", "accept": "text/html"}
    for line in ("no header: hunter2", ": hunter2", "x-key: hunter2\r\nx-other: 1"):
        with pytest.raises(UsageError) as raised:
            request.headers_of((line,))
        assert "hunter2" not in str(raised.value.to_json())


def test_a_waterfall_has_the_lookup_apart_from_the_connection() -> None:
    seconds = {"dns": 0.1, "connect": 0.25, "tls": 0.2, "first": 0.4, "body": 0.15, "whole": 2.0}
    hop = Exchange("GET", "https://tea.test/", (), 200, "OK", "HTTP/2", (), b"", False, seconds)
    assert [(p.name, p.began, p.took) for p in request.waterfall([hop])] == [
        ("DNS", 0.0, 0.1),
        ("connect", 0.1, 0.15),
        ("TLS", 0.25, 0.2),
        ("wait", 0.45, 0.4),
        ("body", 0.85, 0.15),
    ]


async def test_cors_that_is_right() -> None:
    site = Good()
    account = await asked_across(site)
    assert (account.verdict, account.failed) == ("yes", False)
    assert [r.method for r in site.asked] == ["GET"]

    def allow(asked: Request, response: Response) -> None:
        response.headers |= {"access-control-allow-methods": "PUT", "access-control-allow-headers": "Content-Type"}

    site = Good(changes=[allow])
    account = await asked_across(site, method="PUT", headers=["content-type"])
    assert account.verdict == "yes"
    assert [r.method for r in site.asked] == ["OPTIONS"]  # the request itself would change something
    assert site.asked[0].headers["access-control-request-method"] == "PUT"


async def test_the_same_origin_is_not_asked() -> None:
    site = Good()
    async with served(site, None) as port:
        at = f"http://127.0.0.1:{port}"
        assert (await cors.cors(address(at), at)).verdict.startswith("yes: it is the same origin")
    assert site.asked == []


def header(name: str, value: str) -> Good:
    return Good(changes=[lambda _, response: response.headers.update({name: value})])


def login_first(asked: Request, response: Response) -> None:
    if asked.method == "OPTIONS":
        response.status = 401


PUT_WITH_COOKIES = {"method": "PUT", "credentials": True}
SIGNED_IN = {"headers": ["authorization"]}


@pytest.mark.parametrize(
    ("site", "more", "about", "seen"),
    [
        (Good(origins=[]), {}, "origin", "no Access-Control-Allow-Origin"),
        (header("access-control-allow-origin", f"{OWN}/"), {}, "origin", f"{OWN}/ is allowed, {OWN} is not"),
        (header("access-control-allow-origin", f"{OWN}, {OWN}"), {}, "origin", f"{OWN}, {OWN} are two"),
        (header("access-control-allow-origin", "*"), {"credentials": True}, "origin", "* with credentials"),
        (Good(), {"credentials": True}, "credentials", "no Access-Control-Allow-Credentials: true"),
        (Good(), {"method": "DELETE"}, "method", "DELETE is not among none"),
        (header("access-control-allow-methods", "*"), PUT_WITH_COOKIES, "method", "PUT is not among *"),
        (Good(), {"headers": ["X-Key"]}, "header", "x-key is not among none"),
        (header("access-control-allow-headers", "*"), SIGNED_IN, "header", "authorization is not among *"),
        (Good(changes=[login_first]), SIGNED_IN, "preflight", "OPTIONS answers 401"),
    ],
)
async def test_what_a_browser_refuses_is_named(site: Good, more: dict[str, object], about: str, seen: str) -> None:
    account = await asked_across(site, **more)
    assert failed(account)[about] == seen
    assert account.verdict.startswith("no: ")
    assert all(step.means for step in account.steps if step.state == "failed")


async def test_tls_that_is_right_and_what_is_wrong_with_it(tmp_path: Path) -> None:
    root, signer = authority(tmp_path)
    async with served(Good(), certificate(tmp_path, signed=signer)) as port:
        account = await tls.handshakes("localhost", port, (root,))
        assert (account.verdict, failed(account)) == ("well", {})
        assert {step.about: step.seen for step in account.steps}["TLS 1.0"] == "refused"
        assert set(failed(await tls.handshakes("localhost", port))) == {"trust"}
    async with served(Good(), certificate(tmp_path, names=("other.test",), signed=signer)) as port:
        assert failed(await tls.handshakes("localhost", port, (root,)))["names"] == "other.test"

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        account = await tls.handshakes("localhost", server.sockets[0].getsockname()[1])
    assert account.steps[0].means == "it speaks plain HTTP there"


async def test_names_by_the_resolver_and_by_the_zones_own_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def of_zone(domain: str, resolver: object) -> list[tuple[str, str]]:
        return [("ns1.tea.example", "127.0.0.1"), ("ns2.elsewhere.example", "127.0.0.1")]

    said = iter(["93.184.216.34", "198.51.100.7"])

    async def ask(domain: str, server: str, *_: object) -> records.Answer:
        return records.Answer(server, frozenset({next(said), "2606:2800:220:1:248:1893:25c8:1946"}))

    import dns.asyncresolver as asyncresolver

    async with resolving(GOOD, monkeypatch):
        at = asyncresolver.default_resolver
        assert at is not None
        resolver = ("127.0.0.1", at.port)
        unknown = await dns.names("nobody.example", resolver)
        monkeypatch.setattr(records, "name_servers", of_zone)
        monkeypatch.setattr(records, "ask", ask)
        found = await dns.names("tea.example", resolver)
    assert failed(unknown)["address"] == "none"
    assert {step.about: step.seen for step in found.steps}["A"] == "93.184.216.34"
    assert {step.about: step.state for step in found.steps}["ns1.tea.example"] == "ok"
    assert failed(found) == {"name servers": "they do not agree"}
