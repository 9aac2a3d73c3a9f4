"""What small checkouts say about themselves."""

from __future__ import annotations

from typing import Any

import pytest

from golive.blueprint.checkout import Checkout
from golive.blueprint.detect import detect_migrations, detect_project, detect_service

UVICORN = "uvicorn {} --host 127.0.0.1 --port $PORT --proxy-headers --forwarded-allow-ips 127.0.0.1 --no-server-header"
GUNICORN = "gunicorn --bind 127.0.0.1:$PORT --workers 2 {}"
FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
FLASK = "from flask import Flask\napp = Flask(__name__)\n"
DJANGO = {
    "manage.py": 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n',
    "shop/settings.py": "",
    "shop/wsgi.py": "application = get_wsgi_application()\n",
    "shop/asgi.py": "application = get_asgi_application()\n",
}


def found(tree: Any, files: dict[str, str], **given: Any) -> dict[str, Any]:
    detection = detect_service(Checkout(tree(files)), given)
    assert detection.faults == []
    return {".".join(map(str, path)): value for path, (value, _) in detection.values.items()}


def faults(tree: Any, files: dict[str, str], **given: Any) -> list[str]:
    detection = detect_service(Checkout(tree(files)), given)
    return [f"{'.'.join(map(str, f.path))}: {f.message} | {f.hint}" for f in detection.faults]


COMMANDS = {
    "fastapi in the root": ({"requirements.txt": "fastapi\nuvicorn", "main.py": FASTAPI}, UVICORN.format("main:app")),
    "fastapi below src": (
        {"requirements.txt": "fastapi\nuvicorn", "src/main.py": FASTAPI},
        UVICORN.format("src.main:app"),
    ),
    "a package": ({"requirements.txt": "fastapi\nuvicorn", "shop/main.py": FASTAPI}, UVICORN.format("shop.main:app")),
    "app/main.py": ({"requirements.txt": "fastapi\nuvicorn", "app/main.py": FASTAPI}, UVICORN.format("app.main:app")),
    "a src layout": (
        {"requirements.txt": "fastapi\nuvicorn", "src/shop/main.py": FASTAPI},
        UVICORN.format("shop.main:app"),
    ),
    "siblings by bare name": (
        {"requirements.txt": "fastapi\nuvicorn", "src/main.py": "import helpers\n" + FASTAPI, "src/helpers.py": ""},
        UVICORN.format("main:app"),
    ),
    "another name and an alias": (
        {"requirements.txt": "fastapi\nuvicorn", "api.py": "import fastapi as f\nservice: object = f.FastAPI()\n"},
        UVICORN.format("api:service"),
    ),
    "guarded by try": (
        {
            "requirements.txt": "fastapi\nuvicorn",
            "main.py": "from fastapi import FastAPI\ntry:\n  app = FastAPI()\nfinally:\n  pass",
        },
        UVICORN.format("main:app"),
    ),
    "a factory": (
        {
            "requirements.txt": "fastapi\nuvicorn",
            "main.py": "from fastapi import FastAPI\ndef create_app():\n  return FastAPI()",
        },
        UVICORN.format("main:create_app --factory"),
    ),
    "granian": (
        {"requirements.txt": "fastapi\ngranian", "main.py": FASTAPI},
        "granian --interface asgi --host 127.0.0.1 --port $PORT main:app",
    ),
    "hypercorn": (
        {"requirements.txt": "fastapi\nHypercorn", "main.py": FASTAPI},
        "hypercorn --bind 127.0.0.1:$PORT main:app",
    ),
    "daphne": (
        {
            "requirements.txt": "starlette\ndaphne",
            "main.py": "from starlette.applications import Starlette\napp = Starlette()",
        },
        "daphne --bind 127.0.0.1 --port $PORT --proxy-headers main:app",
    ),
    "flask": ({"requirements.txt": "Flask==3\ngunicorn", "app.py": FLASK}, GUNICORN.format("app:app")),
    "flask factory": (
        {
            "requirements.txt": "flask\ngunicorn",
            "shop/__init__.py": "from flask import Flask\ndef create_app():\n  return Flask('x')",
        },
        GUNICORN.format("'shop:create_app()'"),
    ),
    "waitress": (
        {"requirements.txt": "flask\nwaitress", "app.py": FLASK},
        "waitress-serve --listen 127.0.0.1:$PORT app:app",
    ),
    "django": ({"requirements.txt": "django\ngunicorn", **DJANGO}, GUNICORN.format("shop.wsgi:application")),
    "django by asgi": ({"requirements.txt": "django\nuvicorn", **DJANGO}, UVICORN.format("shop.asgi:application")),
    "plain wsgi": (
        {"requirements.txt": "gunicorn", "wsgi.py": "def application(environ, start_response):\n  return []\n"},
        GUNICORN.format("wsgi:application"),
    ),
    "plain asgi": (
        {"main.py": "async def app(scope, receive, send):\n  pass\n"},
        UVICORN.format("main:app"),
    ),
}


