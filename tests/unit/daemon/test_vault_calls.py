"""Two who change the key at once."""

from __future__ import annotations

import asyncio

import pytest
from daemon_fakes import Running

from golive.daemon import vault
from golive.daemon.api import VaultCall
from golive.errors import Conflict
from golive.secret import Secret
from golive.state import keyfile
from golive.system import passphrase

WORDS = Secret("correct horse battery staple")


async def test_a_passphrase_is_not_taken_away_by_a_rotation_beside_it(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyfile, "ARGON2", {"kdf": "argon2id", "iterations": 1, "lanes": 1, "memory_kib": 64})
    monkeypatch.setattr(passphrase, "_handed", [])
    calls = [VaultCall(work="passphrase", passphrase=WORDS), VaultCall(work="rotate")]
    done = await asyncio.gather(
        *(vault.change(running.daemon, call, "me") for call in calls), return_exceptions=True
    )  # fmt: skip
    refused = [call.work for call, one in zip(calls, done, strict=True) if isinstance(one, Conflict)]
    assert len(refused) == 1
    locked = running.state.vault_facts().passphrase is not None
    assert locked == (refused == ["rotate"])
    assert (running.state.passphrase() == WORDS) == locked
