"""The pure parts of a build: keys, versions, start lines, environments, uv's words."""

from __future__ import annotations

import os
import random
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from golive.build.command import start_argv, with_port
from golive.build.environment import build_environment, client_settings, credentials, pip_configuration
from golive.build.interpreters import Interpreter, choose
from golive.build.key import ArtifactInputs, LayerInputs, artifact_key, layer_key
from golive.build.layer import explain
from golive.build.specifier import allows, parse_version

LAYER = LayerInputs("deps", ("uvicorn",), "3.11.2", "/usr/bin/python3.11", "linux")
ARTIFACT = ArtifactInputs("tree", "python", {"command": None}, "uvicorn main:app", "linux", "layer", None, {"A": "1"})


def test_keys_are_the_same_on_every_machine_and_run() -> None:
    assert layer_key(LAYER) == "cb5054a1ac94a80e5eebb87c74a4e23c"
    assert artifact_key(ARTIFACT) == "fedeaf62be27dfb957ec558ceb043f6f"


@pytest.mark.parametrize("field", [f.name for f in fields(LayerInputs)])
def test_every_input_of_a_layer_is_in_its_key(field: str) -> None:
    changed: Any = ("gunicorn",) if field == "extra" else "other"
    assert layer_key(replace(LAYER, **{field: changed})) != layer_key(LAYER)


@pytest.mark.parametrize("field", [f.name for f in fields(ArtifactInputs)])
def test_every_input_of_an_artifact_is_in_its_key(field: str) -> None:
    others: dict[str, Any] = {"recipe": {"command": "make"}, "static": (True, True), "env": {"A": "2"}}
    assert artifact_key(replace(ARTIFACT, **{field: others.get(field, "other")})) != artifact_key(ARTIFACT)


def test_the_order_of_variables_does_not_matter() -> None:
    names = [f"V{n}" for n in range(20)]
    shuffled = random.Random(7).sample(names, len(names))
    one, other = (replace(ARTIFACT, env={name: name for name in order}) for order in (names, shuffled))
    assert artifact_key(one) == artifact_key(other)


@pytest.mark.parametrize(
    ("specifier", "fitting", "other"),
    [
        (">=3.11", "3.11.0 3.11.2 3.13.1", "3.10.9"),
        (">=3.11,<3.13", "3.11.0 3.12.9", "3.13.0"),
        ("3.12", "3.12.0 3.12.7", "3.11.2 3.13.0"),
        ("==3.12.*", "3.12.7", "3.13.0"),
        ("==3.12.1", "3.12.1", "3.12.2"),
        ("!=3.12.*,>=3.11", "3.11.1 3.13.0", "3.12.1"),
        ("!=3.12.1", "3.12.2", "3.12.1"),
        ("~=3.11", "3.11.0 3.13.0", "3.10.1"),
        ("~=3.11.2", "3.11.2 3.11.9", "3.11.1 3.12.0"),
        ("^3.11", "3.11.0 3.13.0", "3.10.0 4.0.0"),
        ("~3.11", "3.11.9", "3.12.0"),
        ("> 3.11.1", "3.11.2", "3.11.1"),
        ("<=3.12", "3.12.0 3.9.1", "3.12.1"),
        ("", "3.9.1", ""),
    ],
)
def test_specifiers(specifier: str, fitting: str, other: str) -> None:
    assert [v for v in fitting.split() if not allows(specifier, parse_version(v))] == []
    assert [v for v in other.split() if allows(specifier, parse_version(v))] == []


def test_an_unreadable_specifier_is_said() -> None:
    with pytest.raises(ValueError, match="'latest' is not a Python version"):
        allows("latest", (3, 12, 0))


OWN = Interpreter(Path("/usr/bin/python3.11"), "3.11.2")
NEW = Interpreter(Path("/opt/python3.13"), "3.13.0")
CLOSED = Interpreter(Path("/root/.pyenv/python3.14"), "3.14.0", reachable=False)


