"""The examples' .env.example are what `golive env export` writes from their golive.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from golive.blueprint.document import parse_document
from golive.blueprint.env_example import example_text
from golive.blueprint.models import Blueprint
from golive.blueprint.sugar import expand
from golive.importers.env_file import parse, written

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.mark.parametrize("name", ["akashic", "darasa", "datifyy", "rt-apps", "threadr"])
def test_an_example_is_up_to_date(name: str) -> None:
    table = expand(parse_document((EXAMPLES / name / "golive.toml").read_text()).data)
    # What an example is made of needs no detection: services by name are enough.
    services = {service: {"kind": "web", "command": "x"} for service in table["services"]}
    kept = {key: table[key] for key in ("name", "env", "resources")}
    text = example_text(Blueprint.model_validate({**kept, "services": services}), written)
    assert (EXAMPLES / name / ".env.example").read_text() == text, f"golive env export examples/{name}/.env.example"
    assert parse(text).problems == ()
