"""Asking a site: one request as it is, within one budget, each answer kept so that families share it.

GET, HEAD and OPTIONS only, without credentials, by an agent that says who it is. A public site cannot lead to a private
address.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
import ssl
import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpcore
import psutil

from golive import __version__
from golive.checks.model import Evidence, Unanswered
from golive.secret import MASK, Secret
from golive.units import human_size

AGENT = f"golive-check/{__version__} (production checklist, run by hand or CI; few requests, no crawling)"
METHODS = ("GET", "HEAD", "OPTIONS")
REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Bounds:
    """What one run may take from a site: requests, bytes, seconds."""

    requests: int = 90
    body: int = 3 * 10**6
    total: int = 30 * 10**6
    timeout: float = 8.0
    redirects: int = 10
    at_once: int = 4


@dataclass(frozen=True)
class Exchange:
    """A request and its answer, undecoded. Seconds: `dns`, `connect` (with DNS), `tls`, `first` (of asking, to the
    first byte of the answer), `body`, `whole` (with what this program itself did); the first three are None where a
    connection was there already."""

    method: str
    url: str
    sent: tuple[tuple[str, str], ...]
    status: int
    reason: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    cut: bool
    seconds: Mapping[str, float | None] = field(default_factory=dict)

    def header(self, name: str) -> str:
        """All fields of that name as one, "" without any."""
        return ", ".join(value for key, value in self.headers if key == name)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def type(self) -> str:
        return self.header("content-type").partition(";")[0].strip().lower()

    @property
    def text(self) -> str:
        """The body, unpacked where it is gzip, as UTF-8 with marks where it is none."""
        return self.content.decode(errors="replace")

    @property
    def content(self) -> bytes:
        if self.header("content-encoding").lower() == "gzip":
            return _unpacked(self.body)
        return self.body

    def evidence(self, *names: str, body: int = 0) -> Evidence:
        """The request with what is not sent anyway, the status, and these headers (all when none is named)."""
        asked = [f"{self.method} {self.url}"]
        asked += [f"{key}: {value}" for key, value in self.sent if key not in ("user-agent", "host", "accept")]
        shown = [(k, v) for k, v in self.headers if not names or k in names]
        came = [f"{self.version} {self.status} {self.reason}".rstrip()]
        came += [f"{key}: {_masked(key, value)}" for key, value in shown]
        came += [f"(no {name})" for name in names if not self.all(name)]
        if body and self.content:
            came += ["", self.text[:body].strip() + (" …" if len(self.content) > body else "")]
        return Evidence("\n".join(asked), "\n".join(came))


@dataclass(frozen=True)
class Entry:
    """What lets golive in to a protected environment of its own: a cookie for these origins, and only while their names
    lead to this machine. No evidence shows it."""

    origins: frozenset[str]
    cookie: Secret


class Web:
    """The way to one site and what it names."""

    def __init__(self, url: str, bounds: Bounds | None = None, entry: Entry | None = None) -> None:
        self.bounds = bounds or Bounds()
        self._entry = entry
        self.requests = 0
        self.bytes = 0
        self._network = _Network(urlsplit(url).hostname or "")
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=_lenient(), http2=True, max_connections=self.bounds.at_once, network_backend=self._network
        )
        self._gate = asyncio.Semaphore(self.bounds.at_once)
        self._asked: dict[tuple[Any, ...], asyncio.Task[Exchange]] = {}
        self._allowed: set[str] = set()

    async def close(self) -> None:
        for task in self._asked.values():
            task.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)
        with contextlib.suppress(Exception):
            await self._pool.aclose()
        await self._network.close()

    def allow_more(self, requests: int, what: str) -> None:
        """Beside the budget, once for each thing: a burst that the user has allowed."""
        if what not in self._allowed:
            self._allowed.add(what)
            self.bounds = replace(self.bounds, requests=self.requests + requests)

    async def ask(
        self, url: str, method: str = "GET", *, again: int = 0, headers: Mapping[str, str] | None = None
    ) -> Exchange:
        """One answer, whatever its status; the same question is asked once (`again` makes it another one). gzip is
        taken unless `headers` say otherwise. Raises Unanswered."""
        sent = tuple(sorted({"accept-encoding": "gzip", **(headers or {})}.items()))
        key = (method, url, sent, again)
        if key not in self._asked:
            self._asked[key] = asyncio.create_task(self._ask(method, url, sent, self.bounds.body))
        return await asyncio.shield(self._asked[key])

    async def all(
        self, urls: Iterable[str], headers: Mapping[str, str] | None = None
    ) -> list[Exchange | BaseException]:
        """An answer for each, or why there is none."""
        return await asyncio.gather(*(self.ask(url, headers=headers) for url in urls), return_exceptions=True)

    async def follow(self, url: str) -> list[Exchange]:
        """The answer and what led to it, the last one first. Raises Unanswered for what leads nowhere."""
        steps: list[Exchange] = []
        while True:
            steps.insert(0, answer := await self.ask(url))
            to = answer.header("location")
            if answer.status not in REDIRECTS or not to:
                return steps
            url = urljoin(url, to).partition("#")[0]
            if len(steps) > self.bounds.redirects:
                raise Unanswered(f"{steps[-1].url} redirects without an end ({self.bounds.redirects} times)")
            if url in {step.url for step in steps}:
                raise Unanswered(f"{steps[-1].url} redirects in a circle, back to {url}")

    async def _ask(self, method: str, url: str, sent: tuple[tuple[str, str], ...], limit: int) -> Exchange:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unanswered(f"{url} is no address of the web")
        if method not in METHODS:
            raise ValueError(method)
        async with self._gate:
            if self.requests >= self.bounds.requests or self.bytes >= self.bounds.total:
                raise Unanswered(
                    f"not asked: this run may make {self.bounds.requests} requests and read "
                    f"{human_size(self.bounds.total)}, and has"
                )
            self.requests += 1
            try:
                async with asyncio.timeout(self.bounds.timeout):
                    return await self._exchange(method, url, sent, limit)
            except TimeoutError:
                raise Unanswered(f"{method} {url}: no whole answer in {self.bounds.timeout:g} s") from None
            except (OSError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
                raise Unanswered(f"{method} {url}: {_reason(error)}") from error
            except (UnicodeError, ValueError) as error:
                raise Unanswered(f"{url} cannot be asked: {error}") from error

    async def _exchange(self, method: str, url: str, sent: tuple[tuple[str, str], ...], limit: int) -> Exchange:
        phases = _Phases()
        host = urlsplit(url).hostname or ""
        plain = {"user-agent": AGENT, "accept": "*/*", **dict(sent)}
        hidden = await self.hidden(url)
        async with self._pool.stream(
            method, url.encode(), headers=[*plain.items(), *hidden], extensions={"trace": phases.note}
        ) as response:
            body, cut = bytearray(), False
            async for piece in response.aiter_stream():
                body += piece
                self.bytes += len(piece)
                if len(body) > limit or self.bytes > self.bounds.total:
                    cut = True
                    break
            version = response.extensions.get("http_version", b"").decode(errors="replace")
            return Exchange(
                method,
                url,
                tuple(plain.items()),
                response.status,
                response.extensions.get("reason_phrase", b"").decode(errors="replace"),
                version,
                tuple((k.decode("latin-1").lower(), v.decode("latin-1")) for k, v in response.headers),
                bytes(body[:limit]),
                cut,
                {"dns": self._network.looked_up.pop(host, None), **phases.seconds()},
            )

    async def hidden(self, url: str) -> tuple[tuple[str, str], ...]:
        """Headers that are sent there and shown nowhere. Raises OSError."""
        if self._entry and await self._is_let_in(url):
            return (("cookie", self._entry.cookie.reveal()),)
        return ()

    async def _is_let_in(self, url: str) -> bool:
        """Whether the entry is for there. Its connections are this machine's: the name is looked up once."""
        parts = urlsplit(url)
        usual = {"https": 443, "http": 80}[parts.scheme]
        origin = f"{parts.scheme}://{parts.hostname}" + ("" if parts.port in (None, usual) else f":{parts.port}")
        if self._entry is None or origin not in self._entry.origins:
            return False
        return await self._network.is_here(parts.hostname or "")