@pytest.mark.parametrize(("files", "command"), COMMANDS.values(), ids=COMMANDS.keys())
def test_start_commands(tree, files, command):
    values = found(tree, files)
    assert (values["kind"], values["build.builder"], values["command"]) == ("web", "python", command)


def test_a_src_layout_sets_the_python_path(tree):
    assert found(tree, {"requirements.txt": "fastapi", "src/main.py": FASTAPI})["env.PYTHONPATH"] == ".:src"
    assert "env.PYTHONPATH" not in found(tree, {"main.py": FASTAPI, "src/main.py": ""})


@pytest.mark.parametrize(
    ("requirements", "source", "extra"),
    [
        ("fastapi", FASTAPI, ["uvicorn[standard]"]),
        ("fastapi\ngunicorn", FASTAPI, ["uvicorn[standard]"]),
        ("flask\nuvicorn", FLASK, ["gunicorn"]),
        ("fastapi[standard]", FASTAPI, None),
        ("-r more.txt", FASTAPI, None),
    ],
)
def test_a_server_is_added_when_none_fits(tree, requirements, source, extra):
    files = {"requirements.txt": requirements, "more.txt": "fastapi\nuvicorn", "main.py": source}
    assert found(tree, files).get("build.extra") == extra


def test_a_server_that_golive_is_told_to_add_is_used(tree):
    values = found(tree, {"requirements.txt": "fastapi", "main.py": FASTAPI}, build={"extra": ["granian>=2"]})
    assert values["command"].startswith("granian ")
    assert "build.extra" not in values


PYPROJECT = '[project]\nname = "x"\nrequires-python = ">=3.12"\ndependencies = ["fastapi>=0.1", "uvicorn"]\n'
POETRY = '[tool.poetry.dependencies]\npython = "^3.11"\nfastapi = "*"\nuvicorn = "*"\n'
LOCK = 'version = 1\n[[package]]\nname = "fastapi"\n[[package]]\nname = "uvicorn"\n'
PIPFILE = '[packages]\nfastapi = "*"\nuvicorn = ">=0.30"\n[requires]\npython_version = "3.11"\n'


@pytest.mark.parametrize(
    ("files", "dependencies", "python"),
    [
        ({"pyproject.toml": PYPROJECT}, "pyproject.toml", ">=3.12"),
        ({"pyproject.toml": PYPROJECT, "uv.lock": LOCK}, "uv.lock", ">=3.12"),
        ({"pyproject.toml": PYPROJECT, "requirements.txt": "x"}, "pyproject.toml", ">=3.12"),
        ({"pyproject.toml": "[tool.ruff]", "requirements.txt": "fastapi\nuvicorn"}, "requirements.txt", None),
        ({"pyproject.toml": POETRY}, "pyproject.toml", ">=3.11,<4.0"),
        ({"requirements.txt": "fastapi\nuvicorn", ".python-version": "3.12\n"}, "requirements.txt", "==3.12.*"),
        ({"requirements.txt": "fastapi\nuvicorn", "runtime.txt": "python-3.11.4"}, "requirements.txt", "==3.11.4"),
        ({"Pipfile": PIPFILE}, None, "==3.11.*"),
    ],
)
def test_dependencies_and_python_version(tree, files, dependencies, python):
    values = found(tree, {**files, "main.py": FASTAPI})
    assert values["command"] == UVICORN.format("main:app")
    assert (values.get("build.dependencies"), values.get("build.python")) == (dependencies, python)


def test_a_pipfile_becomes_requirements(tree):
    assert found(tree, {"Pipfile": PIPFILE, "main.py": FASTAPI})["build.extra"] == ["fastapi", "uvicorn>=0.30"]


@pytest.mark.parametrize(
    ("source", "probes"),
    [
        ("", {}),
        ('@app.get("/health")\ndef h(): ...\n', {"ready": "/health"}),
        (
            '@app.get("/readiness")\ndef r(): ...\n@app.get("/health")\ndef h(): ...\n',
            {"ready": "/readiness", "live": "/health"},
        ),
        ('@app.get("/healthz")\ndef h(): ...\n', {"ready": "/healthz"}),
        ('@app.post("/health")\ndef h(): ...\n', {}),
        ('@other.get("/health")\ndef h(): ...\n', {}),
        ('@app.get(f"/{x}")\ndef h(): ...\n', {}),
    ],
)
def test_health_paths(tree, source, probes):
    values = found(tree, {"requirements.txt": "fastapi\nuvicorn", "main.py": FASTAPI + source})
    assert {k.removeprefix("health."): v["path"] for k, v in values.items() if k.startswith("health.")} == probes


