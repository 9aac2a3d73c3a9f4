"""`golive init` as a command."""

from __future__ import annotations

import json
import os
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
    assert "vercel.json: 1 key carried over, 1 not" in said.err
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


def test_a_second_run_finds_nothing_to_do_and_shows_what_would_change(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", str(folder)]) == 0
    assert run(["init", str(folder)]) == 0
    assert "is what golive init would write" in capsys.readouterr().err
    file = folder / "golive.toml"
    file.write_text(file.read_text().replace('name = "my-shop"', 'name = "mine"'))
    assert run(["init", str(folder)]) == 1
    said = capsys.readouterr()
    assert '-name = "mine"\n+name = "my-shop"' in said.err
    assert said.out == ""
    assert 'name = "mine"' in file.read_text()


def test_it_ends_with_what_was_found_and_the_next_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "main.py").write_text(
        "import os\nfrom fastapi import FastAPI\napp = FastAPI()\nos.environ['STRIPE_API_KEY']\n"
    )
    (tmp_path / "requirements.txt").write_text("fastapi\nuvicorn\nredis\n")
    monkeypatch.chdir(tmp_path)
    assert run(["init"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "  found: web (fastapi), cache (redis), 1 variable"
    assert lines[-2:] == ["  set first: golive env set STRIPE_API_KEY", "next: golive up"]


def test_an_empty_folder_gets_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(tmp_path)]) == 1
    assert "go to the folder of your application" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("files", "needs"),
    [
        (
            {"main.py": "from fastapi import FastAPI\napp = FastAPI()\n", "requirements.txt": "fastapi\nuvicorn\n"}
            | {"package.json": '{"scripts": {"start": "node x.js"}, "dependencies": {"express": "4"}}'},
            "services.web.build.builder: the checkout holds more than one application: python, node",
        ),
        (
            {"package.json": '{"private": true, "workspaces": ["libs/*"]}', "libs/a/package.json": '{"name": "a"}'},
            "services: there is none: cannot tell what this is",
        ),
    ],
)
def test_what_cannot_be_told_is_said_exactly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: dict[str, str], needs: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert run(["init", str(tmp_path)]) == 0
    said = capsys.readouterr().err.split("It still needs:\n")[1]
    assert said.strip().startswith(needs)
    assert len(said.strip().splitlines()) == 3
    assert f"golive config {tmp_path}" in said


def test_a_toolchain_that_golive_does_not_bring_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "package.json").write_text('{"scripts": {"start": "node x.js"}, "engines": {"node": "8.x"}}')
    (tmp_path / "x.js").write_text("")
    assert run(["init", str(tmp_path)]) == 0
    assert "services.web asks for Node.js 8.x: golive brings 18 and newer" in capsys.readouterr().err


def test_odd_files_are_only_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names that are no text, pipes, folders with a file's name, links that go round or to a device."""
    odd = tmp_path / os.fsdecode(b"b\xffd")
    odd.mkdir()
    for name in ("index.html", "vercel.json"):
        (odd / name).write_text("{}")
    (tmp_path / "index.html").write_text("x")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "vercel.json").symlink_to("vercel.json")
    (tmp_path / "render.yaml").symlink_to("/dev/zero")
    (tmp_path / "nixpacks.toml").mkdir()
    os.mkfifo(tmp_path / "fly.toml")
    (tmp_path / "docker-compose.yml").write_bytes(os.urandom(2000))
    (tmp_path / ".env.example").write_bytes(b"A=1\r\n# Seconds to wait\r\nWAIT=2\r\n")
    assert run(["init", str(tmp_path)]) == 0
    assert set(load(tmp_path).blueprint.services) == {"web"}
    said = capsys.readouterr().err
    assert "render.yaml: is a symbolic link that leads out of the checkout" in said
    assert "vercel.json: cannot be followed" in said
    assert "Seconds to wait" in (tmp_path / "golive.toml").read_text()
