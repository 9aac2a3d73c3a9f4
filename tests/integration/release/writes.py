"""Rows that somebody writes to the app's database all the time, and what was acknowledged of them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

PATIENCE = 60.0


@dataclass
class Writes:
    url: str
    done: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """One row after the other; a connection that ends is followed by the next."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS written (id int PRIMARY KEY, much text)")
        thread = threading.Thread(target=self._write)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _write(self) -> None:
        number = 0
        while not self._stop.is_set():
            try:
                with psycopg.connect(self.url, autocommit=True, connect_timeout=2) as connection:
                    while not self._stop.is_set():
                        number += 1
                        connection.execute("INSERT INTO written VALUES (%s, repeat('x', 500))", (number,))
                        self.done.append(number)
                        time.sleep(0.001)
            except psycopg.Error as error:
                self.refused.append(str(error))
                time.sleep(0.02)

    async def go_on(self, count: int = 20) -> None:
        """So many more were acknowledged."""
        wanted = len(self.done) + count
        await until(f"{count} more writes", lambda: len(self.done) >= wanted)

    def lost(self) -> set[int]:
        with psycopg.connect(self.url) as connection:
            found = {row[0] for row in connection.execute("SELECT id FROM written")}
        return set(self.done) - found


async def until(what: str, condition: Callable[[], object]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.02)
            return
    raise AssertionError(f"waited in vain: {what}")
