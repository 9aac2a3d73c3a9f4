"""Environments of apps and their releases."""

from __future__ import annotations

import json
import sqlite3
import time

from golive.errors import NotFound
from golive.state.database import Database
from golive.state.records import App, Place, Release
from golive.state.vault import Environments


class Apps(Database):
    """Tables app and release."""

    def apps(self) -> list[App]:
        return [_app(row) for row in self._all("SELECT * FROM app ORDER BY app, environment")]

    def app(self, place: Place) -> App | None:
        row = self._one("SELECT * FROM app WHERE app = ? AND environment = ?", *place)
        return _app(row) if row else None

    def remember_app(self, place: Place, checkout: str) -> None:
        self._run(
            "INSERT INTO app (app, environment, checkout, created_at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (app, environment) DO UPDATE SET checkout = excluded.checkout",
            *place,
            checkout,
            time.time(),
        )

    def set_live(self, place: Place, number: int) -> None:
        self._run("UPDATE app SET live = ? WHERE app = ? AND environment = ?", number, *place)

    def clear_live(self, place: Place) -> None:
        self._run("UPDATE app SET live = NULL WHERE app = ? AND environment = ?", *place)

    def forget_app(self, place: Place) -> None:
        """Everything of an environment but its audit log."""
        with self.transaction():
            self._run(_OWN_PROCESSES, *place, *place, *place)
            for table in _TABLES:
                self._run(f"DELETE FROM {table} WHERE app = ? AND environment = ?", *place)  # noqa: S608 - constants

    def next_release_number(self, place: Place) -> int:
        row = self._one("SELECT max(number) FROM release WHERE app = ? AND environment = ?", *place)
        return (row[0] or 0) + 1 if row else 1

    def add_release(self, release: Release, environments: Environments) -> None:
        self._run(
            "INSERT INTO release (app, environment, number, state, blueprint, artifacts, environments, schema_version,"
            " created_at, actor) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *release.place,
            release.number,
            release.state,
            release.blueprint,
            json.dumps(release.artifacts),
            self._vault.seal_environments(environments, f"{release.place} release {release.number}"),
            release.schema_version,
            release.created_at,
            release.actor,
        )

    def release(self, place: Place, number: int) -> Release:
        row = self._one("SELECT * FROM release WHERE app = ? AND environment = ? AND number = ?", *place, number)
        if row is None:
            raise NotFound(f"{place} has no release {number}", hint="golive releases lists them")
        return _release(row)

    def releases(self, place: Place) -> list[Release]:
        """Newest first."""
        rows = self._all("SELECT * FROM release WHERE app = ? AND environment = ? ORDER BY number DESC", *place)
        return [_release(row) for row in rows]

    def release_environments(self, place: Place, number: int) -> Environments:
        row = self._one(
            "SELECT environments FROM release WHERE app = ? AND environment = ? AND number = ?", *place, number
        )
        return self._vault.unseal_environments(row[0], f"{place} release {number}") if row else {}

    def set_release(self, place: Place, number: int, state: str, schema_version: str | None = None) -> None:
        self._run(
            "UPDATE release SET state = ?, schema_version = coalesce(?, schema_version)"
            " WHERE app = ? AND environment = ? AND number = ?",
            state,
            schema_version,
            *place,
            number,
        )


_TABLES = (
    *("deployment", "generation", "release", "resource", "variable", "scale", "cron_run"),
    *("maintenance", "suspension", "shift", "copy", "release_schema", "move", "backup_run", "app"),
)
_OWN_PROCESSES = """
DELETE FROM process WHERE unit IN (
    SELECT app || '/' || environment || '/resource/' || name FROM resource WHERE app = ? AND environment = ?
    UNION ALL
    SELECT app || '/' || environment || '/resource/' || name || '/wal' FROM resource
    WHERE app = ? AND environment = ?
    UNION ALL
    SELECT process.unit FROM process JOIN generation ON
        instr(process.unit, app || '/' || environment || '/' || service || '/d' || generation.id || '/') = 1
    WHERE app = ? AND environment = ?
)"""
"""Not by the name of the place: `shop/preview` is the beginning of `shop/preview/x`."""


def _app(row: sqlite3.Row) -> App:
    return App(Place(row["app"], row["environment"]), row["checkout"], row["live"], row["created_at"])


def _release(row: sqlite3.Row) -> Release:
    place = Place(row["app"], row["environment"])
    rest = (row["schema_version"], row["created_at"], row["actor"])
    return Release(place, row["number"], row["state"], row["blueprint"], json.loads(row["artifacts"]), *rest)
