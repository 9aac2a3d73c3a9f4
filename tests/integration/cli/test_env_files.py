"""Variables and files with a real daemon: import, export, pull, push, diff, scopes. No secret is ever printed."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sqlite3
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from scratch import Said, Scratch, scratch_home

from golive.daemon.client import connect
from golive.home import Home

CANARY = "canary-91fe-secret"
TOML = """name = "shop"
[services.web]
source = "public"
[resources.db]
engine = "postgres"
[env.KEY]
type        = "secret"
description = "Signs things."
[env.SIZE]
type    = "int"
default = 3
[env.MODE]
type   = "enum"
values = ["a", "b"]
[environments.preview]
domains = ["preview.shop.localhost"]
[environments.preview.env.SIZE]
default = 7
[environments.preview.env.KEY]
required = false
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scratch]:
    with scratch_home(tmp_path_factory.mktemp("nowhere")) as scratch:
        yield scratch


@pytest.fixture
def golive(home: Scratch, tmp_path: Path, request: pytest.FixtureRequest) -> Scratch:
    """A checkout of its own, never deployed; the daemon is shared."""
    name = "s" + re.sub(r"\W", "", request.node.name)[-28:].lower().replace("_", "")
    (tmp_path / "public").mkdir()
    (tmp_path / "public/index.html").write_text("<h1>shop</h1>")
    (tmp_path / "golive.toml").write_text(TOML.replace('"shop"', f'"{name}"', 1))
    return Scratch(home.home, tmp_path)


def rows(said: Said) -> dict[str, list[str]]:
    """Name → the columns after it, of `env ls`."""
    assert said.code == 0, said.text
    lines = [re.split(r" {2,}", line.rstrip()) for line in said.out.splitlines()[1:]]
    return {line[0]: line[1:] for line in lines}


def test_before_the_first_deploy_the_checkout_says_what_is_declared(golive: Scratch) -> None:
    found = {v["name"]: v for v in json.loads(golive("env", "ls", "--json").out)["variables"]}
    assert found["KEY"]["origin"] == found["MODE"]["origin"] == "missing"
    assert (found["SIZE"]["value"], found["SIZE"]["origin"], found["SIZE"]["detail"]) == (
        "3", "default", "golive.toml:11"
    )  # fmt: skip
    assert found["DATABASE_URL"]["origin"] == "resource"
    assert "MISSING" in rows(golive("env", "ls"))["KEY"][1]
    (golive.cwd / "golive.toml").write_text(f"{(golive.cwd / 'golive.toml').read_text()}\n[env.BAD]\ntype = 'x'\n")
    broken = golive("env", "ls")
    assert (broken.code, "golive.toml cannot be used" in broken.err) == (0, True)


def test_values_for_all_previews_and_for_one(golive: Scratch) -> None:
    assert "default (golive.toml:18, for preview)" in rows(golive("env", "ls", "-e", "preview/a"))["SIZE"][-2]
    assert rows(golive("env", "ls", "-e", "preview/a"))["KEY"][-2] == "optional, not set"
    golive("env", "set", "SIZE=8", "-e", "preview")
    golive("env", "set", "SIZE=9", "-e", "preview/a")
    one, other = (rows(golive("env", "ls", "-e", f"preview/{name}"))["SIZE"] for name in "ab")
    assert one[1] == "9"
    assert re.fullmatch(r"set for preview/a \d+ s ago, over that of preview", one[2])
    assert other[1] == "8"
    assert re.fullmatch(r"set for preview \d+ s ago", other[2])
    assert rows(golive("env", "ls"))["SIZE"][1] == "3"
    told = golive("env", "unset", "SIZE", "-e", "preview/a").err
    assert "what is set for preview holds" in told
    assert rows(golive("env", "ls", "-e", "preview/a"))["SIZE"][1] == "8"


def test_a_file_is_shown_then_taken(golive: Scratch) -> None:
    (golive.cwd / ".env").write_bytes(
        b"\xef\xbb\xbf# ours\r\nexport SIZE=12\r\nKEY='" + CANARY.encode() + b"'\r\nMODE=a\r\nNOPE=1\r\nPORT=1\r\n"
    )
    asked = golive("env", "import", ".env")
    assert (asked.code, "--yes" in asked.err) == (2, True)
    assert re.search(r"^changed +SIZE +3 +12$", asked.out, re.MULTILINE)
    assert re.search(r"^left out +NOPE .* not declared", asked.out, re.MULTILINE)
    assert re.search(r"^left out +PORT .* given by golive$", asked.out, re.MULTILINE)
    assert golive("env", "import", ".env", "--dry-run").code == 0
    assert rows(golive("env", "ls"))["SIZE"][1] == "3"
    taken = golive("env", "import", ".env", "--yes")
    assert taken.err == "set SIZE, KEY, MODE; golive deploy puts it in force\n"
    assert golive("env", "import", ".env", "--yes").err == "nothing to do: unchanged\n"
    more = json.loads(golive("env", "import", "-", "--undeclared", "--yes", "--json", stdin="NOPE=2\n").out)
    assert more["set"] == ["NOPE"]
    assert CANARY not in asked.text + taken.text + golive("env", "ls", "--json").text + golive("audit", "--json").text


