"""Scanning and copying real trees."""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path

import pytest

from golive.build.source import copy, scan
from golive.errors import BuildFailed


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    (root / "api/app").mkdir(parents=True)
    (root / "api/main.py").write_text("import app\n")
    (root / "api/app/__init__.py").write_text("")
    (root / "api/run.sh").write_text("#!/bin/sh\n")
    (root / "api/run.sh").chmod(0o700)
    (root / "api/.env").write_text("SECRET=canary\n")
    (root / "shared").mkdir()
    (root / "shared/text.txt").write_text("shared\n")
    return root


def paths(checkout: Path, source: str = "api") -> list[str]:
    return [entry.path for entry in scan(checkout, source).entries]


def test_the_digest_depends_on_content_names_and_the_executable_bit_only(checkout: Path, tmp_path: Path) -> None:
    digest = scan(checkout, "api").digest
    other = tmp_path / "elsewhere"
    shutil.copytree(checkout, other)
    os.utime(other / "api/main.py", (1, 1))
    (other / "api/main.py").chmod(0o600)
    (other / "api/empty").mkdir()
    assert scan(other, "api").digest == digest
    (other / "api/main.py").chmod(0o755)
    assert scan(other, "api").digest != digest
    (other / "api/main.py").chmod(0o644)
    (other / "api/main.py").rename(other / "api/main2.py")
    assert scan(other, "api").digest != digest


def test_an_edit_that_keeps_size_and_second_is_seen(checkout: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for n in range(20):
        (checkout / "api/main.py").write_text(f"x = {n:03}\n")
        assert scan(checkout, "api", cache=cache).digest == scan(checkout, "api").digest


def test_a_changed_ignore_file_is_seen_through_the_cache(checkout: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    before = scan(checkout, "api", cache=cache)
    (checkout / "api/app/.gitignore").write_text("__init__.py\n")
    after = scan(checkout, "api", cache=cache)
    assert [e.path for e in before.entries] == ["app/__init__.py", "main.py", "run.sh"]
    assert [e.path for e in after.entries] == ["main.py", "run.sh"]


def test_a_damaged_cache_only_costs_time(checkout: Path, tmp_path: Path) -> None:
    digest = scan(checkout, "api", cache=tmp_path).digest
    for file in (tmp_path / "source").iterdir():
        file.write_text('{"version": 2, "files": [')
    assert scan(checkout, "api", cache=tmp_path).digest == digest


def test_files_of_an_unchanged_tree_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(200):
        folder = tmp_path / "co" / f"p{n % 6}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"m{n}.py").write_text(f"x = {n}\n" * 30)
    (tmp_path / "co/.gitignore").write_text("dist\n*.log\n")
    newest = max(file.stat().st_ctime for file in (tmp_path / "co").rglob("*"))
    while abs(time.time() - newest) < 0.2:  # a file that has just changed is read once more
        time.sleep(0.02)
    before = scan(tmp_path / "co", cache=tmp_path / "cache")
    monkeypatch.setattr("golive.build.source._hash_file", lambda path: pytest.fail(f"{path} is read again"))
    after = scan(tmp_path / "co", cache=tmp_path / "cache")
    assert len(after.entries) == 200
    assert after.digest == before.digest


def test_links(checkout: Path, tmp_path: Path) -> None:
    api = checkout / "api"
    (api / "inside.py").symlink_to("main.py")
    (api / "absolute.py").symlink_to(api / "app/__init__.py")
    (api / "text.txt").symlink_to("../shared/text.txt")
    (api / "shared").symlink_to("../shared")
    (api / "config").symlink_to("../.env")
    (checkout / ".env").write_text("SECRET=canary")
    copy(scan(checkout, "api"), tmp_path / "copy")
    made = tmp_path / "copy"
    assert (made / "inside.py").readlink() == Path("main.py")
    assert (made / "absolute.py").readlink() == Path("app/__init__.py")
    assert not (made / "text.txt").is_symlink()
    assert (made / "shared/text.txt").read_text() == "shared\n"
    assert not (made / "config").exists()
    assert not list(made.rglob(".env"))


def test_what_cannot_be_in_a_build_is_named_all_at_once(checkout: Path) -> None:
    api = checkout / "api"
    (api / "passwd").symlink_to("/etc/passwd")
    (api / "up").symlink_to("../..")
    (api / "loop").symlink_to("..")
    os.mkfifo(api / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(api)
        try:
            listener.bind("sock")
        finally:
            os.chdir(here)
        with pytest.raises(BuildFailed) as failure:
            scan(checkout, "api")
    for words in ("passwd is a link that leaves the checkout, to /etc/passwd", "up is a link that leaves", "pipe is a"):
        assert words in failure.value.what
    assert "sock is a device, socket or pipe" in failure.value.what
    assert "loop is a link to .., which holds the link itself" in failure.value.what
    (checkout / ".goliveignore").write_text("passwd\nup\nloop\npipe\nsock\n")
    assert paths(checkout) == ["app/__init__.py", "main.py", "run.sh"]


@pytest.mark.parametrize(
    ("source", "words"), [("..", "outside"), ("no", "does not exist"), ("api/main.py", "not a folder")]
)
def test_a_source_that_is_none(checkout: Path, source: str, words: str) -> None:
    with pytest.raises(BuildFailed, match=words):
        scan(checkout, source)


def test_a_copy_has_clean_modes(checkout: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        copy(scan(checkout, "api"), tmp_path / "copy")
    finally:
        os.umask(before)
    modes = {p.name: oct(p.stat().st_mode & 0o777) for p in (tmp_path / "copy").rglob("*")}
    assert modes == {"app": "0o755", "__init__.py": "0o644", "main.py": "0o644", "run.sh": "0o755"}


def test_a_file_that_changes_under_the_copy_is_not_built(checkout: Path, tmp_path: Path) -> None:
    tree = scan(checkout, "api")
    (checkout / "api/main.py").write_text("import os\n#\n")
    with pytest.raises(BuildFailed, match=r"main\.py changed while it was being built"):
        copy(tree, tmp_path / "copy")
    (checkout / "api/main.py").unlink()
    with pytest.raises(BuildFailed, match=r"main\.py disappeared"):
        copy(tree, tmp_path / "again")
