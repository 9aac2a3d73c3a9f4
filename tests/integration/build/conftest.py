"""A checkout to write to, and a builder whose uv has the packages that this machine has fetched before."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from building import left_over
from uv import find_uv_bin

from golive.blueprint.build_policy import BuildPolicy
from golive.blueprint.models import BuildRecipe, Service
from golive.build.builder import Builder
from golive.build.plan import BuildRequest
from golive.home import Home

ENGINES = Path(tempfile.gettempdir()) / f"golive-test-engines-{os.geteuid()}" / "engines"
"""Where the machine has no Go or Node, it is fetched once."""


@pytest.fixture(scope="session")
def uv_cache() -> Path:
    return Path(subprocess.check_output([find_uv_bin(), "cache", "dir"], text=True).strip())


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    return folder


@pytest.fixture
def builder(golive_home: Home, uv_cache: Path) -> Builder:
    uv_cache.mkdir(parents=True, exist_ok=True)
    golive_home.cache.mkdir()
    (golive_home.cache / "uv").symlink_to(uv_cache)
    for name in ("go", "npm"):  # Go's standard library is compiled and packages are fetched once a machine
        shared = Path.home() / ".cache/golive-tests" / name
        shared.mkdir(parents=True, exist_ok=True)
        (golive_home.cache / name).symlink_to(shared)
    ENGINES.mkdir(mode=0o711, parents=True, exist_ok=True)
    golive_home.engines.symlink_to(ENGINES)
    return Builder(golive_home)


@pytest.fixture
def request_for(checkout: Path) -> Callable[..., BuildRequest]:
    """A request to build the checkout: `builder` and what else the recipe holds, `service`, `policy`, `user`, `env`."""

    def make(builder: str = "none", **more: Any) -> BuildRequest:
        known = {name: more.pop(name) for name in ("policy", "user", "env", "service") if name in more}
        kind = "static" if builder == "static" else "web"
        recipe = BuildRecipe.model_validate({"builder": builder, **more})
        service = Service.model_validate({"kind": kind, **known.get("service", {})}).model_copy(
            update={"build": recipe}
        )
        return BuildRequest(
            "demo",
            "web",
            service,
            checkout,
            known.get("policy", BuildPolicy()),
            known.get("env", {}),
            known.get("user"),
        )

    return make


@pytest.fixture
def nothing_left(golive_home: Home) -> Callable[[], list[str]]:
    return lambda: left_over(golive_home)