def test_health_in_the_file_wins(tree):
    files = {"requirements.txt": "fastapi\nuvicorn", "main.py": FASTAPI + '@app.get("/health")\ndef h(): ...\n'}
    assert not [key for key in found(tree, files, health={"live": {"tcp": True}}) if key.startswith("health")]


@pytest.mark.parametrize(
    ("files", "output"),
    [
        ({"index.html": ""}, None),
        ({"public/index.html": ""}, "public"),
        ({"dist/index.html": "", "README.md": ""}, "dist"),
    ],
)
def test_static_folders(tree, files, output):
    values = found(tree, files)
    assert (values["kind"], values["build.builder"], values.get("build.output")) == ("static", "static", output)


def test_a_server_beside_index_html_is_a_server(tree):
    files = {"index.html": "", "requirements.txt": "fastapi\nuvicorn", "main.py": FASTAPI}
    assert found(tree, files)["kind"] == "web"


def test_a_script_beside_index_html_is_not(tree):
    assert found(tree, {"index.html": "", "tools/make.py": "print()"})["kind"] == "static"


def test_a_built_front_end(tree):
    values = found(tree, {"package.json": "{}"}, kind="static", build={"command": "make", "output": "dist"})
    assert values == {"build.builder": "static"}


def test_workers_and_cron(tree):
    files = {"requirements.txt": "celery", "jobs.py": ""}
    worker = found(tree, files, kind="worker", command="celery -A jobs worker")
    assert worker == {"build.builder": "python", "build.dependencies": "requirements.txt"}
    assert found(tree, files, command="python jobs.py", schedule="@daily")["kind"] == "cron"


def test_a_command_of_any_language(tree):
    assert found(tree, {"main.go": ""}, command="./server $PORT") == {"kind": "web", "build.builder": "none"}


def test_what_the_file_says_is_not_detected_again(tree):
    files = {"requirements.txt": "fastapi\nuvicorn", "main.py": FASTAPI}
    values = found(tree, files, kind="web", command="python main.py", build={"python": ">=3.11"})
    assert values == {"build.builder": "python", "build.dependencies": "requirements.txt", "build.framework": "fastapi"}


FAULTS = {
    "nothing": (
        {"README.md": ""},
        "kind: cannot tell what this is: neither index.html nor a Python application in the checkout",
    ),
    "a node project": ({"package.json": "{}"}, "needs `build.command` and `build.output`"),
    "two frameworks": (
        {"requirements.txt": "fastapi\nflask", "main.py": FASTAPI, "admin/app.py": FLASK},
        "build.framework: more than one application: fastapi in main.py, flask in admin/app.py | choose with",
    ),
    "no app object": (
        {"requirements.txt": "flask", "other.py": ""},
        "command: the checkout depends on flask, but `app = Flask(…)` was not found",
    ),
    "no framework": (
        {"requirements.txt": "requests", "x.py": ""},
        "command: no known framework among the dependencies",
    ),
    "not installed": ({"main.py": FASTAPI}, "build.dependencies: main.py uses fastapi; nothing installs it"),
}


