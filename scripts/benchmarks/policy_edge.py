"""An edge with every policy, its services and their stores; one with none, and one without its own defaults either."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from benchmarks import own, peers
from benchmarks.machine import find
from benchmarks.peers import Engine, Lab
from benchmarks.policy_cases import LARGE, NEW, OLD, PICTURE, Case, cases, site, sites
from benchmarks.processes import NotReadyError, accepts, free_port, running, wait_for
from golive.edge.edge import Edge
from golive.edge.limits import routes_in
from golive.edge.model import Certificate, EdgeConfig, Endpoint, Site, Tokens, Upstream
from golive.edge.quota import UPSTREAM
from golive.edge.resource import Layout
from golive.home import Home
from golive.secret import Secret

PLACES = ("quota", "all")
ISSUER = "https://id.bench.localhost"


@dataclass(frozen=True)
class Bench:
    """`engines` by the edge's name, `cases` with what they ask."""

    engines: dict[str, Engine]
    cases: tuple[Case, ...]


@contextmanager
def upstream(folder: Path, chain: Path, key: Path, jwks: str, body: str) -> Iterator[tuple[int, int]]:
    """nginx with small answers, files, and what it saw of a request; its port, and the one of the keys by TLS. Only an
    upload is read before it is answered."""
    plain, secure = free_port(), free_port()
    place = folder / "upstream"
    (place / "uploads").mkdir(parents=True)
    (place / "jwks.json").write_text(jwks)
    rows = [{"id": n, "name": f"thing {n}", "price": n * 37 % 101, "tags": ["a", "b"]} for n in range(130)]
    (place / LARGE[1:]).write_text(json.dumps(rows))
    _picture(place / PICTURE[1:])
    names = f"ssl_certificate {chain}; ssl_certificate_key {key};"
    config = f"""
        server {{
            listen 127.0.0.1:{plain} backlog=4096;
            root {place};
            client_max_body_size 0;
            default_type application/json;
            add_header x-seen-path $request_uri;
            add_header x-seen-country $http_x_country_code;
            location / {{ return 200 '{body}'; }}
            location ~ [.]json$ {{ }}
            location = /posts/upload {{ proxy_pass http://127.0.0.1:{plain}/; }}
            location /uploads/ {{ default_type image/png; }}
        }}
        server {{
            listen 127.0.0.1:{secure} ssl;
            {names}
            root {place};
            default_type application/json;
        }}"""
    with peers.serving(place, config, plain):
        yield plain, secure


def _picture(path: Path) -> None:
    from PIL import Image

    Image.effect_noise((640, 400), 50).convert("RGB").save(path)


@contextmanager
def started(lab: Lab, jwks_port: int, tokens: Mapping[str, str]) -> Iterator[Bench]:
    """`tokens` are some that hold, by their algorithm."""
    with ExitStack() as stack:
        shared, roots = _shared(lab, jwks_port, stack)
        engines = {"shared": shared}
        for name in ("alone", "stripped"):
            engines[name] = stack.enter_context(edge(lab, name, configured(lab, (site("plain"),)), name == "stripped"))
        everything = tuple(root for engine in engines.values() for root in engine.roots) + roots
        engines = {name: Engine(name, e.port, everything, e.log) for name, e in engines.items()}
        yield Bench(engines, cases(tokens))


def configured(lab: Lab, served: tuple[Site, ...], *more: Upstream) -> EdgeConfig:
    names = tuple(domain for one in served for domain in one.domains)
    certificate = Certificate(names, lab.chain.read_text(), Secret(lab.key.read_text()))
    ups = tuple(Upstream(name, (Endpoint(port=lab.upstream),)) for name in (OLD, NEW))
    return EdgeConfig(served, (*ups, *more), (certificate,))


def _shared(lab: Lab, jwks_port: int, stack: ExitStack) -> tuple[Engine, tuple[int, ...]]:
    tokens = Tokens(
        url=f"https://127.0.0.1:{jwks_port}/jwks.json",
        issuer=ISSUER,
        audience=("bench",),
        claims=(("x-user-id", "sub"),),
        ca=lab.chain.read_text(),
    )
    place = lab.place("shared")
    (place / "home").mkdir(exist_ok=True)
    Home(place / "home").geoip.write_bytes(country_database())
    roots, quota = _quota(place, stack)
    keys = (lab.directory / "upstream" / "jwks.json").read_text()
    config = configured(lab, sites(tokens, keys), Upstream(UPSTREAM, (Endpoint.unix(quota),)))
    layout = _layout(place)
    servers = {
        "cache_server": ["--origin", str(layout.origin), "--socket", str(layout.cache)],
        "image_server": [
            *("--inside", str(layout.images.parent), "--socket", str(layout.images)),
            *("--folder", str(place / "pictures")),
        ],
    }
    engine = stack.enter_context(edge(lab, "shared", config))
    for name, arguments in servers.items():
        command = [sys.executable, "-m", f"golive.edge.{name}", *arguments]
        roots.append(stack.enter_context(running(command, place / f"{name}.log")).pid)
    for path in (layout.cache, layout.images):
        wait_for(f"{path.name} is there", path.exists, log=place / "image_server.log")
    return engine, tuple(roots)


