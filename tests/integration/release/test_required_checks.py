"""The process that makes the required checks, when it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from golive.home import Home
from golive.release import requirements
from golive.state.records import Place


def _runs(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


async def test_what_it_has_started_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser that is left would stay for good."""
    program, begun = tmp_path / "check", tmp_path / "browser"
    program.write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {begun}.new\nmv {begun}.new {begun}\nwait\n")
    program.chmod(0o755)
    monkeypatch.setattr(requirements, "sys", SimpleNamespace(executable=str(program)))
    deploy: Any = SimpleNamespace(host=SimpleNamespace(home=Home(tmp_path)), place=Place("shop", "production"))
    task = asyncio.create_task(requirements._checked(deploy, ("security",)))
    async with asyncio.timeout(120):
        while not begun.exists():
            await asyncio.sleep(0.01)
        browser = int(begun.read_text())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while _runs(browser):
            await asyncio.sleep(0.01)
