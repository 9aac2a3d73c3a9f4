"""What belongs to a service: the same table for the three kinds of ignore file."""

from __future__ import annotations

from pathlib import Path

import pytest

from golive.build.ignore import rules_for


def kept(checkout: Path, source: str, paths: list[str]) -> list[str]:
    """The paths (relative to the checkout) that the rules leave in, asked as the scan asks."""
    top = rules_for(checkout, source)
    found = []
    for path in paths:
        parts = path.split("/")
        folders = ["/".join(parts[:n]) for n in range(1, len(parts))]
        inside = [folder for folder in folders if folder != source and folder.startswith(source)]
        if not any(top.skips(folder) for folder in inside) and not top.ignores(path):
            found.append(path)
    return found


ALWAYS_OUT = [".env", ".env.local", "a/.env.production", ".git/config", ".golive/x", ".venv/bin/x", "node_modules/x/y"]
ALWAYS_OUT += ["a/__pycache__/b.pyc", "b.pyc", ".DS_Store", ".pytest_cache/x", "venv/x", "golive.toml"]
ALWAYS_IN = ["main.py", ".env.example", "tests/test_main.py", "a/golive.toml", "environment.py", "public/.well-known/x"]


@pytest.mark.parametrize("name", [None, ".goliveignore", ".dockerignore", ".gitignore"])
def test_what_never_and_always_belongs(tmp_path: Path, name: str | None) -> None:
    if name:
        (tmp_path / name).write_text("# nothing\n")
    assert kept(tmp_path, "", ALWAYS_OUT + ALWAYS_IN) == ALWAYS_IN


PATHS = ["a.log", "x/a.log", "keep.log", "dist/a", "x/dist/a", "docs/a", "docs/keep/b"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (".gitignore", "*.log\n!keep.log\n", ["keep.log", "dist/a", "x/dist/a", "docs/a", "docs/keep/b"]),
        (".gitignore", "dist/\n", ["a.log", "x/a.log", "keep.log", "docs/a", "docs/keep/b"]),
        (".gitignore", "/dist\n", ["a.log", "x/a.log", "keep.log", "x/dist/a", "docs/a", "docs/keep/b"]),
        (".gitignore", "docs\n!docs/keep\n", ["a.log", "x/a.log", "keep.log", "dist/a", "x/dist/a"]),
        (".gitignore", "docs/*\n!docs/keep\n", ["a.log", "x/a.log", "keep.log", "dist/a", "x/dist/a", "docs/keep/b"]),
        (".goliveignore", "dist\n", ["a.log", "x/a.log", "keep.log", "docs/a", "docs/keep/b"]),
        (".dockerignore", "*.log\n", ["x/a.log", "dist/a", "x/dist/a", "docs/a", "docs/keep/b"]),
        (".dockerignore", "**/*.log\n!keep.log", ["keep.log", "dist/a", "x/dist/a", "docs/a", "docs/keep/b"]),
        (".dockerignore", "docs\n!docs/keep\n", ["a.log", "x/a.log", "keep.log", "dist/a", "x/dist/a", "docs/keep/b"]),
        (".dockerignore", "./dist/\n", ["a.log", "x/a.log", "keep.log", "x/dist/a", "docs/a", "docs/keep/b"]),
    ],
)
def test_patterns(tmp_path: Path, name: str, text: str, expected: list[str]) -> None:
    (tmp_path / name).write_text(text)
    assert kept(tmp_path, "", PATHS) == expected


def test_no_pattern_brings_back_what_is_secret(tmp_path: Path) -> None:
    (tmp_path / ".goliveignore").write_text("!.env\n!.git\n!node_modules\n")
    assert kept(tmp_path, "", [".env", ".git/config", "node_modules/x"]) == ["node_modules/x"]


def test_golives_own_file_decides_alone_then_dockers(tmp_path: Path) -> None:
    for name, text in ((".gitignore", "a"), (".dockerignore", "b"), (".goliveignore", "c")):
        (tmp_path / name).write_text(text)
    assert kept(tmp_path, "", ["a", "b", "c"]) == ["a", "b"]
    (tmp_path / ".goliveignore").unlink()
    assert kept(tmp_path, "", ["a", "b", "c"]) == ["a", "c"]


def test_files_above_the_service_count(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    (tmp_path / ".gitignore").write_text("*.log\n/api/private\n")
    (tmp_path / "api/.gitignore").write_text("!keep.log\n")
    assert kept(tmp_path, "api", ["api/a.log", "api/keep.log", "api/private/x"]) == ["api/keep.log"]


def test_naming_an_ignored_folder_means_its_content(tmp_path: Path) -> None:
    (tmp_path / "web/dist").mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("dist\n")
    assert kept(tmp_path, "web/dist", ["web/dist/index.html", "web/dist/.env"]) == ["web/dist/index.html"]


def test_a_line_git_could_not_read_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("!\n*.log\n")
    assert kept(tmp_path, "", ["a.log", "b"]) == ["b"]
