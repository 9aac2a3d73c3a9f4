"""Services built from a Dockerfile: when one is, and what it cannot be or have."""

from __future__ import annotations

from typing import Any

import pytest

from golive.blueprint.load import load
from golive.errors import BlueprintError

BOX = {"box/Dockerfile": "FROM scratch\n", "box/server": ""}
NAME = 'name = "a"\n'
GO = {"box/go.mod": "module m\ngo 1.24\n", "box/main.go": "package main\nfunc main() {}\n"}
API = {"box/requirements.txt": "fastapi\nuvicorn\n", "box/main.py": "from fastapi import FastAPI\napp = FastAPI()\n"}


@pytest.mark.parametrize(
    ("files", "settings", "builder"),
    [
        ({}, "", "docker"),
        (API, "", "python"),
        ({"box/index.html": ""}, "", "static"),
        (GO, "", "go"),
        (GO, 'build.builder = "docker"', "docker"),
        ({"box/Other": "FROM scratch\n"}, 'build.dockerfile = "Other"', "docker"),
        ({}, 'command = "./server"', "none"),
        ({}, 'kind = "worker"', "docker"),
    ],
)  # fmt: skip
def test_a_dockerfile_is_used_when_asked_for_or_all_there_is(
    tree: Any, files: Any, settings: str, builder: str
) -> None:
    text = f'{NAME}[services.box]\nsource = "box"\n{settings}\n'
    service = load(tree({**BOX, **files, "golive.toml": text})).blueprint.services["box"]
    assert service.build.builder == builder
    assert (service.build.dockerfile is not None) is (builder == "docker")


def problems(tree: Any, text: str) -> list[str]:
    with pytest.raises(BlueprintError) as raised:
        load(tree({**BOX, "golive.toml": NAME + text}))
    return [f"{problem.path}: {problem.message}" for problem in raised.value.problems]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('kind = "cron"\nschedule = "@daily"', "services.box.kind: a cron service cannot be a container yet"),
        ('scale = { max = 3, cpu = "70%" }', "services.box.scale.cpu: the CPU of a container is not measured yet"),
        ('build.output = "x"', "services.box.build.output: has no meaning beside a Dockerfile"),
        ('build.dockerfile = "Nowhere"', "services.box.build.dockerfile: there is no Nowhere in box/"),
        ('build.args = { TOKEN = "x" }', "services.box.build.args.TOKEN: TOKEN is a secret, and the values of ARG"),
        ('command = "./server"\nbuild.target = "x"', "services.box.build.target: has no meaning for the builder none"),
    ],
)  # fmt: skip
def test_what_a_container_cannot_be_or_have(tree: Any, settings: str, said: str) -> None:
    text = f'[services.box]\nsource = "box"\n{settings}\n[env.TOKEN]\ntype = "secret"\n'
    assert any(problem.startswith(said) for problem in problems(tree, text))


def test_a_migration_tool_does_not_run_in_a_container(tree: Any) -> None:
    text = (
        'migrations = { source = "db", tool = "alembic", resource = "db", service = "box" }\n'
        '[resources.db]\nengine = "postgres"\n[services.box]\nsource = "box"\n'
    )
    tree({"db/alembic.ini": "[alembic]\nscript_location = x\n"})
    assert "migrations.service: box is a container, in which a migration tool cannot run yet" in problems(tree, text)


def test_a_hook_does_not_run_in_a_container(tree: Any) -> None:
    text = 'hooks = { pre_deploy = [{ run = "./warm", service = "box" }] }\n[services.box]\nsource = "box"\n'
    assert "hooks.pre_deploy[0].service: box is a container, in which a hook cannot run yet" in problems(tree, text)
