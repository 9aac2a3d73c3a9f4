"""What every test may use."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from golive.errors import GoliveError
from golive.home import Home
from golive.system import ports

if worker := os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw"):
    # A share for each worker: a port that a stopped server of one test comes back to is not given to another's.
    _SHARE = len(ports.RANGE) // 8
    ports.RANGE = ports.RANGE[int(worker) % 8 * _SHARE :][:_SHARE]

SLOW = (
    "test_bad_input", "test_two_at_once", "test_zero_downtime", "test_examples", "test_killed_deploy",
    "test_restores", "test_a_broken_deploy", "test_domains", "test_move", "test_secrets", "test_found_secrets",
    "test_killed_servers", "test_killed_rollback", "test_canary", "test_standby", "test_backups", "test_daemon",
    "test_environment", "test_dev", "test_postgres", "test_build_next", "test_build_node", "test_rehearsal",
    "test_restore", "test_replicas", "test_migrate_alembic", "test_docs", "test_versions", "test_migrate_lint_squawk",
    "test_upgrade", "test_previews", "test_database_faults", "test_build_search", "test_following", "test_branches",
    "test_commands", "test_increments", "test_move_sides", "test_wal", "test_check_command", "test_s3",
    "test_build_python", "test_copies", "test_drill",
)  # fmt: skip
"""The files that take longest, in that order: begun first, they do not keep one worker at the end while others idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: place for place, name in enumerate(SLOW)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Iterator[None]:
    """An error of golive's is shown with its cause and log, not with its first sentence alone."""
    report = yield
    if call.excinfo is not None and isinstance(error := call.excinfo.value, GoliveError):
        report.sections.append(("golive's error", "\n".join(f"{k}: {v}" for k, v in error.to_json().items())))
    return report


@pytest.fixture(scope="module", autouse=True)
def counted(request: pytest.FixtureRequest) -> Iterator[None]:
    """Lines that golive's own processes run are counted for modules with `COUNTED = True`, where only they come.
    Counting costs a process a third of its time."""
    with pytest.MonkeyPatch.context() as patch:
        if not getattr(request.module, "COUNTED", False):
            patch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        yield


@pytest.fixture
def golive_home() -> Iterator[Home]:
    """A Home in a short directory that other users may pass through; pytest's tmp_path is 0700."""
    root = Path(tempfile.mkdtemp(prefix="gl-", dir="/tmp"))
    root.chmod(0o711)
    yield Home(root)
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """What a home in it, whose own path is too long for a socket, has in a shorter one goes as well."""
    yield tmp_path
    for home in map(Home, (tmp_path, *tmp_path.glob("*"))):
        if not home.run.is_relative_to(tmp_path):
            shutil.rmtree(home.run, ignore_errors=True)


@pytest.fixture
def environ_for_others() -> dict[str, str]:
    """What a command that runs as another user inherits: not coverage's variables, whose files it cannot write."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job: what the tests start would ignore Ctrl-C too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
