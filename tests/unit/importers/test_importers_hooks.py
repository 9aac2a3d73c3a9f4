"""Commands before a release: a hook where golive does not run them by itself."""

from __future__ import annotations

from typing import Any

import pytest

from golive.importers.fly import import_fly
from golive.importers.merge import merge_imports
from golive.importers.procfile import import_procfile
from golive.importers.railway import import_railway
from golive.importers.render import import_render
from golive.importers.report import Imported

RENDER = """
services:
  - {{type: web, name: api, runtime: python, startCommand: python app.py, preDeployCommand: {0}}}
  - {{type: worker, name: jobs, runtime: python, startCommand: python jobs.py}}
"""


def hooks(found: Imported) -> Any:
    return found.proposal.get("hooks", {}).get("pre_deploy")


@pytest.mark.parametrize(
    ("found", "service"),
    [
        (import_render(RENDER.format("python warm.py")), "api"),
        (import_railway('{"deploy": {"preDeployCommand": ["python warm.py"], "startCommand": "x"}}'), "web"),
        (import_railway('{"deploy": {"preDeployCommand": "python warm.py", "startCommand": "x"}}'), "web"),
        (import_procfile("release: python warm.py\nworker: x\nweb: python app.py"), "web"),
        (import_procfile("worker: x\nrelease: python warm.py"), "worker"),
    ],
)
def test_a_command_becomes_a_hook_of_its_service(found: Imported, service: str) -> None:
    assert hooks(found) == [{"run": "python warm.py", "service": service}]
    assert not [lost for lost in found.lost if "elease" in lost.path or "preDeploy" in lost.path]


def test_flys_with_its_timeout() -> None:
    found = import_fly(
        '[processes]\napp = "x"\n[deploy]\nrelease_command = "sh warm.sh"\nrelease_command_timeout = "2m"'
    )
    assert hooks(found) == [{"run": "sh warm.sh", "service": "app", "timeout": "2m"}]


def test_migrations_stay_golives_and_the_rest_is_carried() -> None:
    assert hooks(import_procfile("release: python manage.py migrate\nweb: x")) is None
    both = import_procfile("release: python manage.py migrate && python warm.py\nweb: x")
    assert hooks(both) == [{"run": "python warm.py", "service": "web"}]


@pytest.mark.parametrize("line", ["echo 'x", "curl https://me:hunter2secret@example.com/hook"])
def test_what_cannot_be_a_hook_is_listed(line: str) -> None:
    found = import_procfile(f"release: {line}\nweb: x")
    assert hooks(found) is None
    assert [lost.path for lost in found.lost] == ["release"]


def test_two_files_give_each_command_once() -> None:
    one = import_procfile("release: python warm.py\nweb: python app.py")
    two = import_fly('[processes]\nweb = "python app.py"\n[deploy]\nrelease_command = "python warm.py"')
    merged = merge_imports([one, two])
    assert merged.table["hooks"] == {"pre_deploy": [{"run": "python warm.py", "service": "web"}]}
