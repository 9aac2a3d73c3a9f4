"""Copies of resources: what a row `<resource>@<label>` in the table of resources is."""

from __future__ import annotations

import json
import sqlite3

from golive.state.database import Database
from golive.state.records import Copy, CopyState, Place


class Copies(Database):
    """Table copy."""

    def add_copy(self, row: Copy) -> None:
        self._run(
            "INSERT INTO copy (app, environment, name, resource, kind, state, origin, settings, created_at, actor,"
            " expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *row.place,
            row.name,
            row.resource,
            row.kind,
            row.state,
            row.origin,
            json.dumps(row.settings),
            row.created_at,
            row.actor,
            row.expires_at,
        )

    def copies(self, place: Place | None = None) -> list[Copy]:
        """By name; of every environment when none is named."""
        if place is None:
            return [_copy(row) for row in self._all("SELECT * FROM copy ORDER BY app, environment, name")]
        rows = self._all("SELECT * FROM copy WHERE app = ? AND environment = ? ORDER BY name", *place)
        return [_copy(row) for row in rows]

    def copy(self, place: Place, name: str) -> Copy | None:
        row = self._one("SELECT * FROM copy WHERE app = ? AND environment = ? AND name = ?", *place, name)
        return _copy(row) if row else None

    def set_copy(
        self, copy: Copy, state: CopyState, *, origin: str | None = None, expires_at: float | None = None
    ) -> None:
        """What is not given stays as it was."""
        self._run(
            "UPDATE copy SET state = ?, origin = coalesce(?, origin), expires_at = coalesce(?, expires_at)"
            " WHERE app = ? AND environment = ? AND name = ?",
            state,
            origin,
            expires_at,
            *copy.place,
            copy.name,
        )

    def forget_copy(self, copy: Copy) -> None:
        """Its resource row too."""
        with self.transaction():
            for table in ("copy", "resource"):
                sql = f"DELETE FROM {table} WHERE app = ? AND environment = ? AND name = ?"  # noqa: S608 - constants
                self._run(sql, *copy.place, copy.name)


def _copy(row: sqlite3.Row) -> Copy:
    head = (Place(row["app"], row["environment"]), row["name"], row["resource"], row["kind"], row["state"])
    tail = (json.loads(row["settings"]), row["created_at"], row["actor"], row["expires_at"])
    return Copy(*head, row["origin"], *tail)
