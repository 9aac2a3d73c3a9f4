"""The schema that each release was made for: what was applied when it went live, and the shape of it."""

from __future__ import annotations

import json

from golive.state.database import Database
from golive.state.records import Place, ReleaseSchema


class Schemas(Database):
    """Table release_schema."""

    def set_release_schema(self, place: Place, number: int, schema: ReleaseSchema) -> None:
        """In place of the one before."""
        self._run(
            "INSERT OR REPLACE INTO release_schema (app, environment, number, applied, contracts, shape)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            *place,
            number,
            json.dumps(schema.applied),
            json.dumps(schema.contracts),
            schema.shape,
        )

    def release_schemas(self, place: Place) -> dict[int, ReleaseSchema]:
        """By the number of the release."""
        rows = self._all("SELECT * FROM release_schema WHERE app = ? AND environment = ?", *place)
        return {
            row["number"]: ReleaseSchema(
                tuple(json.loads(row["applied"])), tuple(json.loads(row["contracts"])), row["shape"]
            )
            for row in rows
        }

    def forget_release_schema(self, place: Place, number: int) -> None:
        self._run("DELETE FROM release_schema WHERE app = ? AND environment = ? AND number = ?", *place, number)
