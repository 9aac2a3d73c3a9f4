"""Which variables code reads: every usual way in each language, and what only looks like one."""

from __future__ import annotations

import pytest

from golive.importers.reads import is_ambient, is_source, reads_in

PYTHON = """
import os
from os import environ, getenv as ge
from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

A = os.environ["A_ONE"]
B = os.environ.get("A_TWO", "x") or os.getenv("A_THREE")
C = environ["A_FOUR"], ge("A_FIVE")
env = dict(os.environ)
D = env.get("A_SIX")
os.environ["NOT_SET"] = "1"
os.environ.setdefault("NOT_DEFAULT", "1")
# os.environ["NOT_COMMENT"]
E = 'os.environ["NOT_TEXT"]'
F = {}.get("NOT_A_DICT")


class Base(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="app_", env_file=".env")
    debug_level: int = 1
    _hidden: int = 2


class Settings(Base):
    token: str = Field(alias="A_TOKEN")
    either: str = Field(validation_alias=AliasChoices("A_EITHER", "NOT_OTHER"))
    url: str | None = None


def load(env=os.environ):
    return number(env, "A_SEVEN")
"""


def names(text: str, path: str) -> set[str]:
    return {name for name, _ in reads_in(text, path)}


def test_python() -> None:
    assert names(PYTHON, "app/main.py") == {
        "A_ONE", "A_TWO", "A_THREE", "A_FOUR", "A_FIVE", "A_SIX", "A_SEVEN", "APP_DEBUG_LEVEL", "A_TOKEN", "A_EITHER",
        "APP_URL",
    }  # fmt: skip
    assert dict(reads_in(PYTHON, "app/main.py"))["A_ONE"] == 7


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import environ\nenv = environ.Env()\nX = env('DJ_ONE'), env.bool('DJ_TWO')", {"DJ_ONE", "DJ_TWO"}),
        ("from decouple import config\nX = config('DE_ONE', cast=int)", {"DE_ONE"}),
        ("class S(BaseSettings):\n    class Config:\n        env_prefix = 'OLD_'\n    size: int", {"OLD_SIZE"}),
        ("class S(BaseSettings):\n    model_config = {'env_prefix': 'D_'}\n    a: int", {"D_A"}),
        ("def load(env: Mapping[str, str]):\n    return env['M_ONE'], env.get('M_TWO')", {"M_ONE", "M_TWO"}),
        ("os.environ['OPEN", set()),
        ("import os\nos.environ[name]; os.getenv(key); os.environ['lower']", set()),
        ("x = '\\d'\nimport os\nos.getenv('A_RAW')", {"A_RAW"}),
    ],
)  # fmt: skip
def test_python_of_every_kind(text: str, found: set[str]) -> None:
    assert names(text, "a.py") == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("process.env.S_ONE!; process.env?.S_TWO ?? 1; process.env['S_THREE']", {"S_ONE", "S_TWO", "S_THREE"}),
        ("const { S_ONE, S_TWO: two, S_THREE = '3',\n  ...rest } = process.env;", {"S_ONE", "S_TWO", "S_THREE"}),
        ("import.meta.env.VITE_A; Bun.env.B_ONE; Deno.env.get('D_ONE')", {"VITE_A", "B_ONE", "D_ONE"}),
        ("process.env.NOT_SET = '1'; process.env.S_CMP === '1'", {"S_CMP"}),
        ("// process.env.NOT_A\n/* x\n * process.env.NOT_B\n */ f() // or process.env.NOT_C", set()),
        ("const a = 'http://x' + process.env.S_ONE", {"S_ONE"}),
        ("createEnv({ server: {\n  T_ONE: z.string(),\n  T_TWO: z\n    .url(),\n} })", {"T_ONE", "T_TWO"}),
        ("import { z } from 'zod';\nconst e = z.object({\n  Z_ONE: z.string(),\n}).parse(process.env)", {"Z_ONE"}),
        ("import { z } from 'zod';\nexport const body = z.object({\n  NOT_ENV: z.string(),\n})", set()),
    ],
)  # fmt: skip
def test_scripts(text: str, found: set[str]) -> None:
    assert names(text, "src/lib/thing.ts") == found


def test_a_schema_in_a_file_about_the_environment_counts_wherever_it_is_parsed() -> None:
    text = 'import { z } from "zod";\nexport const schema = z.object({\n  Z_ONE: z.string(),\n});\n'
    assert names(text, "src/env/server.ts") == {"Z_ONE"}


def test_go() -> None:
    text = (
        'var a = os.Getenv("G_ONE")\nv, ok := os.LookupEnv("G_TWO")\nx := getEnv("G_THREE", "d")\n'
        'type C struct {\n\tA string `json:"a" env:"G_FOUR,required"`\n\tB int `envconfig:"G_FIVE"`\n}\n'
        'os.Setenv("NOT_SET", "1"); os.Unsetenv("NOT_UNSET"); t.Setenv("NOT_TEST", "")\n// os.Getenv("NOT_COMMENT")\n'
    )
    assert reads_in(text, "main.go") == [("G_ONE", 1), ("G_TWO", 2), ("G_THREE", 3), ("G_FOUR", 5), ("G_FIVE", 6)]


def test_a_go_programs_own_reader() -> None:
    text = 'func Load(lookup func(string) (string, bool)) {\n\tr := reader{lookup}\n\tn := r.number("G_OWN", 4)\n}\n'
    assert reads_in(text, "internal/config/config.go") == [("G_OWN", 3)]
    assert reads_in(text, "internal/queue/queue.go") == []


@pytest.mark.parametrize(
    "name", ["PATH", "CI", "NODE_ENV", "PORT", "VERCEL_URL", "NEXT_RUNTIME", "HTTPS_PROXY", "PGHOST"]
)
def test_what_others_give_is_nobodys_to_declare(name: str) -> None:
    assert is_ambient(name)
    assert not is_ambient("NEXT_PUBLIC_SITE")


@pytest.mark.parametrize(
    "path", ["a.txt", "tests/a.py", "src/a.test.ts", "test_a.py", "a_test.go", "x.d.ts", "docs/a.js"]
)
def test_what_is_not_the_apps_code(path: str) -> None:
    assert not is_source(path)
    assert is_source("src/contest/app.tsx")
