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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Iterator[None]:
    """An error of golive's is shown with its cause and log, not with its first sentence alone."""
    report = yield
    if call.excinfo is not None and isinstance(error := call.excinfo.value, GoliveError):
        report.sections.append(("golive's error", "\n".join(f"{k}: {v}" for k, v in error.to_json().items())))
    return report


@pytest.fixture
def golive_home() -> Iterator[Home]:
    """A Home in a short directory that other users may pass through; pytest's tmp_path is 0700."""
    root = Path(tempfile.mkdtemp(prefix="gl-", dir="/tmp"))
    root.chmod(0o711)
    yield Home(root)
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def environ_for_others() -> dict[str, str]:
    """What a command that runs as another user inherits: not coverage's variables, whose files it cannot write."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job: what the tests start would ignore Ctrl-C too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
