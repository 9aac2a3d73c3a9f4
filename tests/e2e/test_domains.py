"""Public domains as users have them: certificates of a real authority, asked for, renewed and refused."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from e2e_apps import MakeApp
from e2e_harness import App, Golive, new_home, until

from golive.edge.ca import LocalCA
from golive.edge.certificates import CertificateStore
from golive.edge.issuing import signed
from golive.secret import Secret
from nameserver import SECRET, nameserver
from pebble import Pebble, pebble

SITE = """
[services.site]
kind = "static"
source = "site"
"""


@pytest.fixture(scope="module")
def home() -> Iterator[Golive]:
    with new_home() as golive:
        yield golive


@pytest.fixture(scope="module")
def authority(home: Golive, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    with pebble(tmp_path_factory.mktemp("pebble"), home.http_port) as found:
        yield found


def of_domains(make: MakeApp, home: Golive, names: list[str], policy: str) -> App:
    """A static site on these domains. Domains come before the tables of the file."""
    app = make(home, toml=f"domains = {json.dumps(names)}\n{SITE}", services=(), extra=f"\n[edge]\nacme = {policy}\n")
    app.write("site/index.html", "hello")
    return app


def acme(url: str, ca_file: Path, fallback: str = "") -> str:
    """`[edge] acme`."""
    second = f'fallback = ["{fallback}"], ' if fallback else ""
    return f'{{ directory = "{url}", {second}ca_file = "{ca_file}" }}'


def served(home: Golive, domain: str) -> x509.Certificate:
    """The certificate that the edge shows for a domain."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", home.https_port), 5)
    with context.wrap_socket(plain, server_hostname=domain) as tls:
        return x509.load_der_x509_certificate(tls.getpeercert(True) or b"")


def row(app: App, domain: str) -> dict[str, object]:
    found: dict[str, object] = app.golive.api.get("/v1/domains", app=app.name)["domains"][domain]
    return found


def trusted(home: Golive, domain: str, root: str) -> ssl.SSLSocket:
    """A connection whose certificate was checked: chain, name, dates."""
    context = ssl.create_default_context(cadata=root)
    plain = socket.create_connection(("127.0.0.1", home.https_port), 5)
    return context.wrap_socket(plain, server_hostname=domain)


def ask(connection: ssl.SSLSocket, domain: str) -> bytes:
    connection.sendall(f"GET / HTTP/1.1\r\nhost: {domain}\r\n\r\n".encode())
    return connection.recv(65536)


