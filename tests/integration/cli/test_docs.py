"""The quickstart, run as it is written; generated pages are what they should be."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from scratch import ROOT, Scratch, scratch_home

DOCS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def commands(page: str) -> list[tuple[str, list[str]]]:
    """Commands of a page's console blocks with the lines that they are to say."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.strip():
                found[-1][1].append(line)
    return found


def plain(line: str) -> str:
    """Without what differs from run to run: times, counts, ports, people, columns."""
    line = re.sub(r"localhost:\d+", "localhost", line)
    line = re.sub(r"[\w.-]+@[\w.-]+", "WHO", line)
    line = re.sub(r"\d+(\.\d+)? ?(ms|s|m|[KMG]?B)\b( \d+ s\b)?", "N", line)
    return re.sub(r"\d+(?= requests)|(?<= )\d{3,}", "N", " ".join(line.split()))


def says(output: str, wanted: list[str]) -> str | None:
    """The first wanted line that does not come, in order; a wanted line may be the beginning of one."""
    lines = iter([plain(line) for line in output.splitlines()])
    return next((w for w in wanted if not any(line.startswith(plain(w)) for line in lines)), None)


@pytest.fixture
def example(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scratch]:
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # what it runs is counted elsewhere
    folder = Path(tmp_path_factory.mktemp("checkout", numbered=True)) / "threadr"
    ignore = shutil.ignore_patterns(".*", "__pycache__", "*.pyc")
    shutil.copytree(ROOT / "examples/threadr", folder, ignore=ignore)
    with scratch_home(folder) as scratch:
        yield scratch


def test_the_quickstart_does_what_it_says(example: Scratch) -> None:
    steps = commands((ROOT / "docs/quickstart.md").read_text(encoding="utf-8"))
    assert len(steps) > 15
    for command, wanted in steps:
        done = example.shell(["bash", "-c", command])
        assert done.code == 0, f"$ {command}\n{done.text}"
        # A terminal shows both streams; here stdout comes after, where the URL is last.
        missing = says(done.err + done.out, wanted)
        assert missing is None, f"$ {command}\nnever said: {missing}\n{done.err}{done.out}"


def test_the_golive_toml_of_the_readme_is_one_for_the_example(tmp_path: Path) -> None:
    from golive.blueprint.load import load

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert block
    folder = tmp_path / "threadr"
    shutil.copytree(ROOT / "examples/threadr", folder)
    (folder / "golive.toml").write_text(block[1], encoding="utf-8")
    blueprint = load(folder).blueprint
    assert {name: s.kind.value for name, s in blueprint.services.items()} == {"web": "static", "api": "web"}
    assert len([line for line in block[1].splitlines() if line]) <= 20


def test_the_reference_of_commands_is_up_to_date() -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    argv = [sys.executable, "-m", "documentation", "reference", "--check"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", DOCS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]*)(#[^)]*)?\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    gone = [link for link, _ in links if link and "://" not in link and not (page.parent / link).exists()]
    assert not gone


@pytest.mark.parametrize("page", DOCS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_example_of_a_file_is_toml(page: Path) -> None:
    for block in re.findall(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        tomllib.loads(block)
