"""A home for each worker, apps with names of their own in it, and homes for tests that break theirs."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_apps import MakeApp, apps
from e2e_examples import Note
from e2e_harness import App, Golive, new_home

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def counted(request: pytest.FixtureRequest) -> Iterator[None]:
    """Lines that golive's processes run are counted for modules with `COUNTED = True`, which alone run them, where
    scripts/test says into what file. Counting costs a deployment a third of its time."""
    with pytest.MonkeyPatch.context() as patch:
        if getattr(request.module, "COUNTED", False) and "COVERAGE_FILE" in os.environ:
            patch.setenv("COVERAGE_PROCESS_START", str(ROOT / "pyproject.toml"))
        yield


@pytest.fixture(scope="session")
def shared_home() -> Iterator[Golive]:
    """One daemon, Envoy and cache for all tests of a worker that leave them whole."""
    with new_home() as golive:
        yield golive


@pytest.fixture
def golive(shared_home: Golive) -> Golive:
    return shared_home


@pytest.fixture
def own_home() -> Iterator[Golive]:
    """For tests that kill or spoil it."""
    with new_home() as golive:
        yield golive


@pytest.fixture
def make_app(request: pytest.FixtureRequest) -> Iterator[MakeApp]:
    """`make_app()` is a checkout with one web service in the worker's home, or in the `home` given."""
    with apps() as make:
        yield lambda home=None, **options: make(home or request.getfixturevalue("golive"), **options)


@pytest.fixture(scope="module")
def make_apps() -> Iterator[MakeApp]:
    """The same for a module: `make_apps(home)`."""
    with apps() as make:
        yield make


@pytest.fixture
def app(make_app: MakeApp) -> App:
    """One web service, live in its first version."""
    made = make_app()
    made.up().ok()
    return made


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Iterator[Note]:
    """What is noted becomes a line of JSON in the file that GOLIVE_E2E_TIMES names."""
    found: dict[str, object] = {}
    yield found.__setitem__
    if times := os.environ.get("GOLIVE_E2E_TIMES"):
        with Path(times).open("a") as file:
            file.write(json.dumps({"test": request.node.name, **found}) + "\n")


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """Another disk than the home's: what is being written goes there every few seconds."""
    folder = Path(tempfile.mkdtemp(prefix="gl-loc-", dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
