"""What runs: generations, instances, processes, how many are wanted, and scheduled runs."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection
from typing import Any

from golive.errors import NotFound
from golive.state.database import Database
from golive.state.records import Generation, GenerationState, Instance, Place


class Running(Database):
    """Tables generation, instance, process, scale and cron_run."""

    def add_generation(self, place: Place, service: str, release: int, deployment: int, fingerprint: str) -> Generation:
        cursor = self._run(
            "INSERT INTO generation (app, environment, service, release, deployment, fingerprint, state)"
            " VALUES (?, ?, ?, ?, ?, ?, 'starting')",
            *place,
            service,
            release,
            deployment,
            fingerprint,
        )
        return self.generation(int(cursor.lastrowid or 0))

    def generation(self, id: int) -> Generation:
        row = self._one("SELECT * FROM generation WHERE id = ?", id)
        if row is None:
            raise NotFound(f"there is no generation {id}")
        return _generation(row)

    def generations(
        self, place: Place | None = None, states: Collection[GenerationState] | None = None
    ) -> list[Generation]:
        """Oldest first; all but the stopped ones when `states` is left out."""
        wanted = tuple(states) if states is not None else tuple(s for s in GenerationState if s != "stopped")
        marks = ", ".join("?" * len(wanted))
        sql = f"SELECT * FROM generation WHERE state IN ({marks})"  # noqa: S608 - question marks only
        if place is not None:
            return [
                _generation(r) for r in self._all(f"{sql} AND app = ? AND environment = ? ORDER BY id", *wanted, *place)
            ]
        return [_generation(r) for r in self._all(f"{sql} ORDER BY id", *wanted)]

    def set_generation(
        self, id: int, state: GenerationState, *, drain_until: float | None = None, warm_until: float | None = None
    ) -> None:
        self._run(
            "UPDATE generation SET state = ?, drain_until = ?, warm_until = ? WHERE id = ?",
            state,
            drain_until,
            warm_until,
            id,
        )

    def add_instance(
        self, unit: str, generation: int, slot: int, port: int | None, grpc_port: int | None = None
    ) -> Instance:
        values = (unit, generation, slot, port, grpc_port)
        self._run("INSERT INTO instance (unit, generation, slot, port, grpc_port) VALUES (?, ?, ?, ?, ?)", *values)
        return Instance(*values)

    def instances(self, generation: int) -> list[Instance]:
        return [
            Instance(*r) for r in self._all("SELECT * FROM instance WHERE generation = ? ORDER BY slot", generation)
        ]

    def remove_instance(self, unit: str) -> None:
        self._run("DELETE FROM instance WHERE unit = ?", unit)
        self.forget_process(unit)

    def ports(self) -> set[int]:
        """Every port promised to an instance or a resource."""
        rows = self._all(
            "SELECT port, grpc_port FROM instance JOIN generation ON generation.id = instance.generation"
            " WHERE generation.state != 'stopped' UNION SELECT port, NULL FROM resource"
        )
        return {port for row in rows for port in row if port is not None}

    def remember_process(self, unit: str, pid: int, started: str, restarts: int) -> None:
        self._run(
            "INSERT INTO process (unit, pid, started, restarts) VALUES (?, ?, ?, ?) ON CONFLICT (unit)"
            " DO UPDATE SET pid = excluded.pid, started = excluded.started, restarts = excluded.restarts",
            unit,
            pid,
            started,
            restarts,
        )

    def process(self, unit: str) -> tuple[int, str, int] | None:
        """(pid, started, restarts)"""
        row = self._one("SELECT pid, started, restarts FROM process WHERE unit = ?", unit)
        return tuple(row) if row else None

    def processes(self) -> dict[str, tuple[int, str, int]]:
        return {row[0]: tuple(row[1:]) for row in self._all("SELECT unit, pid, started, restarts FROM process")}

    def forget_process(self, unit: str) -> None:
        self._run("DELETE FROM process WHERE unit = ?", unit)

    def scale(self, place: Place, service: str) -> int | None:
        row = self._one(
            "SELECT instances FROM scale WHERE app = ? AND environment = ? AND service = ?", *place, service
        )
        return row[0] if row else None

    def set_scale(self, place: Place, service: str, instances: int) -> None:
        self._run("INSERT OR REPLACE INTO scale VALUES (?, ?, ?, ?)", *place, service, instances)

    def begin_cron_run(self, place: Place, service: str, due_at: float) -> bool:
        """False when that moment's run was begun already."""
        cursor = self._run(
            "INSERT OR IGNORE INTO cron_run (app, environment, service, due_at, started_at) VALUES (?, ?, ?, ?, ?)",
            *place,
            service,
            due_at,
            time.time(),
        )
        return cursor.rowcount > 0

    def end_cron_run(self, place: Place, service: str, due_at: float, outcome: str) -> None:
        self._run(
            "UPDATE cron_run SET ended_at = ?, outcome = ?"
            " WHERE app = ? AND environment = ? AND service = ? AND due_at = ?",
            time.time(),
            outcome,
            *place,
            service,
            due_at,
        )

    def open_cron_runs(self) -> list[tuple[Place, str, float]]:
        """(place, service, due_at) of the runs that have begun and not ended."""
        rows = self._all("SELECT app, environment, service, due_at FROM cron_run WHERE ended_at IS NULL")
        return [(Place(row[0], row[1]), row[2], row[3]) for row in rows]

    def last_cron_run(self, place: Place, service: str) -> dict[str, Any] | None:
        row = self._one(
            "SELECT due_at, started_at, ended_at, outcome FROM cron_run"
            " WHERE app = ? AND environment = ? AND service = ? ORDER BY due_at DESC LIMIT 1",
            *place,
            service,
        )
        return dict(row) if row else None


def _generation(row: sqlite3.Row) -> Generation:
    place = Place(row["app"], row["environment"])
    until = (row["drain_until"], row["warm_until"])
    middle = (row["service"], row["release"], row["deployment"], row["fingerprint"])
    return Generation(row["id"], place, *middle, GenerationState(row["state"]), *until)
