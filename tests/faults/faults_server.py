"""A site in a few lines that does everything right, so that a fault can take away one thing: HTTP/1.1, TLS or not."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import ssl
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import brotli
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

RULES = Path(tempfile.gettempdir()) / f"golive-test-rules-{os.geteuid()}"
"""Compiled rules for secrets: compiling takes seconds, once a machine."""
SCRIPT = "/assets/app-1a2b3c4d.js"
STYLE = "/assets/style-9f8e7d6c.css"
PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Tea by post</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="Tea, by post, every month.">
<link rel="icon" href="/icon.svg"><link rel="stylesheet" href="{STYLE}"><script type="module" src="{SCRIPT}"></script>
</head><body><h1>Tea by post</h1><img src="/icon.svg" alt="A cup of tea">
<form action="/search"><label for="q">Search</label><input id="q" name="q"></form>
<p>{"A sentence about tea that is as long as sentences about tea are. " * 40}</p></body></html>"""


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes = b""
    cookies: list[str] = field(default_factory=list)


Change = Callable[[Request, Response], None]


@dataclass
class Good:
    """What it serves; faults change this before it starts. `changes` have the last word on every answer."""

    page: str = PAGE
    files: dict[str, tuple[str, bytes]] = field(
        default_factory=lambda: {
            SCRIPT: ("text/javascript", b"export const tea = 'green';\n" * 100),
            STYLE: ("text/css", b"body { margin: 0 }\n" * 100),
            "/icon.svg": ("image/svg+xml", b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
            "/robots.txt": ("text/plain", b"User-agent: *\nDisallow: /admin\n"),
            "/health": ("application/json", b'{"status": "ok", "database": "connected"}'),
        }
    )
    headers: dict[str, str] = field(
        default_factory=lambda: {
            "strict-transport-security": "max-age=31536000",
            "content-security-policy": "default-src 'self'; object-src 'none'; frame-ancestors 'none'",
            "x-content-type-options": "nosniff",
            "referrer-policy": "strict-origin-when-cross-origin",
            "permissions-policy": "camera=()",
        }
    )
    origins: list[str] = field(default_factory=lambda: ["https://app.tea.test"])
    cookie: str = "session=4f7a; Path=/; Secure; HttpOnly; SameSite=Lax"
    encodings: tuple[str, ...] = ("br", "gzip")
    changes: list[Change] = field(default_factory=list)
    limit: int | None = None
    """Requests of /health before it is refused; the bucket fills within a second in which it is not asked: however long
    a slow machine takes for a burst, it is one."""
    refused: int = 0
    until: float = 0.0
    asked: list[Request] = field(default_factory=list)
    tls: dict[str, object] = field(default_factory=dict)
    ciphers: str = "DEFAULT:!kRSA:@SECLEVEL=0"
    raw: bytes | None = None
    """Sent instead of any answer."""
    pause: float = 0.0

    def answer(self, request: Request) -> Response:
        self.asked.append(request)
        response = self._found(request)
        self._cross_origin(request, response)
        for change in self.changes:
            change(request, response)
        return response

    def _found(self, request: Request) -> Response:
        if request.path == "/":
            kind, body = "text/html; charset=utf-8", self.page.encode()
        elif request.path in self.files:
            kind, body = self.files[request.path]
        else:
            return Response(404, {**self.headers, "content-type": "text/html; charset=utf-8"}, b"<h1>Nothing here</h1>")
        headers = {**self.headers, "content-type": kind, "vary": "accept-encoding"}
        if request.path == "/health":
            if self.limit is not None and self._is_refused():
                return Response(429, {**headers, "retry-after": "1"}, b"slowly")
            return Response(200, {**headers, "cache-control": "no-store"}, body)
        headers["cache-control"] = "public, max-age=31536000, immutable" if "/assets/" in request.path else "no-cache"
        packed, encoding = self._packed(request, body, kind)
        headers["etag"] = f'"{hashlib.sha256(body).hexdigest()[:12]}-{encoding}"'
        if encoding:
            headers["content-encoding"] = encoding
        response = Response(200, headers, packed)
        if request.headers.get("if-none-match") == headers["etag"]:
            response = Response(304, headers)
        if request.path == "/":
            response.cookies.append(self.cookie)
        return response

    def _packed(self, request: Request, body: bytes, kind: str) -> tuple[bytes, str]:
        wanted = request.headers.get("accept-encoding", "")
        for encoding in self.encodings:
            if encoding in wanted and len(body) > 500 and not kind.startswith("image/png"):
                return (brotli.compress(body) if encoding == "br" else gzip.compress(body, mtime=0)), encoding
        return body, ""

    def _is_refused(self) -> bool:
        now = time.monotonic()
        if now > self.until:
            self.refused = 0
        self.until = max(self.until, now + 0.8)
        self.refused += 1
        return self.limit is not None and self.refused > self.limit

    def _cross_origin(self, request: Request, response: Response) -> None:
        origin = request.headers.get("origin", "")
        if origin in self.origins:
            response.headers["access-control-allow-origin"] = origin
            response.headers["vary"] = "accept-encoding, origin"
        if request.method == "OPTIONS":
            response.status = 204 if origin in self.origins else 403
            response.body = b""


@asynccontextmanager
async def served(site: Good, certificate: Path | None) -> AsyncIterator[int]:
    """The port of loopback that it is served on; with TLS where a certificate (PEM with its key) is given."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers(site.ciphers)
        context.load_cert_chain(certificate)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # old versions are faults
            for name, value in {"minimum_version": ssl.TLSVersion.TLSv1_2, **site.tls}.items():
                setattr(context, name, value)

    talks: set[asyncio.Task[Any]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(own := asyncio.current_task())
        try:
            while await _one(site, reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ssl.SSLError):
            pass
        finally:
            talks.discard(own)
            writer.transport.abort()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    ended = asyncio.ensure_future(server.wait_closed())  # asked before it closes, or Python 3.11 does not wait
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in talks:
            task.cancel()
        async with asyncio.timeout(60):
            await ended


async def _one(site: Good, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    pairs = (line.partition(":") for line in head[1:] if line)
    request = Request(method, target, {name.lower(): value.strip() for name, _, value in pairs})
    await asyncio.sleep(site.pause)
    if site.raw is not None:
        writer.write(site.raw)
        await writer.drain()
        return False
    response = site.answer(request)
    lines = [f"HTTP/1.1 {response.status} OK", *(f"{k}: {v}" for k, v in response.headers.items())]
    lines += [f"set-cookie: {cookie}" for cookie in response.cookies]
    body = b"" if method == "HEAD" or response.status in (204, 304) else response.body
    lines.append(f"content-length: {len(body)}")
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
    await writer.drain()
    return True


def certificate(
    folder: Path,
    *,
    names: tuple[str, ...] = ("localhost",),
    begin: timedelta = timedelta(days=-1),
    end: timedelta = timedelta(days=80),
    bits: int | None = None,
    signed: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
) -> Path:
    """PEM of a certificate and its key; by the authority given, else by itself. `bits` makes it an RSA key."""
    key = rsa.generate_private_key(65537, bits) if bits else ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signed[0].subject if signed else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begin)
        .not_valid_after(now + end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(signed[1] if signed else key, hashes.SHA256())
    )
    file = folder / f"{x509.random_serial_number()}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


def authority(folder: Path) -> tuple[Path, tuple[x509.Certificate, ec.EllipticCurvePrivateKey]]:
    """A root of its own: the PEM to trust, and what signs with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root of these tests")])
    now = datetime.now(UTC)
    root = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=900))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "root.pem"
    file.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    return file, (root, key)
