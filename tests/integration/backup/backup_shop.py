"""A database to back up, and what backs it up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psycopg

from golive.backup.archive import Key
from golive.backup.location import Folder
from golive.backup.server import Server
from golive.data.postgres import Postgres
from golive.secret import Secret
from golive.system.processes import Process

SOURCE = "shop/production/db"


@dataclass
class Shop:
    """A database with a receiver beside it; `scratch` is how a restored one runs."""

    store: Postgres
    process: Process
    server: Server
    scratch: Server
    location: Folder
    received: Path
    key: Key

    @property
    def url(self) -> str:
        value = self.store.variables()["url"]
        assert isinstance(value, Secret)
        return value.reveal()

    def sql(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(query)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    @property
    def beside(self) -> Path:
        """Where restored folders go."""
        return self.store.folder
