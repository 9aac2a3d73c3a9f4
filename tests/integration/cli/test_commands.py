"""Every command with a real daemon and no app: what it says, where it says it, and its exit code."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest
from scratch import Scratch, scratch_home

COUNTED = True

TOML = """name = "shop"
[services.web]
source = "public"
[resources.db]
engine = "postgres"
[services.jobs]
kind    = "worker"
source  = "jobs"
command = "sleep 1000"
build   = { builder = "none" }
[env.KEY]
type = "secret"
for  = ["jobs"]
[env.SIZE]
type    = "int"
default = 3
"""


@pytest.fixture(scope="module")
def golive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scratch]:
    """In a checkout in a folder whose name has a space, never deployed."""
    folder = tmp_path_factory.mktemp("check outs") / "my shop"
    (folder / "public").mkdir(parents=True)
    (folder / "jobs").mkdir()
    (folder / "jobs/run.sh").touch()
    (folder / "public/index.html").write_text("<h1>shop</h1>")
    (folder / "golive.toml").write_text(TOML)
    with scratch_home(folder) as scratch:
        yield scratch


def test_status_of_an_app_that_is_not_deployed(golive: Scratch, tmp_path: Path) -> None:
    assert golive("status").out == "shop (production) is not deployed here yet; golive up makes it live\n"
    assert golive("status", cwd=tmp_path).out.startswith("nothing is deployed here yet")
    assert json.loads(golive("status", "--json").out)["apps"] == []
    gone = golive("status", "--app", "shopp")
    assert (gone.code, gone.out) == (1, "")
    assert "there is no app shopp (production)" in gone.err


def test_variables_may_be_set_before_the_first_deploy(golive: Scratch) -> None:
    said = golive("env", "set", "SIZE=12", "NOTE=a b")
    assert (said.code, said.out) == (0, "")
    assert said.err == "set SIZE, NOTE; golive deploy puts it in force\n"
    assert golive("env", "set", "SIZE=12").err == "nothing to do: unchanged\n"
    assert golive("env", "set", "KEY", stdin="s3cret-value\n").code == 0
    listed = golive("env")
    assert listed.out.splitlines()[0].split() == golive("env", "ls").out.splitlines()[0].split()
    assert re.search(r"^SIZE .* set \d+ s ago", listed.out, re.MULTILINE)
    assert "s3cret-value" not in listed.text + golive("env", "ls", "--json").text + golive("audit", "--json").text
    assert golive("env", "unset", "NOTE", "NOPE").err.splitlines() == [
        "unset NOTE; golive deploy puts it in force",
        "nothing to do: NOPE was not set",
    ]
    assert json.loads(golive("env", "unset", "NOTE", "--json").out) == {"unset": [], "missing": ["NOTE"], "still": []}


@pytest.mark.parametrize("name", ["GOLIVE_APP", "PORT", "1A", "a-b"])
def test_names_that_cannot_be_set(golive: Scratch, name: str) -> None:
    said = golive("env", "set", f"{name}=1")
    assert said.code == 2
    assert f"error: {name} cannot be set" in said.err


def test_a_plan_changes_nothing(golive: Scratch) -> None:
    golive("env", "unset", "KEY")
    said = golive("plan")
    assert said.code == 0, said.err
    assert re.search(r"^missing .*KEY", said.out, re.MULTILINE)
    assert re.search(r"^resource +db +made$", said.out, re.MULTILINE)
    assert re.search(r"^service +web +new instances, to be built$", said.out, re.MULTILINE)
    assert "would stop at what is missing" in said.err
    assert json.loads(golive("plan", "--json").out)["live"] is None
    assert json.loads(golive("status", "--json").out)["apps"] == []


@pytest.mark.parametrize(
    "words", ["releases", "logs", "rollback", "restart", "run true", "shell", "scale web=1", "destroy --yes shop"]
)
def test_commands_about_an_app_that_is_not_there(golive: Scratch, words: str) -> None:
    said = golive(*words.split())
    assert (said.code, said.out) == (1, ""), said.text
    assert said.err.startswith("error: ")
    assert "hint:" in said.err


def test_destroy_wants_the_name(golive: Scratch) -> None:
    assert golive("destroy").code == 2
    said = golive("destroy", "--yes", "shopp")
    assert (said.code, "nothing was removed" in said.err) == (2, True)


def test_config_says_where_each_value_came_from(golive: Scratch) -> None:
    said = golive("config")
    assert re.search(r"^services.web.kind +static +detected from public/index.html$", said.out, re.MULTILINE)
    assert re.search(r"^env.SIZE.default +3 +golive.toml:\d+$", said.out, re.MULTILINE)
    read = json.loads(golive("config", "--json").out)
    assert read["blueprint"]["name"] == "shop"
    assert read["origins"]["name"] == "golive.toml:1"
    assert "properties" in json.loads(golive("config", "--schema").out)


def test_a_blueprint_with_faults_lists_all_of_them(golive: Scratch, tmp_path: Path) -> None:
    (tmp_path / "golive.toml").write_text('name = "bad"\n[services.web]\nsorce = "x"\nscale = "many"\n')
    for command in ("config", "plan", "up"):
        said = golive(command, tmp_path)
        assert said.code == 2, said.text
        assert "golive.toml:3: services.web.sorce" in said.err
        assert "golive.toml:4: services.web.scale" in said.err
        assert "source" in said.err  # the nearest name


def test_doctor_looks_and_starts_nothing(golive: Scratch) -> None:
    golive("daemon", "stop")
    findings = {f["name"]: f for f in json.loads(golive("doctor", "--json").out)}
    assert {"python", "home", "disk", "memory", "user", "limits", "ports", "socket"} <= findings.keys()
    assert "{" not in findings["ports"]["text"]
    assert "✓ python" in golive("doctor").out
    assert golive("daemon", "status").code == 1


def test_engines_and_trust(golive: Scratch) -> None:
    said = golive("engines")
    assert said.out.splitlines()[0].split() == ["name", "version", "from", "size", "where"]
    assert {"envoy", "postgres", "redis"} <= {line.split()[0] for line in said.out.splitlines()[1:]}
    assert "None" not in said.out
    assert json.loads(golive("engines", "--json").out)["engines"]
    told = golive("trust")
    assert told.out.count("\n") == 1  # so that it can be piped into sh
    assert str(golive.home / "ca/root.crt") in told.out
    assert json.loads(golive("trust", "--json").out)["command"] == told.out.strip()


def test_the_audit_log(golive: Scratch) -> None:
    golive("env", "set", "SIZE=99")
    said = golive("audit")
    first = said.out.splitlines()[1]
    assert "env.set" in first
    assert "name=SIZE" in first
    assert "99" not in first
    assert json.loads(golive("audit", "--json").out)["entries"][0]["action"] == "env.set"


def test_the_daemon_comes_and_goes(golive: Scratch) -> None:
    golive("daemon", "stop")
    assert golive("daemon", "stop").err == "nothing to do: it does not run\n"
    assert json.loads(golive("daemon", "status", "--json").out) == {"running": False}
    down = golive("daemon", "status")
    assert (down.code, "hint:  golive daemon start" in down.err) == (1, True)
    assert golive("daemon", "start").err.startswith("the daemon runs now, pid ")
    assert golive("daemon", "start").err.startswith("nothing to do: the daemon runs, pid ")
    before = json.loads(golive("daemon", "status", "--json").out)
    assert golive("daemon", "restart").code == 0
    after = json.loads(golive("daemon", "status", "--json").out)
    assert after["running"]
    assert after["pid"] != before["pid"]
    assert str(golive.home) in golive("daemon", "status").out


def test_the_unit_is_one_that_systemd_takes(golive: Scratch, tmp_path: Path) -> None:
    text = golive("service", "print").out
    assert f"GOLIVE_HOME={golive.home}" in text
    if not (analyze := shutil.which("systemd-analyze")):
        pytest.skip("systemd-analyze is not here")
    unit = tmp_path / "golive.service"
    unit.write_text(text)
    done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert "golive.service" not in done.stderr, done.stderr


def test_a_home_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    with scratch_home(tmp_path) as newer:
        assert newer("status").code == 0
        newer("daemon", "stop")
        with sqlite3.connect(newer.home / "state.db") as db:
            [version] = db.execute("PRAGMA user_version").fetchone()
            db.execute(f"PRAGMA user_version = {version + 1}")
        said = newer("status")
        assert said.code == 1
        assert "newer" in said.err
        assert "hint:" in said.err


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_a_home_that_cannot_be_written(tmp_path: Path, environ_for_others: dict[str, str]) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-P", "-m", "golive"]
    env = {**environ_for_others, "GOLIVE_HOME": str(home), "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    probe = subprocess.run([*argv, "--version"], cwd="/", env=env, capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip("another user may not read this checkout")
    done = subprocess.run([*argv, "status"], cwd="/", env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert f"GOLIVE_HOME {home} cannot be used" in done.stderr
    assert "hint:  make it writable" in done.stderr


def test_plain_output_where_nobody_looks(golive: Scratch) -> None:
    for words in (["status"], ["env"], ["config"], ["doctor"], ["engines"], ["audit"]):
        assert "\x1b" not in golive(*words).text
    shown = golive("config", PYTHONIOENCODING="ascii")
    assert shown.code == 0
    assert shown.out.isascii()


def test_eighty_columns_are_enough(golive: Scratch) -> None:
    for words in ("env ls", "config", "plan", "doctor", "engines", "audit", "-h", "logs -h"):
        for line in on_a_terminal(golive, words).splitlines():
            plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip("\r")
            assert len(plain) <= 80 or " " not in plain.strip(), f"{words}: {plain}"


def on_a_terminal(golive: Scratch, words: str) -> str:
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    env = {**golive.env, "TERM": "xterm-256color"}
    env.pop("COLUMNS", None)
    argv = [sys.executable, "-P", "-m", "golive", *words.split()]
    process = subprocess.Popen(argv, env=env, cwd=golive.cwd, stdin=child, stdout=child, stderr=child)
    os.close(child)
    data = bytearray()
    try:
        while block := os.read(parent, 65536):
            data += block
    except OSError:  # Linux's word for: the last writer has gone
        pass
    os.close(parent)
    process.wait()
    return data.decode()


def unread(pipe: IO[str]) -> bool:
    return any(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))


def test_ctrl_c_is_said_and_not_a_traceback(golive: Scratch) -> None:
    argv = [sys.executable, "-P", "-m", "golive", "env", "set", "KEY"]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, env=golive.env, cwd=golive.cwd, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as p:
        assert p.stdin
        p.stdin.write("half a value")
        p.stdin.flush()
        while unread(p.stdin) or psutil.Process(p.pid).status() != psutil.STATUS_SLEEPING:
            time.sleep(0.01)  # until it waits for more
        p.send_signal(signal.SIGINT)
        _, err = p.communicate(timeout=120)
    assert (p.returncode, err.strip()) == (130, "stopped")
