"""Which command develops a service."""

from __future__ import annotations

from typing import Any

import pytest

from golive.blueprint.models import BuildRecipe, Service
from golive.dev.command import Follows, dev_command


def service(builder: str, command: str | None = None, *, kind: str = "web", **recipe: Any) -> Service:
    return Service.model_validate({"kind": kind, "command": command, "build": {"builder": builder, **recipe}})


NODE = {
    "the dev script, told where to listen": (
        {"framework": "next"}, "next start -H 127.0.0.1 -p $PORT", {"dev": "next dev"},
        "npm run dev -- --hostname 127.0.0.1 --port $PORT",
    ),
    "the last command of the script is told": (
        {"framework": "next"}, "node .next/standalone/server.js", {"dev": "npm run generate && next dev --turbopack"},
        "npm run dev -- --hostname 127.0.0.1 --port $PORT",
    ),
    "a port of its own is left out": (
        {"framework": "next"}, None, {"dev": "next dev -p 3001 --turbopack"},
        "next dev --turbopack --hostname 127.0.0.1 --port $PORT",
    ),
    "pnpm hands words on without dashes": (
        {"framework": "vite"}, None, {"dev": "vite"}, "pnpm run dev --host 127.0.0.1 --port $PORT --strictPort",
    ),
    "a script that is told by PORT": (
        {}, "node dist/server.js", {"start": "node dist/server.js", "dev": "tsx watch src/server.ts"}, "npm run dev",
    ),
    "a framework without a script": ({"framework": "next"}, None, {}, "next dev --hostname 127.0.0.1 --port $PORT"),
    "astro without a script": ({"framework": "astro"}, None, {}, "astro dev --host 127.0.0.1 --port $PORT"),
}  # fmt: skip


@pytest.mark.parametrize("case", NODE, ids=list(NODE))
def test_node(case: str) -> None:
    recipe, command, scripts, line = NODE[case]
    manager = "pnpm" if line.startswith("pnpm") else "npm"
    found = dev_command(service("node", command, **recipe), scripts, manager=manager)
    assert found.line == line
    assert found.follows is Follows.ITSELF


def test_a_worker_of_the_same_package_is_not_developed_by_its_dev_script() -> None:
    found = dev_command(service("node", "node worker.js", kind="worker", framework="next"), {"dev": "next dev"})
    assert (found.line, found.follows) == ("node worker.js", Follows.GOLIVE)


def test_a_second_server_of_the_same_package_is_not_either() -> None:
    found = dev_command(service("node", "node admin.js"), {"dev": "node --watch server.js", "start": "node server.js"})
    assert (found.line, found.follows) == ("node admin.js", Follows.GOLIVE)


def test_a_front_end_that_a_deploy_serves_as_files_has_its_dev_server() -> None:
    found = dev_command(service("node", kind="static", framework="vite"), {"dev": "vite", "build": "vite build"})
    assert found.line == "npm run dev -- --host 127.0.0.1 --port $PORT --strictPort"


PYTHON = {
    "uvicorn main:app --host 127.0.0.1 --port $PORT --workers 4": (
        "fastapi", "uvicorn --reload main:app --host 127.0.0.1 --port $PORT", Follows.ITSELF,
    ),
    "python -m uvicorn --workers=2 main:app --port $PORT": (
        "fastapi", "python -m uvicorn --reload main:app --port $PORT", Follows.ITSELF,
    ),
    "granian --interface asgi --port $PORT main:app": (
        "starlette", "granian --reload --interface asgi --port $PORT main:app", Follows.ITSELF,
    ),
    "gunicorn --bind 127.0.0.1:$PORT --workers 2 app:app": (
        "flask", "flask --app app:app run --debug --host 127.0.0.1 --port $PORT", Follows.ITSELF,
    ),
    "gunicorn --bind 127.0.0.1:$PORT 'app:create_app()'": (
        "flask", "flask --app 'app:create_app()' run --debug --host 127.0.0.1 --port $PORT", Follows.ITSELF,
    ),
    "gunicorn --bind 127.0.0.1:$PORT site.wsgi:application": (
        "django", "python manage.py runserver 127.0.0.1:$PORT", Follows.ITSELF,
    ),
    "fastapi run main.py --port $PORT": ("fastapi", "fastapi dev main.py --port $PORT", Follows.ITSELF),
    "python main.py": ("fastapi", "python main.py", Follows.GOLIVE),
    "./prepare && uvicorn main:app": ("fastapi", "./prepare && uvicorn main:app", Follows.GOLIVE),
}  # fmt: skip


@pytest.mark.parametrize("command", PYTHON, ids=list(PYTHON))
def test_python(command: str) -> None:
    framework, line, follows = PYTHON[command]
    found = dev_command(service("python", command, framework=framework), {}, django=framework == "django")
    assert (found.line, found.follows) == (line, follows)


def test_a_reloading_server_gets_what_it_watches_with() -> None:
    assert dev_command(service("python", "uvicorn main:app", framework="fastapi"), {}).needs == ("watchfiles",)


def test_go_is_built_beside_the_checkout_before_each_start() -> None:
    found = dev_command(service("go", "./bin/server -v", package="./cmd/server", output="bin/server"), {})
    assert found.first == ("go", "build", "-o", "$PROGRAM", "./cmd/server")
    assert found.argv == ("$PROGRAM", "-v")
    assert found.follows is Follows.BUILD


def test_files_are_served_and_cron_is_not_run() -> None:
    assert dev_command(service("static", kind="static"), {}).follows is Follows.FILES
    cron = Service.model_validate({"kind": "cron", "schedule": "@daily", "command": "python nightly.py"})
    assert dev_command(cron, {}).follows is Follows.NOBODY
    assert dev_command(service("docker"), {}).follows is Follows.NOBODY


def test_an_image_is_not_run_unless_the_blueprint_says_how() -> None:
    assert dev_command(service("docker"), {}).follows is Follows.NOBODY


@pytest.mark.parametrize("builder", ["node", "python", "go", "static", "none"])
def test_the_blueprint_decides(builder: str) -> None:
    chosen = Service(kind="web", command="uvicorn main:app", dev="make watch", build=BuildRecipe(builder=builder))  # type: ignore[arg-type]
    found = dev_command(chosen, {"dev": "next dev"})
    assert (found.line, found.argv, found.follows) == ("make watch", ("make", "watch"), Follows.ITSELF)