def _quota(place: Path, stack: ExitStack) -> tuple[list[int], Path]:
    """Redis and the process that counts in it, with its socket."""
    port, socket, config = free_port(), place / "quota.sock", place / "quota.json"
    command = [find("redis-server") or "valkey-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--appendonly", "yes", "--dir", str(place)]
    redis = stack.enter_context(running(command, place / "redis.log"))
    wait_for("Redis listens", lambda: accepts(port), log=place / "redis.log")
    at = {"host": "127.0.0.1", "port": port, "user": "", "password": "", "database": 0, "tls": False}
    config.write_text(json.dumps({f"{name}/production": at for name in PLACES}))
    command = [sys.executable, "-m", "golive.edge.quota_server", "--config", str(config), "--socket", str(socket)]
    counting = stack.enter_context(running(command, place / "quota.log"))
    wait_for("the quotas' process listens", socket.exists, log=place / "quota.log")
    return [redis.pid, counting.pid], socket


def _layout(place: Path) -> Layout:
    return Edge(Home(place / "home"), http_port=1, https_port=2, envoy=Path("envoy")).layout


@contextmanager
def edge(lab: Lab, name: str, config: EdgeConfig, stripped: bool = False) -> Iterator[Engine]:
    """Its Envoy, with what the edge does by default or, `stripped`, without."""
    home, port = Home(lab.place(name) / "home"), free_port()
    made = Edge(home, http_port=free_port(), https_port=port, envoy=own.envoy(), address="127.0.0.1")
    made.prepare()
    asyncio.run(made.apply(config))
    if stripped:
        strip(made.layout.resource("rds-https"))
    spec = made.process_spec()
    log = spec.output or home.root / "envoy.log"
    with running(list(spec.argv), log, dict(spec.env)) as process:
        if not asyncio.run(made.wait_ready(timedelta(seconds=20))):
            raise NotReadyError(f"Envoy is not ready:\n{log.read_text()[-2000:]}")
        yield Engine(name, port, (process.pid,), made.layout.access_log)


def strip(file: Path) -> None:
    """Takes from the routes of a file what golive.toml cannot: retries, time-outs, limits of bodies."""
    rds = json.loads(file.read_text())
    for route in routes_in(rds):
        if "route" in route:
            for key in ("retry_policy", "timeout", "idle_timeout"):
                route["route"].pop(key, None)
            route["route"]["timeout"] = "0s"
    for host in (host for made in rds["resources"] for host in made["virtual_hosts"]):
        host.pop("request_body_buffer_limit", None)
        kept = [route for route in host["routes"] if route.get("direct_response", {}).get("status") != 413]
        to_app = [route for route in kept if "route" in route]
        host["routes"] = [route for route in kept if route not in to_app[:-1]]
    file.write_text(json.dumps(rds))


def tokens_and_keys() -> tuple[dict[str, str], str]:
    """JSON Web Tokens that hold for an hour, by their algorithm (ES256, RS256), and the JWKS with their keys."""
    curve, modulus = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    x, y = (_number(n, 32) for n in (curve.public_key().public_numbers().x, curve.public_key().public_numbers().y))
    n = _number(modulus.public_key().public_numbers().n, 256)
    keys = [
        {"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "ES256", "x": x, "y": y},
        {"kty": "RSA", "alg": "RS256", "kid": "RS256", "n": n, "e": "AQAB"},
    ]

    def elliptic(data: bytes) -> str:
        r, s = decode_dss_signature(curve.sign(data, ec.ECDSA(hashes.SHA256())))
        return _base64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))

    def usual(data: bytes) -> str:
        return _base64(modulus.sign(data, padding.PKCS1v15(), hashes.SHA256()))

    signed = {"ES256": _token("ES256", elliptic), "RS256": _token("RS256", usual)}
    return signed, json.dumps({"keys": keys})


def _token(algorithm: str, sign: Callable[[bytes], str]) -> str:
    claims = {"iss": ISSUER, "aud": "bench", "sub": "ann", "exp": int(time.time()) + 3600}
    parts = ({"alg": algorithm, "kid": algorithm, "typ": "JWT"}, claims)
    signed = ".".join(_base64(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{sign(signed.encode())}"


def _number(value: int, size: int) -> str:
    return _base64(value.to_bytes(size, "big"))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def country_database(bits: int = 24) -> bytes:
    """A MaxMind database in which 127.0.0.0/24 is in Germany: as many steps to it as a real one has."""
    address = int.from_bytes(bytes((127, 0, 0, 0)), "big")
    tree = b""
    for at in range(bits):
        ways = [bits, bits]  # nothing is known there
        ways[address >> (31 - at) & 1] = at + 1 if at + 1 < bits else bits + 16
        tree += b"".join(way.to_bytes(3, "big") for way in ways)
    where = b"\xe1" + _text("country") + b"\xe1" + _text("iso_code") + _text("DE")
    about = b"\xe9"
    for name, value in {"binary_format_major_version": 2, "binary_format_minor_version": 0, "ip_version": 4}.items():
        about += _text(name) + b"\xa2" + value.to_bytes(2, "big")
    about += _text("record_size") + b"\xa2" + (24).to_bytes(2, "big")
    about += _text("node_count") + b"\xc4" + bits.to_bytes(4, "big") + _text("build_epoch") + b"\x01\x02\x01"
    about += _text("database_type") + _text("Bench") + _text("languages") + b"\x01\x04" + _text("en")
    about += _text("description") + b"\xe1" + _text("en") + _text("Bench")
    return tree + bytes(16) + where + b"\xab\xcd\xefMaxMind.com" + about


def _text(value: str) -> bytes:
    return bytes([2 << 5 | len(value)]) + value.encode()
