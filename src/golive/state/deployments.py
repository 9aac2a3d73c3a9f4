"""Deployments and their journal, and the moment at which one cannot be undone any more."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection
from typing import Any

from golive.errors import NotFound
from golive.state.apps import Apps
from golive.state.records import Deployment, DeploymentState, GenerationState, Place, Step
from golive.state.running import Running


class Deployments(Apps, Running):
    """Tables deployment and step."""

    def queue_deployment(self, place: Place, kind: str, request: dict[str, Any], actor: str) -> int:
        cursor = self._run(
            "INSERT INTO deployment (app, environment, kind, state, request, actor, queued_at)"
            " VALUES (?, ?, ?, 'queued', ?, ?, ?)",
            *place,
            kind,
            json.dumps(request),
            actor,
            time.time(),
        )
        return int(cursor.lastrowid or 0)

    def begin_deployment(self, id: int, previous: int | None) -> None:
        self._run(
            "UPDATE deployment SET state = 'running', started_at = ?, previous = ? WHERE id = ?",
            time.time(),
            previous,
            id,
        )

    def set_deployment_release(self, id: int, number: int) -> None:
        self._run("UPDATE deployment SET release = ? WHERE id = ?", number, id)

    def set_deployment_result(self, id: int, result: dict[str, Any]) -> None:
        self._run("UPDATE deployment SET result = ? WHERE id = ?", json.dumps(result), id)

    def end_deployment(self, id: int, state: DeploymentState, error: dict[str, Any] | None = None) -> None:
        self._run(
            "UPDATE deployment SET state = ?, ended_at = ?, error = ? WHERE id = ?",
            state,
            time.time(),
            json.dumps(error) if error else None,
            id,
        )

    def deployment(self, id: int) -> Deployment:
        row = self._one("SELECT * FROM deployment WHERE id = ?", id)
        if row is None:
            raise NotFound(f"there is no deployment {id}")
        return _deployment(row)

    def deployments(self, place: Place | None = None, *, limit: int = 50) -> list[Deployment]:
        """Newest first."""
        if place is None:
            rows = self._all("SELECT * FROM deployment ORDER BY id DESC LIMIT ?", limit)
        else:
            rows = self._all(
                "SELECT * FROM deployment WHERE app = ? AND environment = ? ORDER BY id DESC LIMIT ?", *place, limit
            )
        return [_deployment(row) for row in rows]

    def unfinished_deployments(self) -> list[Deployment]:
        """Queued and running, oldest first."""
        rows = self._all("SELECT * FROM deployment WHERE state IN ('queued', 'running') ORDER BY id")
        return [_deployment(row) for row in rows]

    def begin_step(self, deployment: int, name: str) -> int:
        row = self._one("SELECT count(*) FROM step WHERE deployment = ?", deployment)
        position = row[0] if row else 0
        self._run(
            "INSERT INTO step (deployment, position, name, state, started_at) VALUES (?, ?, ?, 'running', ?)",
            deployment,
            position,
            name,
            time.time(),
        )
        return int(position)

    def end_step(self, deployment: int, position: int, state: str, detail: str = "") -> None:
        self._run(
            "UPDATE step SET state = ?, ended_at = ?, detail = ? WHERE deployment = ? AND position = ?",
            state,
            time.time(),
            detail,
            deployment,
            position,
        )

    def steps(self, deployment: int) -> list[Step]:
        return [
            Step(*row) for row in self._all("SELECT * FROM step WHERE deployment = ? ORDER BY position", deployment)
        ]

    def forget_history(self, before: float) -> None:
        """Deployments that ended before that moment with their steps, what they started, and runs of cron.

        The newest deployment of every environment stays, and so does all of the audit log.
        """
        with self.transaction():
            self._run(
                "DELETE FROM deployment WHERE state NOT IN ('queued', 'running') AND ended_at < ?"
                " AND id NOT IN (SELECT max(id) FROM deployment GROUP BY app, environment)"
                " AND id NOT IN (SELECT deployment FROM generation WHERE state != 'stopped')",
                before,
            )
            self._run(
                "DELETE FROM generation WHERE state = 'stopped' AND deployment NOT IN (SELECT id FROM deployment)"
            )
            self._run("DELETE FROM cron_run WHERE ended_at < ?", before)

    def commit(
        self, deployment: int, live: Collection[int], draining: Collection[int], until: tuple[float, float]
    ) -> None:
        """The moment a deployment cannot be undone any more: its generations are live, the ones before drain.

        `until` is when draining and being warm end. From here on the edge is brought in line with this, whatever dies.
        """
        row = self.deployment(deployment)
        with self.transaction():
            for id in draining:
                self.set_generation(id, GenerationState.DRAINING, drain_until=until[0], warm_until=until[1])
            for id in live:
                self.set_generation(id, GenerationState.LIVE)
            if row.release is not None:
                self.set_live(row.place, row.release)
                self.set_release(row.place, row.release, "ready")
            self._run("UPDATE deployment SET committed = 1 WHERE id = ?", deployment)

    def retract(self, deployment: int, before: int | None, live: Collection[int], draining: Collection[int]) -> None:
        """The inverse of `commit`, for when the edge refused the change or the new release does not answer."""
        place = self.deployment(deployment).place
        with self.transaction():
            for id in live:
                self.set_generation(id, GenerationState.DRAINING, drain_until=time.time() + 30)
            for id in draining:
                self.set_generation(id, GenerationState.LIVE)
            self._run("UPDATE app SET live = ? WHERE app = ? AND environment = ?", before, *place)
            self._run("UPDATE deployment SET committed = 0 WHERE id = ?", deployment)


def _deployment(row: sqlite3.Row) -> Deployment:
    return Deployment(
        id=row["id"],
        place=Place(row["app"], row["environment"]),
        kind=row["kind"],
        state=DeploymentState(row["state"]),
        request=json.loads(row["request"]),
        actor=row["actor"],
        release=row["release"],
        previous=row["previous"],
        committed=bool(row["committed"]),
        queued_at=row["queued_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        error=json.loads(row["error"]) if row["error"] else None,
        result=json.loads(row["result"]) if row["result"] else None,
    )
