from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import servers
from upstream_server import Upstream, upstream_server

SECRET = "whsec_test_canary_4f1d"
KEY = "sk-canary-93c1d0a7"


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """Where the servers live; other users may pass through it."""
    with tempfile.TemporaryDirectory(prefix="threadr-") as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.fixture(scope="session")
def database(home: Path) -> Iterator[tuple[servers.Server, str]]:
    with servers.postgres(home) as (server, url):
        with psycopg.connect(url, autocommit=True) as connection:
            for file in sorted((servers.BACKEND / "migrations").glob("*.sql")):
                connection.execute(file.read_text())
        yield server, url


@pytest.fixture(scope="session")
def cache(home: Path) -> Iterator[tuple[servers.Server, str]]:
    with servers.redis(home) as pair:
        yield pair


@pytest.fixture(scope="session")
def environment(database: tuple[servers.Server, str], cache: tuple[servers.Server, str]) -> dict[str, str]:
    return {
        "DATABASE_URL": database[1],
        "REDIS_URL": cache[1],
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "CORS_ORIGINS": "https://threadr.localhost,https://other.example",
        "GOLIVE_RELEASE": "7",
    }


@pytest.fixture(scope="session")
def api(home: Path, environment: dict[str, str]) -> Iterator[servers.Api]:
    with servers.api(home, **environment) as running:
        yield running


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with upstream_server() as running:
        yield running


@pytest.fixture(scope="session")
def written(home: Path, environment: dict[str, str], upstream: Upstream) -> Iterator[servers.Api]:
    """The API with a key and a language model."""
    more = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": upstream.url, "OPENAI_TIMEOUT": "0.5", "RATE_LIMIT_DAILY": "50"}
    with servers.api(home, **{**environment, "RATE_LIMIT_MONTHLY": "50", **more}) as running:
        yield running
