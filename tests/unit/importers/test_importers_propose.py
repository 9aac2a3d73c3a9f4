"""`golive init` over whole checkouts: what is found, what is written, and that golive accepts it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping

import pytest

from golive.blueprint.checkout import Checkout
from golive.blueprint.document import parse_document
from golive.blueprint.resolve import resolve
from golive.importers.drivers import find_drivers
from golive.importers.propose import Proposed, propose
from golive.importers.toml_text import comment, document
from golive.importers.usage import used_variables
from golive.importers.workers import find_workers

MakeCheckout = Callable[[Mapping[str, str]], Checkout]
API = {"main.py": "from fastapi import FastAPI\napp = FastAPI()\n", "requirements.txt": "fastapi\nuvicorn\n"}


def below(folder: str, files: Mapping[str, str]) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in files.items()}


def accepted(checkout: Checkout, name: str = "shop") -> Proposed:
    """The proposal, which golive accepts as it is written, and which says no more than its data."""
    proposed = propose(checkout, name)
    assert proposed.problems == ()
    assert tomllib.loads(proposed.text) == proposed.table
    resolve(parse_document(proposed.text), checkout)
    return proposed


def test_a_page_and_an_api(checkout: MakeCheckout) -> None:
    files = below("frontend", {"index.html": "x"}) | below("backend", {**API, "x.py": "a = '/api/y'\n"})
    table = accepted(checkout(files)).table
    assert table["services"]["web"] == {"source": "frontend", "route": "/"}
    assert table["services"]["api"] == {"source": "backend", "route": "/api"}


def test_a_service_that_does_not_know_its_prefix_does_not_get_to_see_it(checkout: MakeCheckout) -> None:
    table = accepted(checkout(below("frontend", {"index.html": "x"}) | below("billing", API))).table
    assert table["services"]["billing"] == {"source": "billing", "route": "/billing", "strip_prefix": True}


def test_stores_workers_and_variables_are_found(checkout: MakeCheckout) -> None:
    files = {
        "main.py": "import os\nfrom fastapi import FastAPI\napp = FastAPI()\nKEY = os.environ['STRIPE_API_KEY']\n"
        "LEVEL = os.getenv('MY_LEVEL', 'info')\nURL = os.environ['DATABASE_URL']\n",
        "tasks.py": "from celery import Celery\nqueue = Celery('x')\nqueue.conf.beat_schedule = {}\n",
        "requirements.txt": "fastapi\nuvicorn\ncelery\npsycopg[binary]\nredis\n",
        "migrations/001_first.sql": "create table t (id int);\n",
    }
    proposed = accepted(checkout(files))
    table = proposed.table
    assert table["services"]["worker"]["command"] == "celery -A tasks:queue worker --loglevel info"
    assert "beat" in table["services"]
    assert table["resources"] == {"db": "postgres", "cache": "redis"}
    assert proposed.unset == ("STRIPE_API_KEY",)
    assert table["env"]["STRIPE_API_KEY"] == {"type": "secret"}
    assert table["env"]["MY_LEVEL"] == "info"
    assert "DATABASE_URL" not in table["env"]
    assert "# read in main.py" in proposed.text


def test_a_second_port_that_speaks_grpc(checkout: MakeCheckout) -> None:
    server = 'package main\nfunc main() { grpc.NewServer(); os.Getenv("%s") }\n'
    proto = 'syntax = "proto3";\npackage shop.v1;\nservice Orders {\n}\n'
    files = {"go.mod": "module x\n\ngo 1.22\n", "main.go": server % "GRPC_PORT", "proto/shop.proto": proto}
    table = accepted(checkout(files)).table
    assert table["services"]["web"]["grpc"] == {"route": ["/shop.v1.Orders"]}
    assert "GRPC_PORT" not in table.get("env", {})
    other = propose(checkout(files | {"main.go": server % "RPC"}), "shop")
    assert "grpc" not in other.table["services"]["web"]
    assert any("GRPC_PORT" in note for note in other.notes)


def test_files_of_several_platforms_about_one_service_make_one_service(checkout: MakeCheckout) -> None:
    files = {
        **API,
        "Procfile": "web: uvicorn main:app --port $PORT\nworker: python work.py\n",
        "railway.json": '{"deploy": {"healthcheckPath": "/up", "numReplicas": 2}}',
        "fly.toml": 'app = "my-shop"\n[env]\nA = "1"\n[http_service]\ninternal_port = 8000\n',
        "docker-compose.yml": "services:\n  app: {build: ., ports: ['8000:8000']}\n  db: {image: 'postgres:17'}\n",
        ".env.example": "A=2\nAPI_KEY=\nDATABASE_URL=postgres://a:b@c/d\n",
    }
    table = accepted(checkout(files)).table
    assert table["name"] == "my-shop"
    assert set(table["services"]) == {"web", "worker"}
    assert table["services"]["web"]["scale"] == 2
    assert table["services"]["web"]["health"] == "/up"
    assert table["resources"] == {"db": "postgres:17"}
    assert table["env"]["A"] == 1
    assert table["env"]["API_KEY"] == {"type": "secret", "required": False}


def test_a_monorepo_of_several_apps(checkout: MakeCheckout) -> None:
    files = below(
        "apps/shop", {"index.html": "x", "vercel.json": '{"redirects": [{"source": "/a", "destination": "/b"}]}'}
    )
    files |= below("apps/orders", API) | {"package.json": '{"private": true, "workspaces": ["apps/*"]}'}
    table = accepted(checkout(files)).table
    shop = next(service for service in table["services"].values() if service["source"] == "apps/shop")
    assert shop["redirects"] == [{"source": "/a", "destination": "/b"}]
    assert {service["source"] for service in table["services"].values()} == {"apps/shop", "apps/orders"}


def test_where_nothing_can_be_told_it_says_which_key_decides(checkout: MakeCheckout) -> None:
    proposed = propose(checkout({"src/thing.rs": "fn main() {}\n", "Cargo.toml": "[package]\n"}), "rusty")
    assert proposed.problems
    assert "It still needs:" in proposed.text
    assert "services" in str(proposed.problems[0])
    tomllib.loads(proposed.text)


def test_a_hostile_checkout_is_only_data(checkout: MakeCheckout) -> None:
    made = checkout(
        {
            **API,
            "docker-compose.yml": "services:\n  \"a\\nb\": {build: ../../etc, ports: ['80']}\n"
            "  web: {build: ., ports: ['80'], environment: {X: \"a'''\\n[services.evil]\\u001b\", 'B\"]\\n': 1}}\n",
            "vercel.json": '{"env": {"Y": "\\"\\n[services.evil]"}}',
            "render.yaml": "a: &a [*a]",
            "fly.toml": "\0",
            "Procfile": "web: x\n" * 3,
        }
    )
    (made.root / "railway.json").symlink_to("/etc/hostname")
    proposed = accepted(made)
    assert set(proposed.table["services"]) == {"web"}
    assert "evil" not in tomllib.loads(proposed.text)["services"]
    assert all(ord(c) >= 32 or c == "\n" for c in proposed.text)
    problems = {entry.file: entry.problem for entry in proposed.imported if entry.problem}
    assert set(problems) == {"render.yaml", "fly.toml", "railway.json"}
    assert "out of the checkout" in str(problems["railway.json"])


def test_usage_in_every_language(checkout: MakeCheckout) -> None:
    made = checkout(
        {
            "a.py": "import os\nos.environ['ONE']\nos.getenv(\"TWO\")\nos.environ.get('THREE')\n"
            "os.environ['SET'] = '1'\n",
            "settings.py": "from pydantic_settings import BaseSettings\n\n\nclass S(BaseSettings):\n    four: str\n"
            "    five: int = 5\n    six: str | None = None\n    model_config = {'env_prefix': ''}\n",
            "b.ts": "process.env.SEVEN!; process.env['EIGHT']; import.meta.env.VITE_NINE; process.env.NODE_ENV",
            "env.ts": "export const env = createEnv({server: {\n  TEN: z.string().min(1),\n"
            "  ELEVEN: z.string().optional(),\n}})",
            "c.go": 'package main\nvar x = os.Getenv("TWELVE")\ntype C struct { A string `env:"THIRTEEN"` }\n',
            "tests/test_a.py": "os.environ['NOT_ME']",
            "node_modules/x/index.js": "process.env.NOT_ME_EITHER",
        }
    )
    found = {name: usage.required for name, usage in used_variables(made).items()}
    required = {name for name, needed in found.items() if needed}
    assert required == {"ONE", "FOUR", "SEVEN", "TEN"}
    assert set(found) - required == {
        "TWO", "THREE", "FIVE", "SIX", "EIGHT", "VITE_NINE", "ELEVEN", "TWELVE", "THIRTEEN",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("files", "engines", "others"),
    [
        ({"package.json": '{"dependencies": {"pg": "1", "bullmq": "2"}}'}, {"postgres", "redis"}, set()),
        ({"go.mod": "module x\nrequire github.com/jackc/pgx/v5 v5.1.0\n"}, {"postgres"}, set()),
        ({"requirements.txt": "pymongo\n"}, set(), {"MongoDB"}),
        ({"prisma/schema.prisma": 'datasource db {\n  provider = "postgresql"\n}\n'}, {"postgres"}, set()),
        ({"prisma/schema.prisma": 'datasource db {\n  provider = "mysql"\n}\n'}, set(), {"MySQL"}),
        ({"package.json": "[1, 2", "go.mod": ""}, set(), set()),
    ],
)
def test_drivers(checkout: MakeCheckout, files: dict[str, str], engines: set[str], others: set[str]) -> None:
    found = find_drivers(checkout(files), (".",))
    assert (set(found.engines), set(found.others)) == (engines, others)


@pytest.mark.parametrize(
    ("files", "command"),
    [
        (
            {"requirements.txt": "arq\n", "app/jobs.py": "class WorkerSettings:\n    pass\n"},
            "arq app.jobs.WorkerSettings",
        ),
        ({"requirements.txt": "rq\nredis\n"}, "rq worker --url $REDIS_URL"),
        ({"package.json": '{"dependencies": {"bullmq": "5"}, "scripts": {"worker": "x"}}'}, "npm run worker"),
        ({"package.json": '{"dependencies": {"bull": "4"}}', "src/worker.js": "x"}, "node src/worker.js"),
        (
            {"requirements.txt": "celery\n", "proj/celery.py": "app = Celery('p')\n"},
            "celery -A proj.celery worker --loglevel info",
        ),
    ],
)
def test_workers(checkout: MakeCheckout, files: dict[str, str], command: str) -> None:
    assert [worker.command for worker in find_workers(checkout(files), ".")] == [command]


def test_any_data_survives_being_written() -> None:
    data = {
        "name": "a",
        "services": {
            "web": {"command": "x \"y\" 'z' \\ \t", "health": {"ready": {"path": "/"}}, "redirects": [{"a": [1, True]}]}
        },
        "env": {"A b": {"default": "\x00\x1f\x7fé\u2028"}, "B": {"default": 1.5, "long": {"k" * 60: "v" * 80}}},
    }
    text = document(data, {"services.web": ["one\ntwo\x1b[2J"]}, ["head"], ["foot"])
    assert tomllib.loads(text) == data


def test_a_comment_cannot_end_itself() -> None:
    assert all(line.startswith("#") for line in comment("a\nb = 1\r\n[c]\x85\u2028d " + "x" * 300).splitlines())
