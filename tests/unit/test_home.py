"""Where things lie, with no disk touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from golive.home import MAX_SOCKET_PATH, Home


def test_the_variable_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOLIVE_HOME", "~/here")
    assert Home.default().root == Path.home() / "here"
    monkeypatch.setenv("GOLIVE_HOME", "relative")
    assert Home.default().root == Path.cwd() / "relative"


@pytest.mark.parametrize(("uid", "root"), [(0, Path("/var/lib/golive")), (1000, Path.home() / ".local/share/golive")])
def test_the_default_is_the_users(monkeypatch: pytest.MonkeyPatch, uid: int, root: Path) -> None:
    monkeypatch.delenv("GOLIVE_HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert Home.default().root == root


def test_everything_is_below_the_root() -> None:
    home = Home(Path("/h"))
    names = ("state", "key", "daemon_log", "edge", "ca", "engines", "cache", "layers", "artifacts", "builds", "run")
    assert {getattr(home, name).parent for name in names} == {Path("/h")}
    assert home.logs("shop", "preview/a") == Path("/h/apps/shop/preview~a/logs")
    assert home.resource("shop", "production", "db") == Path("/h/apps/shop/production/resources/db")


def test_a_short_home_keeps_its_sockets() -> None:
    assert Home(Path("/srv/golive")).socket == Path("/srv/golive/run/golive.sock")


@pytest.mark.parametrize("length", [60, 100, 300])
def test_a_long_home_gets_a_short_path_of_its_own(length: int) -> None:
    home = Home(Path("/" + "x" * length))
    assert len(bytes(home.run / "edge" / "envoy.sock")) < MAX_SOCKET_PATH
    assert not home.run.is_relative_to(home.root)
    assert home.run != Home(Path("/" + "y" * length)).run


def test_every_command_finds_the_same_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(Path("/" + "x" * 120))
    found = set()
    for runtime, temporary in [("/run/user/1000", "/tmp"), ("", "/var/folders/zz"), ("/run/user/0", "")]:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        monkeypatch.setenv("TMPDIR", temporary)
        found.add(home.run)
    assert len(found) == 1


def test_environments_never_share_a_folder() -> None:
    home = Home(Path("/h"))
    assert home.app("a", "preview/x") != home.app("a", "preview")
    assert home.app("a", "preview/x").parent == home.app("a", "production").parent
