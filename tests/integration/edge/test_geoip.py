"""X-Country-Code by a GeoIP database through a real Envoy: looked up, never believed, exchanged, and done without."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import httpx
import pytest
from edge_harness import Request, Running, Upstreams, answer, rule, site

from golive.edge.model import EdgeConfig, Endpoint, Upstream

API = "threadr/production/api/d1"
TESTERS = {"127.0.0.0/8": {"country": {"iso_code": "DE"}, "subdivisions": [{"iso_code": "BY"}]}}


class Short(int):
    """Of 16 bits."""


class Long(int):
    """Of 64 bits."""


def database(networks: dict[str, dict[str, Any]]) -> bytes:
    """A database of MaxMind's format 2.0, of IPv4 networks: a binary tree, the data, what it says about itself."""
    nodes: list[list[int | None]] = [[None, None]]
    data, places = b"", {}
    for network, record in networks.items():
        address, _, length = network.partition("/")
        bits = f"{int.from_bytes(bytes(map(int, address.split('.')))):032b}"[: int(length)]
        at = 0
        for bit in bits[:-1]:
            following = nodes[at][int(bit)]
            if following is None:
                nodes.append([None, None])
                nodes[at][int(bit)] = following = len(nodes) - 1
            at = following
        places[at, int(bits[-1])] = len(data)
        data += encoded(record)
    count = len(nodes)
    tree = b""
    for at, children in enumerate(nodes):
        for bit, child in enumerate(children):
            value = count + 16 + places[at, bit] if (at, bit) in places else count if child is None else child
            tree += value.to_bytes(3)
    about = {
        "binary_format_major_version": Short(2), "binary_format_minor_version": Short(0), "build_epoch": Long(1),
        "database_type": "Test", "description": {"en": "Test"}, "ip_version": Short(4), "languages": ["en"],
        "node_count": count, "record_size": Short(24),
    }  # fmt: skip
    return tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + encoded(about)


def encoded(value: Any) -> bytes:
    if isinstance(value, str):
        return bytes([2 << 5 | len(value)]) + value.encode()
    if isinstance(value, Short):
        return bytes([5 << 5 | 2]) + struct.pack(">H", value)
    if isinstance(value, Long):
        return bytes([8, 9 - 7]) + struct.pack(">Q", value)
    if isinstance(value, int):
        return bytes([6 << 5 | 4]) + struct.pack(">I", value)
    if isinstance(value, list):
        return bytes([len(value), 11 - 7]) + b"".join(map(encoded, value))
    return bytes([7 << 5 | len(value)]) + b"".join(encoded(key) + encoded(inner) for key, inner in value.items())


async def seen(request: Request) -> bytes:
    return answer(json.dumps({k: v for k, v in request.headers.items() if k.endswith("-code")}).encode())


def config(envoy: Running, at: Endpoint, **policy: Any) -> EdgeConfig:
    return envoy.config(site(rule(API), **policy), upstreams=(Upstream(API, (at,)),))


@pytest.fixture
def home_file(tmp_path: Path, envoy: Running) -> Path:
    return envoy.edge._home.geoip


SPOOFED = {"x-country-code": "XX", "x-region-code": "YY"}


async def asked(envoy: Running, client: httpx.AsyncClient) -> dict[str, str]:
    found: dict[str, str] = (await client.get(envoy.edge.url("threadr.localhost"), headers=SPOOFED)).json()
    return found


async def test_the_country_is_looked_up_and_never_believed(
    envoy: Running, upstreams: Upstreams, home_file: Path
) -> None:
    at = await upstreams.serve(seen)
    async with envoy.client() as client:
        await envoy.edge.apply(config(envoy, at))
        assert await asked(envoy, client) == SPOOFED, "a site that does not ask for it is left alone"

        await envoy.edge.apply(config(envoy, at, country=True))
        assert await asked(envoy, client) == {}
        assert "there is no GeoIP database" in str(await envoy.edge.locate())

        home_file.write_bytes(b"no database" * 100)
        await envoy.edge.apply(config(envoy, at, country=True))
        assert await asked(envoy, client) == {}
        assert "cannot be used" in str(await envoy.edge.locate())

        home_file.write_bytes(database(TESTERS))
        await envoy.edge.apply(config(envoy, at, country=True))
        assert await envoy.edge.locate() is None
    async with envoy.client() as client:
        assert await asked(envoy, client) == {"x-country-code": "DE", "x-region-code": "BY"}

        home_file.write_bytes(database({"127.0.0.0/8": {"country": {"iso_code": "NL"}}}))
        assert await envoy.edge.locate() is None
        for _ in range(200):
            if (found := await asked(envoy, client)) == {"x-country-code": "NL"}:
                break
        assert found == {"x-country-code": "NL"}

        home_file.write_bytes(database(TESTERS)[:-40])
        said = str(await envoy.edge.locate())
        assert "the last good one is used" in said
        home_file.unlink()
        assert "the last good one is used" in str(await envoy.edge.locate())
        await envoy.edge.apply(config(envoy, at, country=True))
        assert await asked(envoy, client) == {"x-country-code": "NL"}


async def test_an_address_that_is_not_in_it_has_no_country(
    envoy: Running, upstreams: Upstreams, home_file: Path
) -> None:
    home_file.write_bytes(database({"203.0.113.0/24": {"country": {"iso_code": "DE"}}}))
    at = await upstreams.serve(seen)
    await envoy.edge.apply(config(envoy, at, country=True))
    async with envoy.client() as client:
        assert await asked(envoy, client) == {}
    await envoy.edge.apply(config(envoy, at, country=True, trusted_proxies=["127.0.0.1"]))
    async with envoy.client() as client:
        found = await client.get(
            envoy.edge.url("threadr.localhost"), headers={"x-forwarded-for": "9.9.9.9, 203.0.113.7", **SPOOFED}
        )
        assert found.json() == {"x-country-code": "DE"}
    assert await envoy.kill() is None
    envoy.edge.layout.geoip.unlink()
    home_file.unlink()
    envoy.edge.prepare()
    await envoy.start()  # listeners that name a database which is gone would not be loaded
