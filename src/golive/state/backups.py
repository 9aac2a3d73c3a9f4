"""Base backups and drills that were begun, and how they ended."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any

from golive.state.database import Database
from golive.state.records import BackupKind, BackupRun, Place

KEPT = 100
"""Runs that are remembered of each kind."""


class Backups(Database):
    """Table backup_run."""

    def begin_backup_run(self, place: Place, resource: str, kind: BackupKind) -> int:
        cursor = self._run(
            "INSERT INTO backup_run (app, environment, resource, kind, started_at, detail)"
            " VALUES (?, ?, ?, ?, ?, '{}')",
            *(*place, resource, kind, time.time()),
        )
        self._run(
            "DELETE FROM backup_run WHERE app = ? AND environment = ? AND resource = ? AND kind = ? AND id NOT IN"
            " (SELECT id FROM backup_run WHERE app = ? AND environment = ? AND resource = ? AND kind = ?"
            " ORDER BY id DESC LIMIT ?)",
            *(*place, resource, kind, *place, resource, kind, KEPT),
        )
        return int(cursor.lastrowid or 0)

    def end_backup_run(self, id: int, error: dict[str, Any] | None, detail: dict[str, Any]) -> None:
        failed = json.dumps(error) if error else None
        sql = "UPDATE backup_run SET ended_at = ?, error = ?, detail = ? WHERE id = ?"
        self._run(sql, time.time(), failed, json.dumps(detail), id)

    def backup_runs(self, place: Place, resource: str, kind: BackupKind) -> list[BackupRun]:
        """Newest first."""
        rows = self._all(
            "SELECT * FROM backup_run WHERE app = ? AND environment = ? AND resource = ? AND kind = ? ORDER BY id DESC",
            *(*place, resource, kind),
        )
        return [_run(row) for row in rows]

    def end_interrupted_backup_runs(self, error: dict[str, Any]) -> None:
        """What an earlier daemon had begun."""
        sql = "UPDATE backup_run SET ended_at = ?, error = ? WHERE ended_at IS NULL"
        self._run(sql, time.time(), json.dumps(error))


def _run(row: sqlite3.Row) -> BackupRun:
    error = json.loads(row["error"]) if row["error"] else None
    return BackupRun(row["id"], row["kind"], row["started_at"], row["ended_at"], error, json.loads(row["detail"]))