@pytest.mark.parametrize(
    ("spec", "chosen"), [(None, OWN), (">=3.9", OWN), (">=3.12", NEW), ("3.11", OWN), (">=3.11,!=3.11.2", NEW)]
)
def test_choice_of_interpreter(spec: str | None, chosen: Interpreter) -> None:
    for found in ([CLOSED, OWN, NEW], [NEW, OWN, CLOSED]):
        assert choose(spec, found, OWN.path) == chosen


def test_an_interpreter_the_app_cannot_run_is_no_choice() -> None:
    with pytest.raises(LookupError):
        choose("3.14", [OWN, NEW, CLOSED], OWN.path)


@pytest.mark.parametrize(
    ("line", "argv"),
    [
        ("uvicorn main:app --port $PORT", ("uvicorn", "main:app", "--port", "$PORT")),
        ("gunicorn -b 0.0.0.0:${PORT} 'a b'", ("gunicorn", "-b", "0.0.0.0:${PORT}", "a b")),
        ("gunicorn 'app:create_app()'", ("/bin/sh", "-c", "exec gunicorn 'app:create_app()'")),
        ("x --workers ${N:-2}", ("/bin/sh", "-c", "exec x --workers ${N:-2}")),
        ("python a.py > log 2>&1", ("/bin/sh", "-c", "exec python a.py > log 2>&1")),
        ("A=1 B='x y' python a.py", ("/bin/sh", "-c", "A=1 B='x y' exec python a.py")),
        ("a && b", ("/bin/sh", "-c", "a && b")),
        ("a | b", ("/bin/sh", "-c", "a | b")),
        ("a; b", ("/bin/sh", "-c", "a; b")),
        ("a $(b)", ("/bin/sh", "-c", "a $(b)")),
        ("cd x", ("/bin/sh", "-c", "cd x")),
        ("a\nb", ("/bin/sh", "-c", "a\nb")),
        ("exec a $B", ("/bin/sh", "-c", "exec a $B")),
    ],
)
def test_start_lines(line: str, argv: tuple[str, ...]) -> None:
    assert start_argv(line) == argv


def test_the_port_is_put_in_at_the_start() -> None:
    argv = start_argv("serve --port $PORT --bind 127.0.0.1:${PORT} $PORT")
    assert with_port(argv, {"PORT": "8123"}) == ("serve", "--port", "8123", "--bind", "127.0.0.1:8123", "8123")
    assert with_port(("/bin/sh", "-c", "exec a $PORTER $PORT"), {"PORT": "1"})[2] == "exec a $PORTER $PORT"


@pytest.mark.parametrize("line", ["", "   ", "python 'a"])
def test_a_start_line_that_cannot_be_read(line: str) -> None:
    with pytest.raises(ValueError):
        start_argv(line)


def test_only_the_settings_of_package_clients_pass() -> None:
    environ = {
        "DATABASE_URL": "postgres://u:canary@db/x",
        "AWS_SECRET_ACCESS_KEY": "canary",
        "HTTPS_PROXY": "http://proxy:3128",
        "no_proxy": "localhost",
        "SSL_CERT_FILE": "/ca.pem",
        "UV_INDEX_COMPANY_PASSWORD": "company-password",
        "UV_PROJECT": "/elsewhere",
        "PIP_INDEX_URL": "https://me:pip-password@index.test/simple",
        "PIP_FIND_LINKS": "/usr https://b.example/x /not/there",
    }
    settings = client_settings(environ)
    assert settings["UV_DEFAULT_INDEX"] == environ["PIP_INDEX_URL"]
    assert settings["UV_FIND_LINKS"] == "/usr,https://b.example/x"
    passed = {"HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE", "UV_INDEX_COMPANY_PASSWORD", "PIP_INDEX_URL"}
    assert set(settings) == passed | {"PIP_FIND_LINKS", "UV_DEFAULT_INDEX", "UV_FIND_LINKS"}
    masked = credentials(settings)("got https://me:pip-password@index.test and company-password")
    assert "pip-password" not in masked
    assert "company-password" not in masked


