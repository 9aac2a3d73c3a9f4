"""Resources and variables with their sealed values, and the audit log."""

from __future__ import annotations

import json
import time
from typing import Any

from golive.blueprint.env import scopes
from golive.secret import Secret
from golive.state.database import Database
from golive.state.records import AuditEntry, Place, ResourceRow


class Settings(Database):
    """Tables resource, variable and audit."""

    def add_resource(self, row: ResourceRow, password: Secret) -> None:
        self._run(
            "INSERT INTO resource VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *row.place,
            row.name,
            row.engine,
            row.version,
            row.port,
            self._vault.seal(password, f"{row.place} resource {row.name}"),
            time.time(),
        )

    def resources(self, place: Place) -> list[ResourceRow]:
        rows = self._all("SELECT * FROM resource WHERE app = ? AND environment = ? ORDER BY name", *place)
        return [ResourceRow(Place(r[0], r[1]), r[2], r[3], r[4], r[5], r[6]) for r in rows]

    def set_resource_version(self, place: Place, name: str, version: str) -> None:
        sql = "UPDATE resource SET version = ? WHERE app = ? AND environment = ? AND name = ?"
        self._run(sql, version, *place, name)

    def resource_password(self, row: ResourceRow) -> Secret:
        return self._vault.unseal(row.sealed_password, f"{row.place} resource {row.name}")

    def variables(self, place: Place) -> dict[str, Secret]:
        """What is in force there: `preview`'s values for every preview, over them those of its own."""
        found: dict[str, Secret] = {}
        for scope in scopes(place.environment):
            found |= self.own_variables(Place(place.app, scope))
        return found

    def own_variables(self, place: Place) -> dict[str, Secret]:
        """What was set for exactly that environment."""
        rows = self._all("SELECT name, value FROM variable WHERE app = ? AND environment = ?", *place)
        return {row[0]: self._vault.unseal(row[1], f"{place} variable {row[0]}") for row in rows}

    def variable_ages(self, place: Place) -> dict[str, tuple[float, str]]:
        """name → (when it was set for exactly that environment, by whom)"""
        rows = self._all("SELECT name, set_at, set_by FROM variable WHERE app = ? AND environment = ?", *place)
        return {row[0]: (row[1], row[2]) for row in rows}

    def set_variable(self, place: Place, name: str, value: Secret, actor: str) -> None:
        sealed = self._vault.seal(value, f"{place} variable {name}")
        self._run("INSERT OR REPLACE INTO variable VALUES (?, ?, ?, ?, ?, ?)", *place, name, sealed, time.time(), actor)

    def unset_variable(self, place: Place, name: str) -> bool:
        cursor = self._run("DELETE FROM variable WHERE app = ? AND environment = ? AND name = ?", *place, name)
        return cursor.rowcount > 0

    def audit(self, actor: str, action: str, place: Place | None = None, **detail: Any) -> None:
        app, environment = place or (None, None)
        self._run(
            "INSERT INTO audit (at, actor, action, app, environment, detail) VALUES (?, ?, ?, ?, ?, ?)",
            time.time(),
            actor,
            action,
            app,
            environment,
            json.dumps(detail),
        )

    def audit_log(self, place: Place | None = None, *, limit: int = 100) -> list[AuditEntry]:
        """Newest first."""
        where, values = ("WHERE app = ? AND environment = ?", tuple(place)) if place else ("", ())
        rows = self._all(f"SELECT * FROM audit {where} ORDER BY id DESC LIMIT ?", *values, limit)  # noqa: S608
        return [
            AuditEntry(r["id"], r["at"], r["actor"], r["action"], r["app"], r["environment"], json.loads(r["detail"]))
            for r in rows
        ]
