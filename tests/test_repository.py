"""The repository's own rules: sizes, names that must not appear, one version, a light start."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

import golive

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src/golive"

MAX_FILE = 500
MAX_FUNCTION = 60
EXCEPTIONS: dict[str, str] = {}
"""Path or path::function → why it is longer."""

REGISTRIES = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "registry.npm" + "js.org",
    "crates" + ".io",
    "proxy.go" + "lang.org",
    "repo.maven" + ".apache.org",
    "repo1.maven" + ".org",
    "deb." + "debian.org",
]
MACHINE_PATHS = re.compile(r"(?<![\w.<{$}/-])/(work|root)/(?!\.pyenv\b)[\w.]")

FORBIDDEN_AT_START = {"pydantic", "httpx", "rich", "starlette", "uvicorn", "psycopg", "cryptography", "asyncio"}


def tracked() -> list[Path]:
    """Files git knows or would add, as they are in the work tree."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


def texts() -> list[tuple[Path, str]]:
    found = []
    for path in tracked():
        try:
            found.append((path.relative_to(ROOT), path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue
    return found


def test_files_and_functions_stay_readable() -> None:
    too_long = []
    for path in SOURCE.rglob("*.py"):
        name = str(path.relative_to(ROOT))
        text = path.read_text(encoding="utf-8")
        if (lines := text.count("\n")) > MAX_FILE and name not in EXCEPTIONS:
            too_long.append(f"{name}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.end_lineno is None:
                continue
            if (lines := node.end_lineno - node.lineno + 1) > MAX_FUNCTION and f"{name}::{node.name}" not in EXCEPTIONS:
                too_long.append(f"{name}::{node.name}: {lines} lines")
    assert not too_long, "\n".join(too_long)


def test_files_of_tests_have_names_of_their_own() -> None:
    """pytest imports them without their folders: two of one name do not collect together."""
    names = [p.name for p in tracked() if p.is_relative_to(ROOT / "tests") and fnmatch(p.name, "test_*.py")]
    assert len(names) > 100
    assert sorted(names) == sorted(set(names))


def test_no_file_names_a_package_registry() -> None:
    """Users' own index settings must be the only ones; a host in a lock file would bypass them."""
    hosts = re.compile("|".join(re.escape(host) for host in REGISTRIES), re.IGNORECASE)
    assert not [f"{path}: {match[0]}" for path, text in texts() if (match := hosts.search(text))]


def test_no_file_names_a_place_on_the_machine_it_was_written_on() -> None:
    assert not [f"{path}: {match[0]}" for path, text in texts() if (match := MACHINE_PATHS.search(text))]


def test_the_version_is_the_newest_entry_of_the_changelog() -> None:
    entries = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert entries[0] == golive.__version__


def test_run_and_dev_requirements_pin_the_same_versions() -> None:
    def pins(name: str) -> dict[str, str]:
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        return dict(re.findall(r"^([\w.-]+)==([^ ;\\]+)", text, re.MULTILINE))

    run, dev = pins("run.txt"), pins("dev.txt")
    assert run
    assert {name: dev.get(name) for name in run} == run


def test_no_folder_of_tests_is_passed_over(pytestconfig: pytest.Config) -> None:
    """pytest's own list of folders to stay out of has `build`: everything about builds went unrun."""
    patterns: list[str] = pytestconfig.getini("norecursedirs")
    folders = {name for path in (ROOT / "tests").rglob("test_*.py") for name in path.relative_to(ROOT).parts[:-1]}
    assert "build" in folders
    assert not [name for name in folders if any(fnmatch(name, pattern) for pattern in patterns)]


def test_version_imports_nothing_heavy() -> None:
    code = (
        "import sys; from golive.__main__ import main; sys.argv = ['golive', '--version']\n"
        "try: main()\n"
        "except SystemExit as done: assert not done.code, done.code\n"
        "print(' '.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert golive.__version__ in done.stdout
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert not loaded & FORBIDDEN_AT_START


def test_the_daemon_loads_nothing_that_works_in_processes_of_its_own() -> None:
    code = "import sys; import golive.daemon.main; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    apart = {"psycopg", "boto3", "postgast", "zstandard", "acme", "PIL", "cryptography.x509"}
    assert not apart & set(done.stdout.split())


def test_slow_tests_are_there() -> None:
    """Those that begin first (tests/conftest.py)."""
    slow = re.findall(r'"(test_\w+)"', (ROOT / "tests/conftest.py").read_text())
    assert slow
    assert {path.stem for path in tracked()} >= set(slow)
