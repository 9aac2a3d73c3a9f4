"""Copying that leaves the disk to others: the same files, whatever changes or goes meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from golive.system import gently


def test_a_tree_is_copied_with_modes_times_and_links(tmp_path: Path) -> None:
    source, target = tmp_path / "data", tmp_path / "copy"
    (source / "base/1").mkdir(parents=True)
    (source / "base").chmod(0o700)
    whole = os.urandom(gently.PIECE + 4097)
    (source / "base/1/large").write_bytes(whole)
    (source / "base/1/small").write_text("x")
    (source / "base/1/small").chmod(0o600)
    os.utime(source / "base/1/small", (1_000_000, 1_000_000))
    (source / "link").symlink_to("base/1/small")
    (source / "empty").touch()
    target.mkdir()
    words = [sys.executable, "-m", "golive.system.gently", str(source / "base"), str(source / "link")]
    subprocess.run([*words, str(source / "empty"), str(source / "gone"), str(target)], check=True)
    assert (target / "base/1/large").read_bytes() == whole
    small = (target / "base/1/small").stat()
    assert (small.st_mode & 0o777, small.st_mtime) == (0o600, 1_000_000)
    assert (target / "base").stat().st_mode & 0o777 == 0o700
    assert (target / "link").readlink() == Path("base/1/small")
    assert (target / "empty").stat().st_size == 0
    assert not (target / "gone").exists()


def test_what_cannot_be_written_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    words = [sys.executable, "-m", "golive.system.gently", str(tmp_path / "a"), str(tmp_path / "nowhere")]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (
        1, f"{tmp_path}/nowhere/a: No such file or directory\n", "",
    )  # fmt: skip
