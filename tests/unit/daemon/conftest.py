from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "release"))

from daemon_fakes import Running

from golive.release import verify


@pytest.fixture
async def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    """A daemon on a host of fakes, as after its start."""
    made = Running(tmp_path)

    async def seen(*_: Any) -> list[verify.Evidence]:
        return list(made.world.evidence)

    monkeypatch.setattr(verify, "probe_paths", lambda _: ())
    monkeypatch.setattr(verify, "through_the_edge", seen)
    yield made
    await made.daemon.stop()
