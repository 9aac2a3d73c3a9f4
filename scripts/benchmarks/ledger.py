"""Rows written to a database and what was promised of them: the server's word is held against what is there later."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import psycopg

TABLE = "CREATE TABLE IF NOT EXISTS kept (writer int, n int, filling text, PRIMARY KEY (writer, n))"
INSERT = "INSERT INTO kept VALUES (%s, %s, repeat('x', 100))"
DIGEST = "count(*)::int, coalesce(sum(hashint8(writer::bigint << 40 | n))::bigint, 0)"
STATE = f"SELECT {DIGEST} FROM kept"
AT = f"SELECT {DIGEST} FROM kept WHERE pg_xact_commit_timestamp(xmin) <= %s"


@dataclass(frozen=True)
class Moment:
    """`digest` is what the server itself says was committed up to `at`, the server's time."""

    at: Any
    digest: tuple[Any, ...]


@dataclass
class Ledger:
    """Writers that commit row after row, each acknowledged; a row whose commit was cut off was never promised."""

    url: str
    statement: str = INSERT
    """Of the writer's number and the row's."""
    acknowledged: dict[int, dict[int, float]] = field(default_factory=dict)
    """When (monotonic) each row of each writer was."""
    connections: dict[int, int] = field(default_factory=dict)
    """How often each writer has connected and had a row acknowledged since."""
    _seen: dict[int, int] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def writing(self, writers: int) -> Iterator[None]:
        threads = [threading.Thread(target=self._write, args=(writer,)) for writer in range(writers)]
        for writer, thread in enumerate(threads):
            self.acknowledged[writer] = {}
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _write(self, writer: int) -> None:
        mine, n = self.acknowledged[writer], 0
        while not self._stop.is_set():
            try:
                with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
                    first = True
                    while not self._stop.is_set():
                        n += 1
                        connection.execute(self.statement, (writer, n))
                        mine[n] = time.monotonic()
                        self.connections[writer] = self.connections.get(writer, 0) + first
                        first = False
            except psycopg.Error:
                self._stop.wait(0.02)

    def counts(self) -> dict[int, int]:
        return {writer: len(rows) for writer, rows in self.acknowledged.items()}

    def goes_on(self, since: dict[int, int]) -> bool:
        """Each writer has had a row acknowledged since those `counts`."""
        return all(len(rows) > since[writer] for writer, rows in self.acknowledged.items())

    def is_back(self, since: dict[int, int]) -> bool:
        """Each writer has had one on another connection than at those `connections`."""
        return all(self.connections.get(writer, 0) > since.get(writer, 0) for writer in self.acknowledged)

    def lost(self, *, all_of_it: bool = False) -> list[tuple[int, int, float]]:
        """(writer, row, when it was acknowledged) of those that are not there: of the new ones since the last call."""
        found = []
        with self._patiently() as connection:
            for writer, rows in self.acknowledged.items():
                first = 0 if all_of_it else self._seen.get(writer, 0)
                promised = {n: at for n, at in rows.copy().items() if n > first}
                there = {
                    row[0]
                    for row in connection.execute("SELECT n FROM kept WHERE writer = %s AND n > %s", (writer, first))
                }
                found += [(writer, n, at) for n, at in promised.items() if n not in there]
                self._seen[writer] = max(promised, default=first)
        return found

    def _patiently(self) -> psycopg.Connection[Any]:
        deadline = time.monotonic() + 60
        while True:
            try:
                return psycopg.connect(self.url, autocommit=True)
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def forgive(self, lost: list[tuple[int, int, float]]) -> None:
        """They were counted, and do not come back."""
        for writer, n, _ in lost:
            del self.acknowledged[writer][n]

    def longest_wait(self, began: float, ended: float) -> float:
        """Seconds between two rows of a writer, the longest of those that reach into that time (monotonic)."""
        longest = 0.0
        for rows in self.acknowledged.values():
            times = [*rows.copy().values(), time.monotonic()]
            waits = (after - before for before, after in pairwise(times) if after >= began and before <= ended)
            longest = max(longest, max(waits, default=0.0))
        return longest

    def moment(self) -> Moment:
        """Now, and what the server says of it a moment later, when every commit of it has ended."""
        with self._patiently() as connection:
            row = connection.execute("SELECT clock_timestamp()").fetchone()
            assert row
            time.sleep(0.1)
            digest = connection.execute(AT, row).fetchone()
            assert digest
            return Moment(row[0], digest)
