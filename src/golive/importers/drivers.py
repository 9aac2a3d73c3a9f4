"""Which stores an application talks to, by the drivers among its dependencies."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from golive.blueprint.checkout import Checkout, join
from golive.blueprint.python_project import dependencies

_PYTHON = {
    "postgres": ("psycopg", "psycopg2", "psycopg2-binary", "asyncpg", "pg8000", "aiopg", "psycopg-pool"),
    "redis": ("redis", "aioredis", "rq", "arq", "django-redis", "celery-redbeat", "walrus", "fakeredis", "coredis"),
}
_NODE = {
    "postgres": ("pg", "postgres", "pg-promise", "@neondatabase/serverless", "@vercel/postgres", "slonik", "pg-native"),
    "redis": ("ioredis", "redis", "bull", "bullmq", "@redis/client", "connect-redis", "bee-queue"),
}
_GO = {
    "postgres": re.compile(
        r"\b(?:github\.com/lib/pq|github\.com/jackc/pgx\S*|gorm\.io/driver/postgres|github\.com/uptrace/bun/driver/pgdriver)\b"
    ),
    "redis": re.compile(
        r"\b(?:github\.com/(?:redis/go-redis|go-redis/redis|gomodule/redigo|redis/rueidis|hibiken/asynq))\b"
    ),
}
_OTHERS = {
    "MySQL": ("mysqlclient", "pymysql", "aiomysql", "mysql-connector-python", "mysql2", "mysql", "go-sql-driver/mysql"),
    "MongoDB": ("pymongo", "motor", "mongoengine", "mongodb", "mongoose", "go.mongodb.org"),
    "RabbitMQ": ("pika", "aio-pika", "amqplib", "rabbitmq/amqp091-go"),
    "Kafka": ("kafka-python", "aiokafka", "confluent-kafka", "kafkajs", "segmentio/kafka-go"),
    "Elasticsearch": ("elasticsearch", "@elastic/elasticsearch", "olivere/elastic"),
}


@dataclass(frozen=True)
class Drivers:
    """Engine → the file that shows it; and stores that golive does not run, with the file."""

    engines: dict[str, str]
    others: dict[str, str]


def find_drivers(checkout: Checkout, folders: tuple[str, ...]) -> Drivers:
    """What the dependency files of these folders say."""
    found = Drivers({}, {})
    for folder in dict.fromkeys(folders):
        _python(checkout, folder, found)
        _node(checkout, folder, found)
        _go(checkout, folder, found)
        _prisma(checkout, folder, found)
    return found


def _note(found: Drivers, names: frozenset[str], table: Mapping[str, tuple[str, ...]], evidence: str) -> None:
    for engine, packages in table.items():
        if names & set(packages):
            found.engines.setdefault(engine, evidence)
    for store, packages in _OTHERS.items():
        if names & set(packages):
            found.others.setdefault(store, evidence)


def _python(checkout: Checkout, folder: str, found: Drivers) -> None:
    if listed := dependencies(checkout, folder):
        _note(found, listed.names, _PYTHON, join(folder, listed.evidence))


def _node(checkout: Checkout, folder: str, found: Drivers) -> None:
    file = join(folder, "package.json")
    try:
        manifest = json.loads(checkout.read(file) or "{}")
    except (ValueError, RecursionError):
        return
    listed = manifest.get("dependencies") if isinstance(manifest, dict) else None
    if isinstance(listed, dict):
        _note(found, frozenset(map(str, listed)), _NODE, file)


def _go(checkout: Checkout, folder: str, found: Drivers) -> None:
    file = join(folder, "go.mod")
    text = checkout.read(file) or ""
    for engine, pattern in _GO.items():
        if pattern.search(text):
            found.engines.setdefault(engine, file)
    for store, packages in _OTHERS.items():
        if any("/" in package and f"{package} " in text for package in packages if not package.startswith("@")):
            found.others.setdefault(store, file)


def _prisma(checkout: Checkout, folder: str, found: Drivers) -> None:
    """Prisma brings its own driver: its schema says which."""
    for name in ("prisma/schema.prisma", "schema.prisma", "prisma/schema/schema.prisma"):
        text = checkout.read(join(folder, name)) or ""
        provider = re.search(r'datasource\s+\w+\s*\{[^}]*?provider\s*=\s*"(\w+)"', text)
        if provider and provider[1] in ("postgresql", "postgres"):
            found.engines.setdefault("postgres", join(folder, name))
        elif provider and provider[1] in ("mysql", "mongodb"):
            store = {"mysql": "MySQL", "mongodb": "MongoDB"}[provider[1]]
            found.others.setdefault(store, join(folder, name))