def test_a_file_with_faults_changes_nothing(golive: Scratch) -> None:
    (golive.cwd / "typed.env").write_text(f"SIZE={CANARY}\nMODE={CANARY}\nMODES=a\n")
    said = golive("env", "import", "typed.env", "--yes")
    assert said.code == 2
    assert "SIZE is not an integer" in said.err
    assert "MODE must be one of a, b" in said.err
    (golive.cwd / "broken.env").write_text(f'A {CANARY}\nSIZE=1\nB="{CANARY}\n')
    broken = golive("env", "import", "broken.env", "--yes")
    assert broken.code == 2
    assert "broken.env:1:" in broken.err
    assert "broken.env:3:" in broken.err
    assert golive("env", "import", "nowhere.env").code == 2
    (golive.cwd / "latin.env").write_bytes(b"A=\xe9\n")
    assert "UTF-8" in golive("env", "import", "latin.env").err
    assert rows(golive("env", "ls"))["SIZE"][1] == "3"
    assert CANARY not in said.text + broken.text


def test_an_example_and_a_real_file(golive: Scratch) -> None:
    example = golive("env", "export")
    assert "# Signs things.\n# secret, required\nKEY=\n" in example.out
    assert golive("env", "export", ".env.example").code == 0
    assert (golive.cwd / ".env.example").read_text() == example.out
    assert golive("env", "export", "--check", ".env.example").code == 0
    golive("env", "set", "KEY", stdin=CANARY)
    golive("env", "set", "SIZE=5")
    shown = golive("env", "export", "--values")
    assert "\nSIZE=5\n" in shown.out
    assert "left out, being secret: KEY" in shown.err
    refused = golive("env", "export", "--values", "--secrets")
    assert (refused.code, refused.out) == (2, "")
    assert golive("env", "export", "--secrets", "all.env").code == 2  # it asks
    written = golive("env", "export", "--secrets", "all.env", "--yes")
    assert CANARY in (golive.cwd / "all.env").read_text()
    assert (golive.cwd / "all.env").stat().st_mode & 0o777 == 0o600
    assert CANARY not in shown.text + written.text
    assert "env.read" in golive("audit").out
    (golive.cwd / ".env.example").write_text("# stale\n")
    assert golive("env", "export", "--check", ".env.example").code == 1
    assert golive("env", "export", ".env.example").code == 2  # it would replace it, so it asks


def test_pull_and_push_keep_what_is_there(golive: Scratch) -> None:
    local = golive.cwd / ".env.local"
    local.write_text("# mine\nexport SIZE=1 # rows\nOWN=x\n# KEY=\n")
    local.chmod(0o644)
    golive("env", "set", "SIZE=20", "MODE=b", "-e", "development")
    golive("env", "set", "KEY", "-e", "development", stdin=CANARY)
    assert golive("env", "pull", "-e", "development").code == 2  # it asks
    first = golive("env", "pull", "-e", "development", "--yes")
    assert re.search(r"^changed +SIZE +1 +20$", first.out, re.MULTILINE)
    assert local.read_text() == "# mine\nexport SIZE=20 # rows\nOWN=x\n# KEY=\nMODE=b\n"
    assert local.stat().st_mode & 0o777 == 0o600
    second = golive("env", "pull", "-e", "development", "--secrets", "--yes")
    assert f"OWN=x\nKEY={CANARY}\nMODE=b\n" in local.read_text()
    assert "nothing to do" in golive("env", "pull", "-e", "development", "--secrets", "--yes").err
    local.write_text(local.read_text().replace("SIZE=20", "SIZE=30"))
    pushed = golive("env", "push", "-e", "development", "--yes")
    assert pushed.err.endswith("set SIZE; golive deploy puts it in force\n")
    assert re.search(r"^left out +OWN .* not declared", pushed.out, re.MULTILINE)
    assert CANARY not in first.text + second.text + pushed.text


def test_a_file_that_git_would_take_is_told(golive: Scratch) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not here")
    subprocess.run([git, "init", "-q"], cwd=golive.cwd, check=True)
    assert "add .env.local to .gitignore" in golive("env", "pull").err
    (golive.cwd / ".gitignore").write_text(".env*\n!.env.example\n")
    golive("env", "set", "SIZE=6")
    assert "gitignore" not in golive("env", "pull", "--yes").err
    assert "gitignore" not in golive("env", "export", ".env.example").err


