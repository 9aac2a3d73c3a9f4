"""What every test may use."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from golive.home import Home


@pytest.fixture
def golive_home() -> Iterator[Home]:
    """A Home in a short directory that other users may pass through; pytest's tmp_path is 0700."""
    root = Path(tempfile.mkdtemp(prefix="gl-", dir="/tmp"))
    root.chmod(0o711)
    yield Home(root)
    shutil.rmtree(root, ignore_errors=True)
