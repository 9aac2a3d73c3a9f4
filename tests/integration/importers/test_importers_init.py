"""`golive init` as a command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from golive.blueprint.load import load
from golive.cli.main import run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shop = tmp_path / "My Shop"
    shop.mkdir()
    (shop / "index.html").write_text("x")
    (shop / "vercel.json").write_text('{"regions": ["fra1"], "redirects": [{"source": "/a", "destination": "/b"}]}')
    return shop


def test_it_writes_a_file_that_golive_accepts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(folder)]) == 0
    blueprint = load(folder).blueprint
    assert blueprint.name == "my-shop"
    assert blueprint.services["web"].redirects[0].destination == "/b"
    said = capsys.readouterr()
    assert said.out == ""
    assert "vercel.json: 1 keys carried over, 1 not" in said.err
    assert "regions" in (folder / "golive.toml").read_text()


def test_it_does_not_overwrite_unless_told_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "golive.toml").write_text("mine")
    assert run(["init", str(folder)]) == 1
    assert "golive init --force" in capsys.readouterr().err
    assert (folder / "golive.toml").read_text() == "mine"
    assert run(["init", str(folder), "--force"]) == 0
    assert load(folder).blueprint.name == "my-shop"


def test_a_dry_run_prints_and_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(folder), "--dry-run"]) == 0
    assert 'name = "my-shop"' in capsys.readouterr().out
    assert not (folder / "golive.toml").exists()


def test_json_has_the_whole_account(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(folder), "--json", "--dry-run"]) == 0
    account = json.loads(capsys.readouterr().out)
    assert account["file"] is None
    imported = account["imported"][0]
    assert {key for entry in imported["carried"] + imported["lost"] for key in entry["keys"]} == {
        "regions[0]",
        "redirects[0].source",
        "redirects[0].destination",
    }
    assert account["blueprint"]["services"]["web"]["redirects"] == [{"source": "/a", "destination": "/b"}]


def test_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("x")
    assert run(["init", str(tmp_path)]) == 0
    assert "It still needs:" in capsys.readouterr().err
    assert run(["init", str(tmp_path / "nowhere")]) == 2