@pytest.mark.parametrize(("files", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_what_cannot_be_decided(tree, files, message):
    (fault,) = faults(tree, files)
    assert message in fault


def test_the_framework_key_decides(tree):
    files = {"requirements.txt": "fastapi\nflask\ngunicorn", "main.py": FASTAPI, "admin/app.py": FLASK}
    assert found(tree, files, build={"framework": "flask"})["command"] == GUNICORN.format("admin.app:app")


def test_the_dependencies_decide(tree):
    files = {"requirements.txt": "fastapi\nuvicorn", "main.py": FASTAPI, "admin/app.py": FLASK}
    assert found(tree, files)["command"] == UVICORN.format("main:app")


@pytest.mark.parametrize(
    "text",
    [
        "app = FastAPI(",
        "\x00",
        "é" * 10,
        "x = " + "(" * 5000,
        "raise SystemExit(1)",
        "from fastapi import FastAPI\nx = [FastAPI()]",
    ],
    ids=["syntax", "nul", "words", "deep", "side effect", "not assigned"],
)
def test_odd_source_is_no_traceback(tree, text):
    (fault,) = faults(tree, {"requirements.txt": "fastapi", "main.py": text})
    assert "`" in fault


def test_project_code_is_never_run(tree, tmp_path):
    marker = tmp_path / "ran"
    code = f"open({str(marker)!r}, 'w')\n" + FASTAPI
    found(tree, {"requirements.txt": "fastapi", "main.py": code})
    assert not marker.exists()


def test_names_a_shell_would_expand_are_not_entries(tree):
    files = {"requirements.txt": "fastapi", "$(id)/main.py": FASTAPI, "a;b/main.py": FASTAPI}
    (fault,) = faults(tree, files)
    assert "was not found" in fault


def test_nothing_outside_is_read(tree, tmp_path):
    (tmp_path / "secret.txt").write_text("fastapi")
    checkout = tree({"main.py": FASTAPI})
    (checkout / "requirements.txt").symlink_to(tmp_path / "secret.txt")
    view = Checkout(checkout)
    assert view.read("requirements.txt") is None
    assert view.read("../secret.txt") is None
    assert view.read("/etc/passwd") is None


def test_tool_folders_and_hidden_ones_are_skipped(tree):
    files = {
        "node_modules/x/index.js": "",
        ".git/config": "",
        "a/__pycache__/x.pyc": "",
        "a/b.py": "",
        ".python-version": "3.12",
    }
    assert Checkout(tree(files)).files == (".python-version", "a/b.py")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"migrations/001_a.sql": ""}, [("sql", "migrations")]),
        (
            {"db/migrations/0001_x.up.sql": "", "db/migrations/0001_x.down.sql": ""},
            [("golang-migrate", "db/migrations")],
        ),
        ({"migrations/0001_x.up.sql": "", "migrations/2.sql": ""}, [("sql", "migrations")]),
        ({"migrations/0001-x.up.sql": ""}, [("sql", "migrations")]),
        ({"api/prisma/migrations/2024_a/migration.sql": ""}, [("prisma", "api/prisma/migrations")]),
        ({"packages/db/prisma/migrations/1_a/migration.sql": ""}, [("prisma", "packages/db/prisma/migrations")]),
        ({"drizzle/meta/_journal.json": "{}", "drizzle/0000_a.sql": ""}, [("drizzle", "drizzle")]),
        (
            {"drizzle.config.ts": "export default { out: './src/db' }", "src/db/meta/_journal.json": "{}"},
            [("drizzle", "src/db")],
        ),
        ({"api/manage.py": "import django"}, [("django", "api")]),
        ({"api/manage.py": "import flask"}, []),
        ({"api/migrations/1.sql": ""}, [("sql", "api/migrations")]),
        ({"api/alembic.ini": "", "api/alembic/env.py": ""}, [("alembic", "api")]),
        ({"migrations/alembic.ini": ""}, [("alembic", "migrations")]),
        ({"migrations/readme.sql": "", "migrations/0001_x.down.sql": ""}, []),
        ({"migrations/0001_initial.py": ""}, []),
    ],
)
def test_migrations(tree, files, expected):
    found = detect_migrations(Checkout(tree({**files, "api/x.txt": ""})), ("api",))
    assert [(m.tool, m.source) for m in found] == expected


def test_a_project_whose_root_is_the_app(tree):
    (only,) = detect_project(Checkout(tree({"requirements.txt": "flask\ngunicorn", "app.py": FLASK})))
    assert (only.name, only.source, only.route) == ("web", ".", "/")


def test_a_project_of_folders(tree):
    files = {
        "frontend/public/index.html": "",
        "backend/requirements.txt": "fastapi",
        "backend/main.py": FASTAPI,
        "docs/index.html": "",
        "apps/admin/index.html": "",
    }
    proposals = detect_project(Checkout(tree(files)))
    assert [(p.name, p.source, p.route) for p in proposals] == [
        ("api", "backend", "/api"),
        ("web", "frontend", "/"),
        ("admin", "apps/admin", "/admin"),
    ]


def test_a_project_of_nothing(tree):
    assert detect_project(Checkout(tree({"README.md": ""}))) == []


@pytest.mark.parametrize(
    ("main", "router", "health"),
    [
        ("from parts import health\napp.include_router(health.router)\n", "APIRouter()", "/health"),
        ("from parts.health import router as r\napp.include_router(r, prefix='/api')\n", "APIRouter()", "/api/health"),
        ("from parts import health\napp.include_router(health.router)\n", "APIRouter(prefix='/api')", "/api/health"),
        ("from parts import health\nfor p in (health,):\n    app.include_router(p.router)\n", "APIRouter()", "/health"),
        ("from parts import health\napp.include_router(health.router, prefix=BASE)\n", "APIRouter()", None),
        ("from parts import health\napp.include_router(health.router)\n", "APIRouter(prefix=BASE)", None),
        ("import parts.health\n", "APIRouter()", None),
    ],
)
def test_health_of_a_router_with_its_prefix(tree: Any, main: str, router: str, health: str | None) -> None:
    part = f"from fastapi import APIRouter\nrouter = {router}\n"
    files = tree(
        {
            "requirements.txt": "fastapi\nuvicorn\n",
            "main.py": f"from fastapi import FastAPI\napp = FastAPI()\n{main}",
            "parts/health.py": f"{part}@router.get('/health')\ndef f(): ...\n",
        }
    )
    probe = detect_service(Checkout(files), {}).values.get(("health", "ready"))
    assert (probe[0] if probe else None) == ({"path": health} if health else None)