def test_the_users_pip_conf_is_read_as_pip_reads_it(tmp_path: Path) -> None:
    user, legacy, own = tmp_path / ".config/pip/pip.conf", tmp_path / ".pip/pip.conf", tmp_path / "own.conf"
    for file in (user, legacy):
        file.parent.mkdir(parents=True)
    legacy.write_text("[global]\nindex-url = https://old.test\nfind_links =\n  /a\n  /b\n")
    user.write_text("[global]\nindex-url = https://user.test/100%\ntimeout = 9\n[install]\nno-index = true\n")
    own.write_text("[global]\nindex-url = https://own.test\n")
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "none")}
    found = {"PIP_INDEX_URL": "https://user.test/100%", "PIP_FIND_LINKS": "/a /b", "PIP_NO_INDEX": "true"}
    assert found.items() <= pip_configuration(environ).items()
    assert "PIP_TIMEOUT" not in pip_configuration(environ)
    chosen = pip_configuration(environ | {"PIP_CONFIG_FILE": str(own)})
    assert chosen["PIP_INDEX_URL"] == "https://own.test"
    assert "PIP_FIND_LINKS" not in chosen
    assert pip_configuration(environ | {"PIP_CONFIG_FILE": os.devnull}) == {}
    user.write_text("index-url = no section\n")
    assert pip_configuration(environ)["PIP_INDEX_URL"] == "https://old.test"


def test_uvs_own_settings_win_over_pips() -> None:
    assert client_settings({"PIP_INDEX_URL": "a", "UV_DEFAULT_INDEX": "b"})["UV_DEFAULT_INDEX"] == "b"
    assert "UV_DEFAULT_INDEX" not in client_settings({"PIP_INDEX_URL": "a", "UV_INDEX_URL": "b"})


def test_the_build_environment_is_made_from_nothing() -> None:
    env = build_environment(
        {"MODE": "x", "HOME": "/root"}, settings={"UV_INDEX": "i"}, home=Path("/tmp/h"), path=[Path("/l/bin")]
    )
    assert sorted(env) == ["CI", "HOME", "LANG", "MODE", "NO_COLOR", "PATH", "TMPDIR", "UV_INDEX"]
    assert env["HOME"] == "/tmp/h"
    assert env["PATH"].startswith("/l/bin:/usr/local/bin:")


@pytest.mark.parametrize(
    ("output", "what", "why"),
    [
        (
            "Using Python 3.11.2\nerror: No solution found when resolving dependencies\n  cause: Because x was not"
            " found in the package registry and you require x, your requirements are unsatisfiable.",
            "the dependencies in requirements.txt do not resolve",
            "No solution found when resolving dependencies Because x was not found",
        ),
        (
            "  × No solution found when resolving dependencies:\n  ╰─▶ Because there is no version of click==99.0\n"
            "      we can conclude that your requirements are unsatisfiable.",
            "the dependencies in requirements.txt do not resolve",
            "Because there is no version of click==99.0 we can conclude",
        ),
        (
            "error: Request failed after 3 retries in 8.6s\n  cause: tcp connect error\n  cause: Connection refused",
            "the packages cannot be fetched: the package index does not answer",
            "tcp connect error Connection refused",
        ),
        (
            "error: Failed to download `click==8.5.1`\n  cause: Hash mismatch for `click==8.5.1`",
            "a package is not the one that the lock file names",
            "Hash mismatch for `click==8.5.1`",
        ),
        (
            "error: Failed to build `lxml==4.0`\n  cause: The build backend returned an error\n  gcc: not found",
            "lxml==4.0 has no wheel for Python 3.11.2 here, and building it failed",
            "gcc: not found",
        ),
        ("error: something new\n", "uv could not install requirements.txt", "something new"),
    ],
)
def test_uvs_output_in_our_words(output: str, what: str, why: str) -> None:
    failure = explain(output, "requirements.txt", "3.11.2")
    assert failure.what == what
    assert why in (failure.why or "")
    assert failure.log.splitlines()[0] == output.splitlines()[0]
