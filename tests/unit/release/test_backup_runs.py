"""What is remembered of a backup is what came of it, and of migrations when they began."""

from __future__ import annotations

from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any

import pytest
from release_fakes import SHOP, World

from golive.errors import BackupFailed, Cancelled, NotFound
from golive.release.backups import damaged, recorded
from golive.release.restores import before_migration
from golive.state.records import BackupKind


async def raised(error: BaseException) -> dict[str, Any]:
    raise error


async def remembered(world: World, action: Awaitable[dict[str, Any]], caught: type[BaseException]) -> dict[str, Any]:
    world.state.remember_app(SHOP, "/src")
    found: Any = SimpleNamespace(place=SHOP, name="db")
    with pytest.raises(caught):
        await recorded(world.host, found, "base", action)
    run = world.state.backup_runs(SHOP, "db", "base")[0]
    assert run.ended_at is not None
    return dict(run.error or {})


def test_what_was_found_wrong_is_remembered_until_it_is_right(world: World) -> None:
    state = world.state
    state.remember_app(SHOP, "/src")

    def ended(kind: BackupKind, error: str | None) -> dict[str, Any] | None:
        said = {"kind": error, "what": error} if error else None
        state.end_backup_run(state.begin_backup_run(SHOP, "db", kind), said, {})
        kinds: tuple[BackupKind, ...] = ("base", "drill", "verify")
        return damaged(run for each in kinds for run in state.backup_runs(SHOP, "db", each))

    assert ended("base", None) is None
    for kind in ("drill", "verify"):
        found = ended(kind, "BackupFailed")
        assert found is not None and found["what"] == "BackupFailed" and found["at"] > 0
        assert ended("verify", "BackupUntried") == found
        assert ended("base", "BackupFailed") == found  # the others are as they were
        assert ended(kind, None) is None
    assert ended("verify", "BackupFailed")
    assert ended("base", None) is None
    assert ended("drill", "Cancelled") is None


async def test_what_failed_is_told_from_what_was_stopped(world: World) -> None:
    said = await remembered(world, raised(BackupFailed("no room", hint="free some")), BackupFailed)
    assert said == {"kind": "BackupFailed", "what": "no room", "hint": "free some"}
    unforeseen = RuntimeError("Traceback (most recent call last):\n  …\nbotocore.Gone: the bucket went away\n")
    said = await remembered(world, raised(unforeseen), BackupFailed)
    assert (said["what"], said["why"]) == ("the backup of db failed", "botocore.Gone: the bucket went away")
    assert "backups made before stand" in said["hint"]
    said = await remembered(world, raised(KeyboardInterrupt()), KeyboardInterrupt)
    assert said["kind"] == Cancelled.__name__


def test_the_moment_before_the_last_migrations(world: World) -> None:
    state = world.state
    state.remember_app(SHOP, "/src")

    def deployed(said: str) -> float:
        id = state.queue_deployment(SHOP, "deploy", {}, "me")
        state.end_step(id, state.begin_step(id, "migrate"), "done", said)
        return state.steps(id)[0].started_at

    with pytest.raises(NotFound) as caught:
        before_migration(world.host, SHOP)
    assert "--to-time" in str(caught.value.hint)
    deployed("1 applied, schema at 1")
    began = deployed("2 applied, schema at 3")
    deployed("schema at 3")
    assert before_migration(world.host, SHOP).timestamp() == pytest.approx(began)
    for applied in (["4.sql"], []):  # by hand, the second time with nothing to do
        state.audit("me", "migrate", SHOP)
        state.audit("me", "migrate.done", SHOP, applied=applied)
    first = next(entry for entry in reversed(state.audit_log(SHOP)) if entry.action == "migrate")
    assert before_migration(world.host, SHOP).timestamp() == pytest.approx(first.at)
