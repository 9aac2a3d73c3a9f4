"""Unit tests share one large heap: collecting it after every deployment is the daemon's business, not theirs."""

from __future__ import annotations

import pytest

from golive.system import memory


@pytest.fixture(autouse=True)
def heap_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "give_back", lambda: None)