def test_what_differs(golive: Scratch) -> None:
    golive("env", "set", "MODE=a")
    golive("env", "set", "KEY", stdin=CANARY)
    golive("env", "set", "MODE=b", "-e", "preview")
    golive("env", "set", "KEY", "-e", "preview", stdin=CANARY + "2")
    said = golive("env", "diff", "preview/x")
    assert re.search(r"^SIZE +differs +7 +3$", said.out, re.MULTILINE)
    assert re.search(r"^KEY +differs +•+ +•+$", said.out, re.MULTILINE)
    assert "DB_HOST" not in said.out
    (golive.cwd / "a.env").write_text(f"MODE=a\nKEY={CANARY}\nEXTRA=1\n")
    found = json.loads(golive("env", "diff", "a.env", "--json").out)["differences"]
    assert [(row["name"], row["state"]) for row in found] == [("EXTRA", "only in a"), ("SIZE", "only in b")]
    turned = json.loads(golive("env", "diff", "production", "a.env", "--json").out)["differences"]
    assert {row["name"]: row["state"] for row in turned} == {"EXTRA": "only in b", "SIZE": "only in a"}
    assert golive("env", "diff", "production").err == "production and production have the same variables and values\n"
    assert golive("env", "diff", "no.env").code == 2
    assert CANARY not in said.text + str(found)


def test_what_the_code_reads_and_nobody_declares_is_listed(golive: Scratch) -> None:
    (golive.cwd / "public/app.js").write_text("// the page\nconst at = import.meta.env.VITE_API + process.env.SIZE;\n")
    assert rows(golive("env", "ls"))["VITE_API"][-2] == "not declared, read in public/app.js:2"
    findings = {f["name"]: f for f in json.loads(golive("doctor", "--json").out)}
    assert findings["variables"]["ok"] is None
    assert "VITE_API is read (public/app.js:2)" in findings["variables"]["text"]
    golive("env", "set", "VITE_API=x")
    found = {v["name"]: v for v in json.loads(golive("env", "ls", "--json").out)["variables"]}
    assert (found["VITE_API"]["origin"], found["VITE_API"]["read"]) == ("set", "public/app.js:2")
    (golive.cwd / "public/app.js").unlink()
    assert json.loads(golive("doctor", "--json", cwd=golive.cwd).out)[-1]["ok"] is True


def test_a_secret_is_rotated_with_both_values_valid(golive: Scratch) -> None:
    assert "has no value to be changed" in golive("env", "rotate", "KEY").err
    assert "did you mean KEY?" in golive("env", "rotate", "KEYS").err
    assert golive("env", "set", f"KEY={CANARY}").code == 0
    assert "the new value is empty" in golive("env", "rotate", "KEY").err
    said = golive("env", "rotate", "KEY", stdin="another-value-of-its-maker\n")
    assert said.code == 0, said.text
    assert CANARY not in said.text
    asked = {"app": tomllib.loads((golive.cwd / "golive.toml").read_text())["name"], "secrets": True}
    both = connect(Home(golive.home), start=False).send("POST", "/v1/env/read", asked)["values"]
    assert both["KEY_PREVIOUS"] == CANARY
    assert both["KEY"] == "another-value-of-its-maker"
    assert "•" in rows(golive("env"))["KEY_PREVIOUS"][1]
    assert "is under way since" in golive("env", "rotate", "KEY").err
    assert "KEY_PREVIOUS is forgotten" in golive("env", "rotate", "KEY", "--end").err
    assert "nothing to do" in golive("env", "rotate", "KEY", "--end").err
    assert "KEY_PREVIOUS" not in golive("env").out
    file = golive.cwd / "golive.toml"
    file.write_text(file.read_text().replace('type        = "secret"\n', 'type = "secret"\ngenerate = true\n', 1))
    assert golive("env", "rotate", "KEY").code == 0
    made = connect(Home(golive.home), start=False).send("POST", "/v1/env/read", asked)["values"]
    assert len(made["KEY"]) >= 40
    assert "has no secret SIZE" in golive("env", "rotate", "SIZE").err
    entries = connect(Home(golive.home), start=False).get("/v1/audit", app=asked["app"])["entries"]
    done = [(each["action"], each["detail"].get("name")) for each in reversed(entries) if each["action"] != "env.read"]
    assert done == [
        ("env.set", "KEY"), ("env.rotate", "KEY"), ("env.unset", "KEY_PREVIOUS"), ("env.rotate", "KEY")
    ]  # fmt: skip
    assert sum(each["action"] == "env.read" for each in entries) == 2, "as often as this test has read them"


def test_a_secret_that_is_easily_guessed_or_old_is_said(golive: Scratch) -> None:
    file = golive.cwd / "golive.toml"
    file.write_text(file.read_text() + '[env.JWT_SECRET]\ntype = "secret"\n[env.JWT_LIFE]\ntype = "int"\n')
    said = golive("env", "set", "JWT_SECRET=aaaa", "JWT_LIFE=3600", "SIZE=4")
    assert "warning: JWT_SECRET has 4 characters, 0 bits" in said.err
    assert "JWT_LIFE has" not in said.err
    assert "KEY is a placeholder" in golive("env", "set", "KEY", stdin="changeme\n").err
    assert "warning" not in golive("env", "set", f"JWT_SECRET={CANARY}{'0123456789abcdef' * 2}").err
    assert "older than" not in golive("env").text
    with contextlib.closing(sqlite3.connect(golive.home / "state.db")) as db, db:
        db.execute("UPDATE variable SET set_at = set_at - 91 * 86400 WHERE name = 'JWT_SECRET'")
    assert "older than 90 days: JWT_SECRET; golive env rotate JWT_SECRET" in golive("env").err