def test_an_authority_signs_and_renews_while_connections_stay(
    home: Golive, authority: Pebble, make_app: MakeApp
) -> None:
    names = ["shop.golive-test.dev", "www.shop.golive-test.dev"]
    app = of_domains(make_app, home, names, acme(authority.directory, authority.ca_file))
    app.up().ok()
    until("a certificate", lambda: all(row(app, name)["certificate"] == "acme" for name in names))
    root = authority.root()
    until("the edge has it", lambda: "Pebble" in served(home, names[1]).issuer.rfc4514_string())
    with contextlib.ExitStack() as stack:
        open_ones = [stack.enter_context(trusted(home, names[0], root)) for _ in range(20)]
        assert all(b"200 OK" in ask(one, names[0]) for one in open_ones)
        before = connections(home)
        assert before["active"] >= len(open_ones)
        first = served(home, names[0])
        comers = stack.enter_context(arriving(home, names[0]))
        san = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert set(san.get_values_for_type(x509.DNSName)) == set(names)
        _age(home, names)
        home.api.send("POST", "/v1/domains/retry", {"app": app.name, "domains": names})
        until("another certificate", lambda: new_from(home, names[0], first))
        seen = len(comers)
        until("some more visitors", lambda: len(comers) > seen + 5)
        assert all(b"200 OK" in ask(one, names[0]) for one in open_ones)
        after = connections(home)
        assert after["active"] >= len(open_ones)
        assert after["cut"] == before["cut"], "the edge itself has ended none"
        assert after["draining"] == 0, "the listener is the same"
        assert set(comers) == {True}, "and nobody who came meanwhile was refused"
    shown = app.command("domain", "ls").ok().out
    assert "Pebble" in shown
    assert "no new certificate" not in app.command("status").ok().out
    for path in (home.home.certificates, *home.home.certificates.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.nightly
def test_it_is_renewed_by_itself_at_two_thirds_of_its_life(home: Golive, make_app: MakeApp, tmp_path: Path) -> None:
    """Of certificates that live for 45 seconds."""
    name = "short.golive-test.dev"
    with pebble(tmp_path, home.http_port, life=45) as authority:
        app = of_domains(make_app, home, [name], acme(authority.directory, authority.ca_file))
        app.up().ok()
        until("a certificate", lambda: row(app, name)["certificate"] == "acme")
        until("the edge has it", lambda: "Pebble" in served(home, name).issuer.rfc4514_string())
        first, due = served(home, name), float(str(row(app, name)["renew_at"]))
        life = first.not_valid_after_utc - first.not_valid_before_utc
        assert 2 / 3 <= (due - first.not_valid_before_utc.timestamp()) / life.total_seconds() <= 2 / 3 + 1 / 24
        until("another certificate", lambda: new_from(home, name, first), timeout=120)
        again = served(home, name)
        assert due - 1 <= again.not_valid_before_utc.timestamp(), "not before it was due"
        assert time.time() < first.not_valid_after_utc.timestamp(), "and not too late"
        assert row(app, name)["trouble"] is None


def connections(home: Golive) -> dict[str, int]:
    """As Envoy counts them: open ones, those that it has ended by itself, listeners that are about to go."""
    transport = httpx.HTTPTransport(uds=str(home.home.run / "edge/envoy.sock"))
    with httpx.Client(transport=transport) as client:
        stats = client.get("http://edge/stats", params={"format": "json"}).json()["stats"]
    values = {each["name"]: each.get("value") for each in stats if "name" in each}

    def total(end: str) -> int:
        return sum(value for name, value in values.items() if name.startswith("http.https") and name.endswith(end))

    draining = values["listener_manager.total_listeners_draining"]
    return {
        "active": total(".downstream_cx_active"),
        "cut": total(".downstream_cx_destroy_local"),
        "draining": draining,
    }


@contextlib.contextmanager
def arriving(home: Golive, domain: str) -> Iterator[list[bool]]:
    """Visitors one after the other, each with a connection of its own; whether each was served."""
    found: list[bool] = []
    over = threading.Event()

    def visit() -> None:
        while not over.is_set():
            try:
                found.append(b"200 OK" in app_page(home, domain))
            except OSError:
                found.append(False)

    thread = threading.Thread(target=visit)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def new_from(home: Golive, domain: str, before: x509.Certificate) -> bool:
    now = served(home, domain)
    return now.issuer == before.issuer and now.serial_number != before.serial_number


def _age(home: Golive, names: list[str], days: int = 80) -> None:
    """Certificates of 90 days that are so old, where those of the authority are."""
    leaf = signed(tuple(names), datetime.now(UTC) - timedelta(days=days))
    CertificateStore(home.home.certificates).keep(tuple(names), leaf.chain, Secret(leaf.key), own=False)


def test_an_authority_that_is_away_or_refuses_stops_nothing(
    home: Golive, authority: Pebble, make_app: MakeApp, tmp_path: Path
) -> None:
    with refusing(tmp_path) as (url, asked):
        policy = acme(url, bundle(tmp_path, authority))
        names = [f"{name}.golive-test.dev" for name in ("busy", "late", "over")]
        app = of_domains(make_app, home, names, policy)
        app.up().ok()
        until("what it said", lambda: "too many" in str(row(app, "busy.golive-test.dev")["trouble"]))
        found = row(app, "busy.golive-test.dev")
        assert found["certificate"] == "self-signed"
        assert float(str(found["next_at"])) - time.time() > 3000  # as it asked for, not the usual five minutes
        assert "too many" in app.command("status").ok().out
        assert len(asked) == 1
        # One that ends in a day, and one that has ended: both are served, both are said.
        _age(home, [names[1]], 89)
        _age(home, [names[2]], 91)
        said = " ".join(app.command("status").ok().out.split())
        assert f"{names[1]}: its certificate ends in 2" in said
        assert f"{names[2]}: its certificate ended 1 d" in said
        assert {row(app, name)["certificate"] for name in names[1:]} == {"acme"}


def test_a_second_authority_signs_when_the_first_refuses(
    home: Golive, authority: Pebble, make_app: MakeApp, tmp_path: Path
) -> None:
    with refusing(tmp_path) as (url, _):
        policy = acme(url, bundle(tmp_path, authority), authority.directory)
        app = of_domains(make_app, home, ["second.golive-test.dev"], policy)
        app.up().ok()
        until("a certificate", lambda: row(app, "second.golive-test.dev")["certificate"] == "acme")
        assert row(app, "second.golive-test.dev")["trouble"] is None


def test_a_name_that_leads_nowhere_is_named_and_the_others_are_signed(
    home: Golive, authority: Pebble, make_app: MakeApp
) -> None:
    good, bad = "good.golive-test.dev", "lost.golive-test.dev"
    authority.fail(bad)
    app = of_domains(make_app, home, [good, bad], acme(authority.directory, authority.ca_file))
    app.up().ok()
    until("the good one", lambda: row(app, good)["certificate"] == "acme")
    assert row(app, good)["trouble"] is None
    assert "lost.golive-test.dev" in str(row(app, bad)["trouble"])
    assert row(app, bad)["certificate"] == "self-signed"


def test_a_daemon_killed_in_an_order_does_not_order_again_at_once(
    home: Golive, authority: Pebble, make_app: MakeApp, tmp_path: Path
) -> None:
    name = "cut.golive-test.dev"
    with refusing(tmp_path, hangs=True) as (url, asked):
        app = of_domains(make_app, home, [name], acme(url, bundle(tmp_path, authority)))
        app.up().ok()
        until("the order is under way", lambda: asked)
        home.kill_daemon()
        found = row(app, name)
        assert "cut off" in str(found["trouble"])
        assert float(str(found["next_at"])) > time.time() + 200
        home.api.get("/v1/status")
        assert len(asked) == 1
        # Who says that the name is right now has it ordered at once; stopping the daemon then does not take long.
        home.api.send("POST", "/v1/domains/retry", {"app": app.name, "domains": [name]})
        until("it is ordered again", lambda: len(asked) == 2)
        assert home("daemon", "stop").ok().seconds < 10
        assert b"hello" in app_page(home, name)


def test_a_wildcard_is_signed_by_dns(home: Golive, make_app: MakeApp, tmp_path: Path) -> None:
    zone, wild = "wild.golive-test.dev", "*.wild.golive-test.dev"
    with (
        nameserver(tmp_path, zone) as names,
        pebble(tmp_path, home.http_port, nameserver=names.port) as authority,
    ):
        at = f'server = "{names.address}", resolver = "{names.address}"'
        dns = f'dns = {{ {at}, key = "golive", secret_from = "DNS_KEY" }}'
        policy = f'{{ directory = "{authority.directory}", ca_file = "{authority.ca_file}", {dns} }}'
        app = of_domains(make_app, home, [zone, wild], policy)
        app.up().ok()
        until("what is missing", lambda: "DNS_KEY has no value" in str(row(app, wild)["trouble"]))
        app.command("env", "set", "DNS_KEY", input=SECRET).ok()
        assert SECRET not in app.command("env", "ls").ok().out
        home.api.send("POST", "/v1/domains/retry", {"app": app.name, "domains": [zone, wild]})
        until("a certificate", lambda: row(app, wild)["certificate"] == "acme")
        until("the edge has it", lambda: "Pebble" in served(home, f"any.{zone}").issuer.rfc4514_string())
        with trusted(home, f"any.{zone}", authority.root()) as connection:
            assert b"200 OK" in ask(connection, f"any.{zone}")
        assert names.texts(f"_acme-challenge.{zone}") == set()


def app_page(home: Golive, domain: str) -> bytes:
    """What the edge serves, by whatever certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", home.https_port), 5)
    with context.wrap_socket(plain, server_hostname=domain) as tls:
        return ask(tls, domain)


def test_a_certificate_of_ones_own_is_checked_and_served(
    home: Golive, authority: Pebble, make_app: MakeApp, tmp_path: Path
) -> None:
    app = of_domains(make_app, home, ["own.golive-test.dev"], "false")
    app.up().ok()
    assert "acme = false" in app.command("domain", "ls").ok().out
    files = ("--cert", tmp_path / "own.pem", "--key", tmp_path / "own.key")
    for names in (("other.dev",), ("*.golive-test.dev",)):
        leaf = signed(names, datetime.now(UTC))
        (tmp_path / "own.pem").write_text(leaf.chain)
        (tmp_path / "own.key").write_text(leaf.key)
        done = app.command("domain", "cert", "own.golive-test.dev", *files)
        if names == ("other.dev",):
            assert "not for own.golive-test.dev" in done.failed(2).err
    assert "signed itself" in done.ok().err
    wanted = x509.load_pem_x509_certificate((tmp_path / "own.pem").read_bytes()).serial_number
    until("it is served", lambda: served(home, "own.golive-test.dev").serial_number == wanted)
    assert app.command("domain", "cert", "typo.golive-test.dev", *files).failed().err
    app.command("domain", "cert", "own.golive-test.dev", "--rm").ok()
    until("it is away", lambda: served(home, "own.golive-test.dev").serial_number != wanted)
    assert "nobody brought" in app.command("domain", "cert", "own.golive-test.dev", "--rm").failed().err


def bundle(folder: Path, authority: Pebble) -> Path:
    """What vouches for both directories."""
    path = folder / "both.pem"
    path.write_text(authority.ca_file.read_text() + (folder / "ca/root.crt").read_text())
    return path


@contextlib.contextmanager
def refusing(folder: Path, *, hangs: bool = False) -> Iterator[tuple[str, list[str]]]:
    """An authority that has signed too much lately, and wants to be asked again in an hour; or that says nothing."""
    asked: list[str] = []
    over = threading.Event()

    class Refusal(BaseHTTPRequestHandler):
        def answer(self, status: int, body: dict[str, str], **headers: str) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Replay-Nonce": "AAAA", "Content-Length": str(len(text)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(text if self.command != "HEAD" else b"")

        def do_GET(self) -> None:
            self.answer(200, {name: f"{url}/{name}" for name in ("newNonce", "newAccount", "newOrder")})

        def do_HEAD(self) -> None:
            self.answer(200, {})

        def do_POST(self) -> None:
            asked.append(self.path)
            if hangs:
                over.wait(60)
            problem = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many certificates"}
            self.answer(429, problem, Retry_After="3600")

        def log_message(self, *_: object) -> None:
            pass

    own = LocalCA(folder / "ca").certificate_for(("127.0.0.1",))
    (folder / "both").write_text(own.key.reveal() + own.chain)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = f"https://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield url, asked
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()
