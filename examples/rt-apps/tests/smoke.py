"""Checks a deployed RT Apps from outside: the pages, then register, log in, profile, refresh and log out.

    RT_APPS_URL=https://rt-apps.localhost:8443 RT_APPS_CA=ca.pem python3 tests/smoke.py

RT_APPS_CA is a file of certificates to trust besides the system's. It makes one account at each run and needs some ten
of the hundred requests an hour that an address has. Only Python's own library is used.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from http.cookies import SimpleCookie

BASE = os.environ.get("RT_APPS_URL", "").rstrip("/")
HOST = urllib.parse.urlsplit(BASE).hostname or ""


def reach_localhost() -> None:
    """*.localhost is this machine, as for browsers (RFC 6761), whatever the resolver says."""
    lookup = socket.getaddrinfo

    def resolve(host, *rest, **more):  # type: ignore[no-untyped-def]
        here = isinstance(host, str) and host.endswith(".localhost")
        return lookup("127.0.0.1" if here else host, *rest, **more)

    socket.getaddrinfo = resolve


class Site:
    def __init__(self) -> None:
        context = ssl.create_default_context()
        if os.environ.get("RT_APPS_CA"):
            context.load_verify_locations(os.environ["RT_APPS_CA"])
        self.opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
        self.token = self.cookie = ""

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        request = urllib.request.Request(BASE + path, method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        if self.cookie:
            request.add_header("Cookie", f"rt_refresh={self.cookie}")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            answer = self.opener.open(request, timeout=20)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            for line in answer.headers.get_all("Set-Cookie") or []:
                jar = SimpleCookie(line)
                if "rt_refresh" in jar:
                    self.cookie = jar["rt_refresh"].value
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()

    def want(self, status: int, method: str, path: str, body: object = None, **headers: str) -> dict[str, object]:
        got, _, text = self.ask(method, path, body, **headers)
        if got != status:
            raise SystemExit(f"failed: {method} {path} answered {got}, not {status}: {text[:300]!r}")
        return json.loads(text) if text[:1] == b"{" else {}


def main() -> None:
    if not HOST:
        sys.exit("set RT_APPS_URL to where RT Apps answers, e.g. https://rt-apps.localhost:8443")
    reach_localhost()
    site = Site()

    pages = {"/": b"One account", "/login": b"Password", "/register": b"Name", "/profile": b"One moment"}
    for path, text in pages.items():
        status, headers, page = site.ask("GET", path)
        missing = {"content-security-policy", "x-frame-options", "x-content-type-options"} - headers.keys()
        if status != 200 or text not in page or missing:
            sys.exit(f"failed: GET {path} answered {status}, {len(page)} bytes, without the headers {missing}")
    site.want(200, "GET", "/api/health")
    print("ok  pages")
    for path in ("/health", "/readiness", "/api/v1/status"):
        site.want(200, "GET", path)
    print("ok  API, database, Redis")

    account = {"email": f"smoke-{secrets.token_hex(8)}@example.com", "password": secrets.token_urlsafe(16)}
    site.want(201, "POST", "/api/v1/register", {**account, "name": "Smoke"})
    site.token = str(site.want(200, "POST", "/api/v1/login", account)["access_token"])
    if site.want(200, "GET", "/api/v1/profile")["email"] != account["email"]:
        sys.exit("failed: the profile is somebody else's")
    site.want(200, "PATCH", "/api/v1/profile", {"bio": "Was here."})
    if site.want(200, "GET", "/api/v1/profile")["bio"] != "Was here.":
        sys.exit("failed: the profile did not change")
    print("ok  register, login, profile")

    site.token = str(site.want(200, "POST", "/api/v1/refresh")["access_token"])
    site.want(200, "GET", "/api/v1/profile")
    site.want(204, "POST", "/api/v1/logout")
    site.want(401, "GET", "/api/v1/profile")
    print("ok  refresh, logout")

    site.token = ""
    _, headers, _ = site.ask("GET", "/api/v1/status", Origin="https://evil.example")
    if "access-control-allow-origin" in headers:
        sys.exit("failed: a strange origin may call the API")
    print("all is well")


if __name__ == "__main__":
    main()
