"""Moves between stores that are under way."""

from __future__ import annotations

import time

from golive.state.database import Database
from golive.state.records import MoveRow, Place


class Moves(Database):
    """Table move."""

    def add_move(self, place: Place, name: str, settings: str, actor: str) -> None:
        self._run("INSERT INTO move VALUES (?, ?, ?, ?, ?, ?)", *place, name, settings, time.time(), actor)

    def moves(self, place: Place | None = None) -> list[MoveRow]:
        """In the order of their names."""
        where, values = (" WHERE app = ? AND environment = ?", place) if place else ("", ())
        rows = self._all(f"SELECT * FROM move{where} ORDER BY app, environment, name", *values)  # noqa: S608 - ours
        return [
            MoveRow(
                Place(row["app"], row["environment"]), row["name"], row["settings"], row["started_at"], row["actor"]
            )
            for row in rows
        ]

    def forget_move(self, place: Place, name: str) -> None:
        self._run("DELETE FROM move WHERE app = ? AND environment = ? AND name = ?", *place, name)
