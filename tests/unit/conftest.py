"""Unit tests share one large heap: collecting it after every deployment is the daemon's business, not theirs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from golive.system import memory


@pytest.fixture(autouse=True, scope="session")
def heap_kept() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "give_back", lambda: None)
        yield