class _Phases:
    """When each phase of a request was, from httpcore's trace."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._at: dict[str, float] = {}

    async def note(self, name: str, info: Mapping[str, Any]) -> None:
        self._at[name.partition(".")[2]] = time.monotonic()

    def seconds(self) -> dict[str, float | None]:
        def between(begin: str, end: str) -> float | None:
            return round(self._at[end] - self._at[begin], 4) if begin in self._at and end in self._at else None

        return {
            "connect": between("connect_tcp.started", "connect_tcp.complete"),
            "tls": between("start_tls.started", "start_tls.complete"),
            "first": between("send_request_headers.started", "receive_response_headers.complete"),
            "body": between("receive_response_headers.complete", "receive_response_body.complete"),
            "whole": round(time.monotonic() - self._began, 4),
        }


class Network(httpcore.AsyncNetworkBackend):
    """Resolves by itself: `*.localhost` is this machine (RFC 6761)."""

    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()

    async def resolve(self, host: str) -> list[str]:
        """Addresses to try in this order. OSError, httpcore.ConnectError."""
        return await addresses(host)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        error: Exception | None = None
        for address in await self.resolve(host):
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (OSError, httpcore.ConnectError) as failure:
                error = failure
        raise error or httpcore.ConnectError("no address")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Network(Network):
    """Where the site asked for is public, no other address than a public one is gone to."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self._host = host
        self._private: bool | None = None
        self._here: dict[str, list[str]] = {}
        self.looked_up: dict[str, float] = {}
        """Seconds that finding a host's addresses took, for who asked for a connection to it."""
        self._streams: list[httpcore.AsyncNetworkStream] = []

    async def connect_tcp(self, host: str, port: int, *args: Any, **named: Any) -> httpcore.AsyncNetworkStream:
        stream = await super().connect_tcp(host, port, *args, **named)
        self._streams.append(stream)
        return stream

    async def close(self) -> None:
        """Ends every connection: httpcore forgets those whose TLS handshake was given up."""
        for stream in self._streams:
            with contextlib.suppress(Exception):
                await stream.aclose()

    async def is_here(self, host: str) -> bool:
        """Whether a name leads to this machine alone; if so it does until the end. Raises OSError."""
        if host not in self._here:
            found = await addresses(host)
            own = {each.address for all in psutil.net_if_addrs().values() for each in all}
            if not all(one in own or ipaddress.ip_address(one.partition("%")[0]).is_loopback for one in found):
                return False
            self._here[host] = found
        return True

    async def resolve(self, host: str) -> list[str]:
        if host in self._here:
            self.looked_up[host] = 0.0
            return self._here[host]
        began = time.monotonic()
        if self._private is None:
            own = await addresses(self._host)
            self._private = not all(map(is_public, own))
        found = await addresses(host)
        self.looked_up[host] = round(time.monotonic() - began, 4)
        if not self._private and not all(map(is_public, found)):
            raise httpcore.ConnectError(f"a public site leads to {host}, which is a private address: not gone to")
        return found


