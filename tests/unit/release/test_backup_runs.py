"""What is remembered of a backup is what came of it."""

from __future__ import annotations

from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any

import pytest
from release_fakes import SHOP, World

from golive.errors import BackupFailed, Cancelled
from golive.release.backups import recorded


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


async def test_what_failed_is_told_from_what_was_stopped(world: World) -> None:
    said = await remembered(world, raised(BackupFailed("no room", hint="free some")), BackupFailed)
    assert said == {"kind": "BackupFailed", "what": "no room", "hint": "free some"}
    unforeseen = RuntimeError("Traceback (most recent call last):\n  …\nbotocore.Gone: the bucket went away\n")
    said = await remembered(world, raised(unforeseen), BackupFailed)
    assert (said["what"], said["why"]) == ("the backup of db failed", "botocore.Gone: the bucket went away")
    assert "backups made before stand" in said["hint"]
    said = await remembered(world, raised(KeyboardInterrupt()), KeyboardInterrupt)
    assert said["kind"] == Cancelled.__name__
