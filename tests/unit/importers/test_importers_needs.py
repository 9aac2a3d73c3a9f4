"""The variables that `golive init` declares: typed as the code types them, and none that golive gives by itself."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping

import pytest

from golive.blueprint.checkout import Checkout
from golive.blueprint.env_example import example_text
from golive.blueprint.models import Blueprint, Resource, Service, ServiceKind, Variable, VariableType
from golive.importers.dotenv import import_env
from golive.importers.propose import Proposed, propose
from golive.importers.report import Table
from golive.importers.schemas import declared
from golive.importers.usage import used_variables

MakeCheckout = Callable[[Mapping[str, str]], Checkout]
NODE = {
    "package.json": '{"scripts": {"start": "node server.js"}, "dependencies": {"pg": "8"}}',
    "server.js": "require('http').createServer().listen(process.env.PORT)\n",
}
T3 = """
import { createEnv } from "@t3-oss/env-nextjs";
import { z } from "zod";

export const env = createEnv({
  server: {
    DATABASE_URL: z.string().url(),
    AUTH_SECRET: process.env.NODE_ENV === "production" ? z.string() : z.string().optional(),
    STRIPE_API_KEY: z.string().min(1),
    API_ADDRESS: z.string().url(),
    WORKERS: z.coerce.number().int().min(1).default(4),
    LOG_LEVEL: z.enum(["debug", "info"]).default("info"),
    VERBOSE: z.stringbool().optional(),
    // a comment, with a comma
    REPLY_TO: z
      .string()
      .email()
      .optional(),
  },
  client: { NEXT_PUBLIC_SITE: z.string().default("Shop") },
  runtimeEnv: { DATABASE_URL: process.env.DATABASE_URL, WORKERS: process.env.WORKERS },
  skipValidation: !!process.env.SKIP_ENV_VALIDATION,
});
"""


def declarations(proposed: Proposed) -> Table:
    """What is written, once it is known that golive takes it."""
    assert proposed.problems == ()
    table = tomllib.loads(proposed.text)
    assert table == proposed.table
    found: Table = table.get("env", {})
    return found


@pytest.mark.parametrize(
    ("expression", "entry"),
    [
        ("z.string()", {}),
        ("z.string().url()", {"type": "url"}),
        ("z.url({ protocol: /^https$/ })", {"type": "url"}),
        ("z.email('no')", {"type": "email"}),
        ("z.coerce.number()", {"type": "int"}),
        ("z.coerce.number().default(0.5)", {"type": "float", "default": 0.5}),
        ("z.coerce.boolean().default(false)", {"type": "bool", "default": False}),
        ("z.enum(['a', \"b\",]).default('b')", {"type": "enum", "values": ["a", "b"], "default": "b"}),
        ("z.string().optional()", {"required": False}),
        ("z.optional(z.string().url())", {"type": "url", "required": False}),
        ("z.string().default(makeIt())", {"required": False}),
        ("z.string().default('')", {"required": False}),
        ("z.string().transform((v) => Number(v)).default('5')", {"default": "5"}),
        ("z.preprocess((v) => v, z.number())", {}),
        ("z.union([z.string().url(), z.literal('')])", {}),
    ],
)
def test_zod_types(expression: str, entry: Table) -> None:
    assert declared(expression) == entry


def test_a_t3_schema_becomes_typed_variables(checkout: MakeCheckout) -> None:
    table = declarations(propose(checkout(NODE | {"src/env.ts": T3}), "shop"))
    assert table == {
        "AUTH_SECRET": {"type": "secret", "generate": True},
        "STRIPE_API_KEY": {"type": "secret"},
        "API_ADDRESS": {"type": "url"},
        "WORKERS": 4,
        "LOG_LEVEL": {"type": "enum", "values": ["debug", "info"], "default": "info"},
        "VERBOSE": {"type": "bool", "required": False},
        "REPLY_TO": {"type": "email", "required": False},
        "NEXT_PUBLIC_SITE": {"default": "Shop", "client": True, "build": True},
    }


def test_a_build_that_checks_the_servers_variables_is_told_to_skip_it(checkout: MakeCheckout) -> None:
    proposed = propose(checkout(NODE | {"src/env.ts": T3}), "shop")
    assert proposed.table["services"]["web"]["build"]["env"] == {"SKIP_ENV_VALIDATION": "1"}


def test_a_schema_types_what_another_file_declares(checkout: MakeCheckout) -> None:
    files = NODE | {"src/env.ts": T3, ".env.example": "LOG_LEVEL=debug\nWORKERS=2\nREPLY_TO=a@b.example\n"}
    table = declarations(propose(checkout(files), "shop"))
    assert table["WORKERS"] == 2
    assert table["REPLY_TO"] == {"type": "email", "default": "a@b.example"}
    assert table["LOG_LEVEL"] == {"type": "enum", "values": ["debug", "info"], "default": "info"}


def test_defaults_of_the_code_are_the_files(checkout: MakeCheckout) -> None:
    made = checkout(
        {
            "a.py": "A = os.getenv('ONE', 'x')\nB = int(os.environ.get('TWO', 2))\nC = os.getenv('THREE', other())\n"
            "D = config('FOUR', default=True)\n",
            "settings.py": "class S(BaseSettings):\n    five: int = 5\n    six: str = Field(default='s', title='x')\n",
            "b.ts": "process.env.SEVEN ?? 'seven'; Number(process.env['EIGHT'] || 8); process.env.NINE || other",
            "c.go": 'package main\nvar x = getEnv("TEN", "ten")\nvar y = envInt("ELEVEN", 11)\n'
            'var z = envDuration("TWELVE", 12*time.Second)\n',
        }
    )
    entries = {name: usage.entry.get("default") for name, usage in used_variables(made).items()}
    assert entries == {
        "ONE": "x", "TWO": 2, "THREE": None, "FOUR": True, "FIVE": 5, "SIX": "s", "SEVEN": "seven", "EIGHT": 8,
        "NINE": None, "TEN": "ten", "ELEVEN": 11, "TWELVE": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("code", "entry"),
    [
        ("process.env.API_TOKEN || 'dev-token'", {"type": "secret", "required": False}),
        ("process.env.API_BASE || 'http://localhost:4000'", {"required": False, "example": "http://localhost:4000"}),
        ("process.env.LINK || 'https://user:pass@example.com'", {"type": "secret", "required": False}),
        ("process.env.APP_ENV || 'development'", "production"),
    ],
)
def test_a_developers_own_defaults_are_not_production(checkout: MakeCheckout, code: str, entry: object) -> None:
    table = declarations(propose(checkout(NODE | {"a.js": code}), "shop"))
    assert list(table.values()) == [entry]


def test_what_a_store_gives_is_neither_declared_nor_listed_as_to_be_set(checkout: MakeCheckout) -> None:
    compose = (
        "services:\n  web: {build: ., ports: ['3000:3000'], environment: {DB_HOST: db, DB_PASSWORD: 'hunter2',"
        " DB_SSLMODE: disable, POSTGRES_PASSWORD: x, GREETING: hi}}\n  db: {image: 'postgres:17'}\n"
    )
    code = {"a.js": "process.env.DB_HOST; process.env.DB_PASSWORD!; process.env.DB_POOL_SIZE || 3"}
    proposed = propose(checkout(NODE | code | {"docker-compose.yml": compose, ".env.example": "PGUSER=me\n"}), "shop")
    assert declarations(proposed) == {"GREETING": "hi", "DB_POOL_SIZE": 3}
    assert "DB_PASSWORD" not in proposed.text
    assert proposed.unset == ()
    (imported,) = (entry for entry in proposed.imported if entry.kind == "compose")
    assert imported.accounted == imported.keys


def test_a_store_takes_the_prefix_that_the_code_reads(checkout: MakeCheckout) -> None:
    code = (
        "process.env.POSTGRES_HOST; process.env.POSTGRES_USER; process.env.POSTGRES_PASSWORD; process.env.POSTGRES_DB"
    )
    proposed = propose(checkout(NODE | {"a.js": code}), "shop")
    assert proposed.table["resources"] == {"db": {"engine": "postgres", "prefix": "POSTGRES"}}
    assert declarations(proposed) == {"POSTGRES_DB": {"required": False}}
    assert any("POSTGRES_DB" in note and "POSTGRES_NAME" in note for note in proposed.notes)


def test_a_store_keeps_its_names_where_prismas_schema_reads_them(checkout: MakeCheckout) -> None:
    code = "; ".join(f"process.env.POSTGRES_{part}" for part in ("HOST", "USER", "PASSWORD"))
    schema = 'datasource db {\n  provider = "postgresql"\n  url = env("DATABASE_URL")\n}\n'
    proposed = propose(checkout(NODE | {"a.js": code, "prisma/schema.prisma": schema}), "shop")
    assert proposed.table["resources"] == {"db": "postgres"}


def test_without_a_store_its_variables_are_the_users_to_set(checkout: MakeCheckout) -> None:
    files = {"package.json": '{"scripts": {"start": "node a.js"}}', "a.js": "process.env.DATABASE_URL!"}
    assert propose(checkout(files), "shop").unset == ("DATABASE_URL",)


def test_schemas_in_a_folder_called_env_are_read_and_virtual_environments_are_not(checkout: MakeCheckout) -> None:
    made = checkout(
        NODE
        | {"src/env/schema.ts": 'import { z } from "zod";\nexport const s = z.object({\n  MINE: z.string(),\n});\n'}
        | {"env/pyvenv.cfg": "home = /usr", "env/lib/x.py": "import os\nos.environ['NOT_MINE']\n"}
    )
    assert set(used_variables(made)) == {"MINE"}


def test_what_golive_exported_comes_back_as_it_was_declared(checkout: MakeCheckout) -> None:
    variables = {
        "KEY": Variable(type=VariableType.SECRET, description="Of the payments."),
        "OWN": Variable(type=VariableType.SECRET, generate=True),
        "LEVEL": Variable(type=VariableType.ENUM, values=("low", "high"), default="low"),
        "HOSTS": Variable(type=VariableType.STRINGS, default=["a", "b"]),
        "WAIT": Variable(type=VariableType.FLOAT, default=1.5, description="Seconds,\nat most."),
        "PLACE": Variable(type=VariableType.URL, required=False, example="https://a.example"),
        "NEXT_PUBLIC_NAME": Variable(default="Shop", client=True, build=True),
    }
    services = {"web": Service(kind=ServiceKind.WEB, route=("/",))}
    stores = {"main": Resource(engine="postgres")}
    text = example_text(Blueprint(name="shop", services=services, resources=stores, env=variables), str)
    found = import_env(text)
    assert found.accounted == found.keys == 8
    assert not found.lost
    assert found.proposal["resources"] == {"main": {"engine": "postgres"}}
    read = {name: Variable.model_validate(entry) for name, entry in found.proposal["env"].items()}
    assert read == variables | {"WAIT": variables["WAIT"].model_copy(update={"description": "Seconds, at most."})}
    assert declarations(propose(checkout(NODE | {".env.example": text}), "shop"))["LEVEL"]["values"] == ["low", "high"]


def test_a_reader_of_ones_own_in_go(checkout: MakeCheckout) -> None:
    code = (
        "package config\nfunc Load(lookup func(string) (string, bool)) Config {\n"
        'return Config{A: r.text("MODE_OF_WORK", "fast"), B: r.least("WORKERS", 1), C: r.secret("JWT_SECRET", 32)}\n}\n'
    )
    found = used_variables(checkout({"internal/config/config.go": code, "internal/other.go": 'x.Do("NOT_ME")'}))
    assert set(found) == {"MODE_OF_WORK", "WORKERS", "JWT_SECRET"}
    assert found["MODE_OF_WORK"].entry == {"default": "fast"}
    assert found["WORKERS"].entry == {}
