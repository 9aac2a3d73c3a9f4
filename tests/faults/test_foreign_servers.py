"""Sites that golive did not make: nginx, Caddy and a bare uvicorn as people set them up in a hurry. What a reviewer
would say is said, what they do well passes, and nothing is asked that may not be."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faults_server import RULES, authority, certificate

from golive.checks import catalog
from golive.checks.model import Result, Status
from golive.checks.site import Aim, address
from golive.checks.subject import Subject
from golive.system import ports

PAGE = "<!doctype html><html><head><title>Hello</title></head><body><h1>Hello</h1>{}<script src=/app.js></script>"
NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; user root;
events {{ }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  types {{ text/html html; text/javascript js; }}
  server {{ listen 127.0.0.1:{http}; root {folder}/www; }}
  server {{
    listen 127.0.0.1:{https} ssl; root {folder}/www; autoindex on;
    ssl_certificate {pem}; ssl_certificate_key {pem};
    ssl_protocols TLSv1 TLSv1.1 TLSv1.2; ssl_ciphers DEFAULT@SECLEVEL=0;
  }}
}}
"""
CADDY = """
{{
  admin off
  auto_https off
}}
https://localhost:{https} {{
  bind 127.0.0.1
  tls {pem} {pem}
  root * {folder}/www
  encode gzip
  file_server
  log {{
    output file {folder}/access.log
  }}
}}
"""
UVICORN = """
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

async def page(request):
    answer = HTMLResponse({page!r})
    answer.set_cookie("session_id", "7")
    return answer

async def health(request):
    return JSONResponse({{"status": "ok", "services": {{"database": "disconnected"}}}})

app = Starlette(
    debug=True,
    routes=[Route("/", page), Route("/health", health)],
    middleware=[Middleware(CORSMiddleware, allow_origin_regex=".*", allow_credentials=True, allow_headers=["*"])],
)
"""


@contextmanager
def running(argv: list[str], port: int, folder: Path) -> Iterator[None]:
    process = subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=120)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    www = tmp_path / "www"
    (www / "files").mkdir(parents=True)
    (www / "files/a.txt").write_text("a")
    (www / "index.html").write_text(PAGE.format("<p>words</p>" * 300))
    (www / "app.js").write_text("console.log('a long script');\n" * 200)
    return tmp_path


def look(url: str, root: Path | None, http: int | None = None) -> dict[str, Result]:
    checks = catalog.checks(app=False)
    aim = Aim(address(url), (root,) if root else (), http, cache=RULES)
    results = asyncio.run(Subject(url, aim).examine(checks, lambda _: None))
    return {result.check.id: result for result in results}


def wrong(results: dict[str, Result]) -> set[str]:
    return {id for id, result in results.items() if result.status in (Status.FAIL, Status.WARNING)}


def program(name: str) -> str:
    fetched = sorted((Path.home() / ".cache/golive-bench").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(fetched[0]) if fetched else None)
    if found is None:
        pytest.skip(f"{name} is not on this machine")
    return found


def test_nginx(folder: Path) -> None:
    root, signer = authority(folder)
    pem = certificate(folder, signed=signer)
    (folder / "www/.env").write_text("DATABASE_PASSWORD=geheim-17\n")
    http = ports.choose()
    https = ports.choose({http})
    conf = folder / "nginx.conf"
    conf.write_text(NGINX.format(folder=folder, http=http, https=https, pem=pem))
    with running([program("nginx"), "-c", str(conf), "-p", str(folder)], https, folder):
        results = look(f"https://localhost:{https}/", root, http)
    findings = wrong(results)
    assert findings >= {
        "tls-versions",
        "tls-modern",
        "tls-redirect",
        "tls-hsts",
        "headers-csp",
        "headers-frames",
        "headers-nosniff",
        "headers-leaks",
        "content-dotfiles",
        "content-listing",
        "content-charset",
        "content-robots",
        "compression-text",
        "performance-http2",
        "accessibility-language",
        "accessibility-viewport",
    }
    passed = {id for id, result in results.items() if result.status is Status.PASS}
    assert passed >= {"tls-trust", "tls-names", "tls-dates", "health-answers", "caching-validators", "content-missing"}
    assert results["content-dotfiles"].status is Status.FAIL
    assert "geheim" not in str(results["content-dotfiles"].to_json())
    asked = (folder / "access.log").read_text().splitlines()
    assert 20 < len(asked) <= 90
    assert {re.search(r'"(\w+) ', line)[1] for line in asked} <= {"GET", "OPTIONS"}  # type: ignore[index]
    assert all("golive-check/" in line for line in asked)


def test_caddy(folder: Path) -> None:
    root, signer = authority(folder)
    pem = certificate(folder, signed=signer)
    https = ports.choose()
    conf = folder / "Caddyfile"
    conf.write_text(CADDY.format(folder=folder, https=https, pem=pem))
    argv = [program("caddy"), "run", "--config", str(conf), "--adapter", "caddyfile"]
    with running(argv, https, folder):
        results = look(f"https://localhost:{https}/", root)
    assert wrong(results) >= {"tls-hsts", "headers-csp", "headers-nosniff", "headers-frames", "compression-modern"}
    mends = " ".join(result.outcome.fix.text for result in results.values() if result.outcome.fix)
    assert "at the edge" not in mends
    passed = {id for id, result in results.items() if result.status is Status.PASS}
    assert passed >= {
        "tls-versions",
        "tls-modern",
        "tls-ciphers",
        "tls-trust",
        "headers-leaks",
        "compression-text",
        "performance-http2",
        "caching-validators",
        "cors-stranger",
        "content-dotfiles",
    }


def test_a_bare_uvicorn(folder: Path) -> None:
    port = ports.choose()
    (folder / "hello.py").write_text(UVICORN.format(page=PAGE.format("<input name=q>")))
    argv = [sys.executable, "-m", "uvicorn", "hello:app", "--port", str(port), "--log-level", "error"]
    with running(argv, port, folder):
        results = look(f"http://127.0.0.1:{port}/", None)
    assert wrong(results) >= {
        "tls-https",
        "cors-stranger",
        "cors-null",
        "cors-lookalike",
        "cookies-httponly",
        "health-honest",
        "headers-csp",
        "headers-nosniff",
        "caching-html",
        "content-assets",
        "accessibility-labels",
    }
    passed = {id for id, result in results.items() if result.status is Status.PASS}
    assert passed >= {"health-answers", "health-endpoint", "content-missing", "headers-leaks", "content-dotfiles"}
    assert {r.status for id, r in results.items() if id.startswith("rate-limit")} == {Status.COULD_NOT_TELL}
