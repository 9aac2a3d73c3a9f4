"""The state store. Synchronous on purpose: each call is well under a millisecond, and there is one writer."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from golive.errors import NotFound, StateError
from golive.secret import Secret
from golive.state.records import (
    App,
    AuditEntry,
    Deployment,
    DeploymentState,
    Generation,
    GenerationState,
    Instance,
    Place,
    Release,
    ResourceRow,
    Step,
)
from golive.state.vault import Environments, Vault

VERSION = 1


class State:
    """Apps, releases, deployments, what runs, variables and the audit log."""

    def __init__(self, path: Path, key: Path) -> None:
        self._db = _open(path)
        self._vault = Vault.open_or_create(key, may_create=self._is_fresh())

    def close(self) -> None:
        self._db.close()

    def _is_fresh(self) -> bool:
        """Nothing sealed yet, so a missing key loses nothing."""
        tables = ("variable", "release", "resource")
        return not any(self._one(f"SELECT 1 FROM {table} LIMIT 1") for table in tables)  # noqa: S608 - constants

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or none of it. Not nested."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _all(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self._run(sql, *values).fetchall()

    def _one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._run(sql, *values).fetchone()
        return row

    def _run(self, sql: str, *values: Any) -> sqlite3.Cursor:
        try:
            return self._db.execute(sql, values)
        except sqlite3.OperationalError as error:
            raise StateError("golive's state cannot be written", why=str(error), hint=_hint(str(error))) from error

    # Apps

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
            self._run("DELETE FROM process WHERE unit LIKE ? || '/%'", str(place))
            for table in ("deployment", "generation", "release", "resource", "variable", "scale", "cron_run", "app"):
                self._run(f"DELETE FROM {table} WHERE app = ? AND environment = ?", *place)  # noqa: S608 - constants

    # Releases

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

    # Deployments and their journal

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

    # Generations, instances and processes

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

    def add_instance(self, unit: str, generation: int, slot: int, port: int | None) -> Instance:
        self._run(
            "INSERT INTO instance (unit, generation, slot, port) VALUES (?, ?, ?, ?)", unit, generation, slot, port
        )
        return Instance(unit, generation, slot, port)

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
            "SELECT port FROM instance JOIN generation ON generation.id = instance.generation"
            " WHERE generation.state != 'stopped' AND port IS NOT NULL UNION SELECT port FROM resource"
        )
        return {row[0] for row in rows}

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

    # Resources

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

    def resource_password(self, row: ResourceRow) -> Secret:
        return self._vault.unseal(row.sealed_password, f"{row.place} resource {row.name}")

    # Variables

    def variables(self, place: Place) -> dict[str, Secret]:
        rows = self._all("SELECT name, value FROM variable WHERE app = ? AND environment = ?", *place)
        return {row[0]: self._vault.unseal(row[1], f"{place} variable {row[0]}") for row in rows}

    def variable_ages(self, place: Place) -> dict[str, tuple[float, str]]:
        """name → (when it was set, by whom)"""
        rows = self._all("SELECT name, set_at, set_by FROM variable WHERE app = ? AND environment = ?", *place)
        return {row[0]: (row[1], row[2]) for row in rows}

    def set_variable(self, place: Place, name: str, value: Secret, actor: str) -> None:
        sealed = self._vault.seal(value, f"{place} variable {name}")
        self._run("INSERT OR REPLACE INTO variable VALUES (?, ?, ?, ?, ?, ?)", *place, name, sealed, time.time(), actor)

    def unset_variable(self, place: Place, name: str) -> bool:
        cursor = self._run("DELETE FROM variable WHERE app = ? AND environment = ? AND name = ?", *place, name)
        return cursor.rowcount > 0

    # Cron

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

    def last_cron_run(self, place: Place, service: str) -> dict[str, Any] | None:
        row = self._one(
            "SELECT due_at, started_at, ended_at, outcome FROM cron_run"
            " WHERE app = ? AND environment = ? AND service = ? ORDER BY due_at DESC LIMIT 1",
            *place,
            service,
        )
        return dict(row) if row else None

    # Audit

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


def _open(path: Path) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # its journal files get the same mode
        db = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
        db.row_factory = sqlite3.Row
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StateError(
                f"{path} was written by a newer golive",
                why=f"its version is {version}, this golive knows {VERSION}",
                hint="upgrade golive, or point GOLIVE_HOME at another directory",
            )
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        if version == 0:
            schema = resources.files("golive.state").joinpath("schema.sql").read_text()
            db.executescript(f"BEGIN; {schema} PRAGMA user_version = {VERSION}; COMMIT;")
    except (sqlite3.DatabaseError, OSError) as error:
        raise StateError(f"cannot use {path}", why=str(error), hint=_hint(str(error))) from error
    return db


def _hint(why: str) -> str:
    if "readonly" in why or "unable to open" in why:
        return "make GOLIVE_HOME writable for this user, or set GOLIVE_HOME to a directory that is"
    if "full" in why:
        return "free some disk space and try again; nothing was lost"
    if "malformed" in why or "not a database" in why:
        return "move the file away to start afresh; what runs keeps running"
    return "try again"


def _app(row: sqlite3.Row) -> App:
    return App(Place(row["app"], row["environment"]), row["checkout"], row["live"], row["created_at"])


def _release(row: sqlite3.Row) -> Release:
    place = Place(row["app"], row["environment"])
    rest = (row["schema_version"], row["created_at"], row["actor"])
    return Release(place, row["number"], row["state"], row["blueprint"], json.loads(row["artifacts"]), *rest)


def _generation(row: sqlite3.Row) -> Generation:
    place = Place(row["app"], row["environment"])
    until = (row["drain_until"], row["warm_until"])
    middle = (row["service"], row["release"], row["deployment"], row["fingerprint"])
    return Generation(row["id"], place, *middle, GenerationState(row["state"]), *until)


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
