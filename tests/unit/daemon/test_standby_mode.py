"""What the daemon of a standby goes on from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from golive.backup import following
from golive.backup.archive import Key
from golive.backup.credentials import Credentials
from golive.backup.following import Followed
from golive.backup.repository import Repository
from golive.daemon import standby as module
from golive.daemon.standby import StandbyMode
from golive.home import Home
from golive.release import standby
from golive.release.recover import Source
from golive.release.standby import Standing
from golive.secret import Secret


def followed(folder: Path) -> Followed:
    server: Any = SimpleNamespace(label="shop/production/db")
    return Followed(server, Repository(str(folder), Credentials(), folder / "keys", "shop"), folder / "data")


class Away:
    """In place of the process that asks the location."""

    def __init__(self, standing: Standing) -> None:
        self.standing = standing
        self.found: list[Followed] = []
        self.fails = False

    async def call(self, function: Any, *_: Any) -> Any:
        if function is standby.refresh:
            return self.standing
        if function is standby.heard:
            return 1.0
        if function is standby.is_over:
            return False
        assert function is module._databases
        if self.fails:
            raise OSError("the location is away")
        return self.found


async def test_databases_that_could_not_be_listed_are_listed_at_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only with another bundle, which may be a day away: one that is new would not be followed until then."""
    source = Source("/mnt/backups", Credentials(), Key(Secret("k")), "host")
    standing = Standing(source, 1.0, "first", 1.0, "web-1", ())
    monkeypatch.setattr(standby, "require", lambda _: standing)
    mode, away = StandbyMode(Home(tmp_path)), Away(standing)
    monkeypatch.setattr(mode, "_offload", away)
    await mode._refresh()
    assert mode._databases == []
    away.standing, away.found, away.fails = replace(standing, bundle="second"), [followed(tmp_path)], True
    with pytest.raises(OSError, match="away"):
        await mode._refresh()
    away.fails = False
    await mode._refresh()
    assert mode._databases == away.found


@pytest.mark.parametrize("torn", [b"", b'{"0000000100'])
def test_a_torn_file_of_sizes_is_none(tmp_path: Path, torn: bytes) -> None:
    """Written without waiting for the disk: what it says is fetched again."""
    one = followed(tmp_path)
    one.work.mkdir()
    (one.work / following.PARTIALS).write_bytes(torn)
    assert following._sizes(one) == {}
