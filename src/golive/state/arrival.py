"""A state that came to another machine in a backup: what was true of the old one is taken out."""

from __future__ import annotations

import time

from golive.state.database import Database
from golive.state.records import Generation, Instance, Place, Release, ResourceRow
from golive.state.vault import Environments


class Arrival(Database):
    """Changes to tables that are otherwise only added to."""

    def arrive(self) -> list[str]:
        """Nothing runs, nothing is under way, and copies of resources stayed behind: their names, with their place.

        Done again it changes nothing more.
        """
        copies = [f"{Place(*row[:2])}/{row[2]}" for row in self._all("SELECT app, environment, name FROM copy")]
        with self.transaction():
            for statement in _ARRIVE:
                self._run(statement)
            self._run("UPDATE deployment SET state = 'done', ended_at = ? WHERE ended_at IS NULL AND committed", _now())
            self._run("UPDATE deployment SET state = 'undone', ended_at = ? WHERE ended_at IS NULL", _now())
        return copies

    def last_change(self) -> tuple[object, ...]:
        """Another value whenever somebody has changed something, or a deployment has ended."""
        row = self._one("SELECT (SELECT max(id) FROM audit), max(id), max(ended_at) FROM deployment")
        return tuple(row) if row else ()

    def move_resource(self, row: ResourceRow, port: int) -> None:
        self._run(
            "UPDATE resource SET port = ? WHERE app = ? AND environment = ? AND name = ?", port, *row.place, row.name
        )

    def move_instance(self, instance: Instance, port: int | None, grpc_port: int | None) -> None:
        self._run("UPDATE instance SET port = ?, grpc_port = ? WHERE unit = ?", port, grpc_port, instance.unit)

    def replace_environments(self, release: Release, environments: Environments) -> None:
        """What its variables say now: addresses that are others here."""
        self._run(
            "UPDATE release SET environments = ? WHERE app = ? AND environment = ? AND number = ?",
            self._vault.seal_environments(environments, f"{release.place} release {release.number}"),
            *release.place,
            release.number,
        )

    def replace_fingerprint(self, generation: Generation, fingerprint: str) -> None:
        self._run("UPDATE generation SET fingerprint = ? WHERE id = ?", fingerprint, generation.id)


_ARRIVE = (
    "DELETE FROM process",
    "UPDATE generation SET state = 'stopped', drain_until = NULL, warm_until = NULL WHERE state != 'live'",
    "DELETE FROM instance WHERE generation IN (SELECT id FROM generation WHERE state = 'stopped')",
    "DELETE FROM resource WHERE (app, environment, name) IN (SELECT app, environment, name FROM copy)",
    "DELETE FROM copy",
    "UPDATE release SET state = 'failed' WHERE state = 'making'",
    "UPDATE step SET state = 'undone' WHERE state = 'running'",
)


def _now() -> float:
    return time.time()