async def addresses(host: str) -> list[str]:
    """Of a host, IPv4 first. Raises OSError."""
    if host == "localhost" or host.endswith(".localhost"):
        return ["127.0.0.1"]
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    ordered = sorted(found, key=lambda entry: entry[0] != socket.AF_INET)
    return list(dict.fromkeys(str(entry[4][0]) for entry in ordered))


def is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_global
    except ValueError:
        return False


def _lenient() -> ssl.SSLContext:
    """To look at what is there, however it is secured: nothing secret is sent, and the family `tls` judges."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(ssl.SSLError):
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def _unpacked(packed: bytes, limit: int = 10 * 10**6) -> bytes:
    """At most so much of it: a small answer may hold gigabytes."""
    try:
        return zlib.decompressobj(wbits=31).decompress(packed, limit)
    except zlib.error:
        return b""


def _masked(name: str, value: str) -> str:
    """Cookies without what they hold."""
    if name != "set-cookie":
        return value
    pair, sign, rest = value.partition(";")
    return f"{pair.partition('=')[0]}={MASK}{sign}{rest}"


def _reason(error: Exception) -> str:
    text = str(error) or str(error.__cause__ or "") or type(error).__name__
    return (
        "nothing listens there" if text == "All connection attempts failed" else re.sub(r"^\[Errno -?\d+\] ", "", text)
    )
