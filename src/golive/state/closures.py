"""Who answers: maintenance of environments, services that are suspended, and visitors who go to another service."""

from __future__ import annotations

import json
import sqlite3
import time

from golive.state.database import Database
from golive.state.records import Maintenance, Place, Shift


class Closures(Database):
    """Tables maintenance, suspension and shift."""

    def set_maintenance(self, row: Maintenance) -> None:
        """In place of the one before."""
        self._run(
            "INSERT OR REPLACE INTO maintenance"
            " (app, environment, since, until, actor, services, message, page, allow, pass)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *row.place,
            row.since,
            row.until,
            row.actor,
            json.dumps(row.services),
            row.message,
            row.page,
            json.dumps(row.allow),
            self._vault.seal(row.token, _context(row.place)),
        )

    def maintenance(self, place: Place) -> Maintenance | None:
        row = self._one("SELECT * FROM maintenance WHERE app = ? AND environment = ?", *place)
        return self._maintenance(row) if row else None

    def maintenances(self) -> list[Maintenance]:
        """Of every environment that has one."""
        return [self._maintenance(row) for row in self._all("SELECT * FROM maintenance")]

    def next_maintenance_end(self) -> float | None:
        """When the first of those that end by themselves does."""
        row = self._one("SELECT min(until) FROM maintenance")
        return row[0] if row else None

    def end_maintenance(self, place: Place) -> bool:
        cursor = self._run("DELETE FROM maintenance WHERE app = ? AND environment = ?", *place)
        return cursor.rowcount > 0

    def _maintenance(self, row: sqlite3.Row) -> Maintenance:
        place = Place(row["app"], row["environment"])
        return Maintenance(
            place=place,
            since=row["since"],
            until=row["until"],
            actor=row["actor"],
            token=self._vault.unseal(row["pass"], _context(place)),
            services=tuple(json.loads(row["services"])),
            message=row["message"],
            page=row["page"],
            allow=tuple(json.loads(row["allow"])),
        )

    def suspend(self, place: Place, service: str, actor: str) -> None:
        """Nothing changes when it is suspended already."""
        self._run("INSERT OR IGNORE INTO suspension VALUES (?, ?, ?, ?, ?)", *place, service, time.time(), actor)

    def resume(self, place: Place, service: str) -> None:
        self._run("DELETE FROM suspension WHERE app = ? AND environment = ? AND service = ?", *place, service)

    def suspended(self, place: Place) -> dict[str, float]:
        """Service → since when."""
        rows = self._all("SELECT service, since FROM suspension WHERE app = ? AND environment = ?", *place)
        return {row[0]: row[1] for row in rows}

    def set_shift(self, shift: Shift) -> None:
        """In place of the one before."""
        values = (*shift.place, shift.service, shift.replaced, shift.before, shift.percent, shift.since, shift.until)
        self._run("INSERT OR REPLACE INTO shift VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *values)

    def shifts(self, place: Place | None = None) -> list[Shift]:
        """Of one environment, or of all."""
        if place is None:
            rows = self._all("SELECT * FROM shift")
        else:
            rows = self._all("SELECT * FROM shift WHERE app = ? AND environment = ?", *place)
        return [Shift(Place(row[0], row[1]), *tuple(row)[2:]) for row in rows]


def _context(place: Place) -> str:
    return f"{place} maintenance"
