"""Hooks in golive.toml: short forms, where they run, and overlays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from golive.blueprint.load import load
from golive.blueprint.models import Hook
from golive.blueprint.sugar import expand

FILES = {"site/index.html": "", "jobs/x.py": ""}
JOBS = """
name = "a"
[services.site]
source = "site"
[services.jobs]
kind = "worker"
source = "jobs"
command = "python x.py"
"""


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("./warm.sh", [{"run": "./warm.sh"}]),
        ({"run": "x", "timeout": "1m"}, [{"run": "x", "timeout": "1m"}]),
        (["x", {"run": "y"}], [{"run": "x"}, {"run": "y"}]),
        (3, [3]),
    ],
)
def test_short_forms(short: Any, long: Any) -> None:
    assert expand({"hooks": {"pre_deploy": short}}) == {"hooks": {"pre_deploy": long}}


def test_it_runs_in_the_only_service_that_can_run_something(tree: Any) -> None:
    loaded = load(
        tree({**FILES, "golive.toml": JOBS + '[hooks]\npost_deploy = { run = "./smoke.sh", timeout = "9s" }\n'})
    )
    assert loaded.blueprint.hooks.pre_deploy == ()
    assert loaded.blueprint.hooks.post_deploy == (Hook(run="./smoke.sh", service="jobs", timeout=timedelta(seconds=9)),)
    origins = {path: str(origin) for path, _, origin in loaded.resolved.leaves()}
    assert origins["hooks.post_deploy[0].service"] == "detected from services.jobs"


def test_an_environment_has_its_own_or_none(tree: Any) -> None:
    own = '[hooks]\npre_deploy = "./warm.sh"\n[environments.preview.hooks]\npre_deploy = []\n'
    checkout = tree({**FILES, "golive.toml": JOBS + own})
    assert [hook.run for hook in load(checkout).blueprint.hooks.pre_deploy] == ["./warm.sh"]
    assert load(checkout, "preview/x").blueprint.hooks.pre_deploy == ()
