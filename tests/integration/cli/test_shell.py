"""What a shell sees of the command: Tab, a pipe that ends, how long it takes to start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -P -m golive config --schema | head -1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


def completes(folder: Path, *words: str) -> list[str]:
    env = {**os.environ, "COMP_WORDS": " ".join(["golive", *words]), "COMP_CWORD": str(len(words))}
    env |= {"_GOLIVE_COMPLETE": "bash_complete", "GOLIVE_HOME": str(folder / "home")}
    argv = [sys.executable, "-P", "-c", "import sys; sys.argv[0] = 'golive'; from golive.__main__ import main; main()"]
    done = subprocess.run(argv, env=env, cwd=folder, capture_output=True, text=True, check=True)
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_tab_offers_commands_services_and_names(tmp_path: Path) -> None:
    text = 'name = "shop"\n[services.web]\n[services.worker]\n[resources.db]\nengine = "postgres"\n[env.KEY]\n'
    (tmp_path / "golive.toml").write_text(text)
    assert completes(tmp_path, "re") == ["releases", "restart", "restore", "resume", "recover"]
    assert completes(tmp_path, "logs", "") == ["web", "worker", "db"]
    assert completes(tmp_path, "scale", "wo") == ["worker="]
    assert completes(tmp_path, "env", "set", "K") == ["KEY"]
    assert completes(tmp_path, "logs", "--fo") == ["--follow"]


def test_tab_is_silent_where_nothing_is_known_and_starts_nothing(tmp_path: Path) -> None:
    assert completes(tmp_path, "rollback", "") == []
    assert completes(tmp_path, "logs", "") == []
    (tmp_path / "golive.toml").write_text("not toml")
    assert completes(tmp_path, "logs", "") == []
    assert not (tmp_path / "home").exists()
