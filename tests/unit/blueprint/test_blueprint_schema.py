"""The published schema and reference page are what the models say, and the schema describes the files we ship."""

from __future__ import annotations

import functools
import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from golive.blueprint.models import Blueprint, Service, Variable
from golive.blueprint.schema import json_schema, main, outdated

ROOT = Path(__file__).parents[3]
FILES = [Path(__file__).parent / "design_example.toml", *sorted(ROOT.glob("examples/*/golive.toml"))]


def test_the_published_files_are_current():
    assert outdated(ROOT) == []


def test_writing_makes_them_current(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--check"]) == 1
    assert main(["--write"]) == 0
    assert main(["--check"]) == 0
    assert outdated(tmp_path) == []


def test_it_says_how_it_is_used(capsys):
    assert main([]) == 2
    assert "--write|--check" in capsys.readouterr().err


def test_every_key_is_described():
    schema = json_schema()
    tables = {"golive.toml": schema, **schema["$defs"]}
    bare = [
        f"{table}.{key}"
        for table, definition in tables.items()
        for key, entry in definition.get("properties", {}).items()
        if not entry.get("description")
    ]
    assert bare == []


def test_the_file_needs_only_a_name_and_services():
    schema = json_schema()
    assert schema["required"] == ["name", "services"]
    assert schema["$defs"]["Service"]["required"] == []
    assert "required" not in schema["$defs"]["Environment"]
    assert "name" not in schema["$defs"]["Environment"]["properties"]


def test_it_knows_every_key_of_the_models():
    schema = json_schema()
    assert set(schema["properties"]) == (set(Blueprint.model_fields) - {"environment"}) | {"environments"}
    assert set(schema["$defs"]["Service"]["properties"]) == set(Service.model_fields)
    assert set(schema["$defs"]["Variable"]["properties"]) == (set(Variable.model_fields) - {"services"}) | {"for"}


@functools.cache
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.parent.name)
def test_shipped_files_are_valid(file):
    validator().validate(tomllib.loads(file.read_text()))


SHORT = """
name = "a"
domains = "a.example"
migrations = false
resources.db = "postgres:17"
env.LOG = "info"
env.DEBUG = false
[services.web]
route = "/"
health = "/health"
scale = 3
rate_limit = "100/min"
limits.memory = "512MB"
[environments.preview]
domains = ["b.example"]
services.web.scale = 1
resources.db.memory = "64MB"
"""
WRONG = ["domains = 3", "[services.web]\nscael = 1", "[services.Web]", "[environments.preview]\nname = 'b'"]


def test_short_forms_are_valid():
    validator().validate(tomllib.loads(SHORT))


@pytest.mark.parametrize("text", WRONG)
def test_wrong_files_are_not_valid(text):
    data = {"name": "a", "services": {"web": {}}} | tomllib.loads(text)
    with pytest.raises(jsonschema.ValidationError):
        validator().validate(data)


def test_the_schema_is_json():
    assert json.loads(json.dumps(json_schema())) == json_schema()
