from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from release_fakes import World

from golive.release import verify


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """There is no edge to send requests through: what they would show is in `world.evidence`."""
    made = World(tmp_path)

    async def seen(*_: Any) -> list[verify.Evidence]:
        return list(made.evidence)

    monkeypatch.setattr(verify, "probe_paths", lambda _: ())
    monkeypatch.setattr(verify, "through_the_edge", seen)
    yield made
    made.close()
