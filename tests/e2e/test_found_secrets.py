"""A secret where others can read it stops the deploy, with file and line: in the source and its history, in what
browsers get, in what a build said. The old release goes on serving."""

from __future__ import annotations

import random
import string
import subprocess

from e2e_apps import MakeApp
from e2e_harness import App

SITE = """
[services.web]
source = "web"
kind = "static"
route = "/"

[services.web.build]
builder = "static"
command = "sh build.sh"
output = "dist"

[env.API_KEY]
type = "secret"
"""
TOKEN, REVOKED = ("live_" + "".join(random.choices(string.ascii_letters + string.digits, k=28)) for _ in range(2))
VALUE = "hunter2-and-more-4711"
CLEAN = "mkdir -p dist\necho '<h1>hello</h1>' > dist/index.html\necho begun\necho done\n"


def git(app: App, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    return subprocess.run(["git", *who, *words], cwd=app.folder, check=True, capture_output=True, text=True).stdout


def test_a_planted_secret_stops_the_deploy_wherever_it_stands(make_app: MakeApp) -> None:
    app = make_app(toml=SITE, services=())
    app.write("web/build.sh", CLEAN)
    app.command("env", "set", f"API_KEY={VALUE}").ok()
    git(app, "init", "-q")
    git(app, "add", "-A")
    git(app, "commit", "-qm", "first")
    app.up().ok()

    in_the_history(app)
    in_what_browsers_get(app)
    in_a_build_log(app)

    public = f'\n[env.VITE_KEY]\nclient = true\ndefault = "sk_{TOKEN}"\n'
    app.write("golive.toml", (app.folder / "golive.toml").read_text() + public)
    app.write("web/build.sh", CLEAN + "echo again\n")
    app.up().ok()
    said = "".join(app.golive.said)
    assert not [secret for secret in (TOKEN, REVOKED, VALUE) if secret in said]


def refused(app: App) -> str:
    said = app.up().failed().err
    assert app.get("/").text == "<h1>hello</h1>\n", "the old release serves"
    assert app.status()["release"] == 1
    return said


def in_the_history(app: App) -> None:
    app.write("web/pay.py", f"# pay\nkey = 'sk_{REVOKED}'\n")
    assert "web/pay.py, line 2, column 8: stripe access token" in refused(app)
    git(app, "add", "-A")
    git(app, "commit", "-qm", "second")
    app.write("web/pay.py", f"# pay\n\nkey = '{VALUE}'\n")
    said = refused(app)
    assert "web/pay.py, line 3, column 8: the value of API_KEY" in said
    assert "golive env set API_KEY" in said
    app.write("web/pay.py", "# pay\n")
    commit = git(app, "rev-parse", "HEAD")[:10]
    said = refused(app)
    assert f"web/pay.py, line 2, column 8, of commit {commit}: stripe access token" in said
    scanned = app.golive("secrets", "scan", "--history", "--json", "-C", app.folder)
    assert scanned.code == 1
    (found,) = scanned.json()["findings"]
    assert (found["file"], found["line"], found["outcome"]) == ("web/pay.py", 2, "stops")

    text = (app.folder / "golive.toml").read_text()
    entry = f'\n[secrets]\nallow = [{{ fingerprint = "{found["fingerprint"]}", because = "revoked" }}]\n'
    app.write("golive.toml", text + entry)
    assert app.golive("secrets", "scan", "--history", "-C", app.folder).ok().out.count("allowed by golive.toml") == 1


def in_what_browsers_get(app: App) -> None:
    app.write("web/build.sh", f"{CLEAN}printf 'go();k=\"sk_%s\"' {TOKEN} > dist/app.js\n")
    for _ in range(2):  # the artifact is there already the second time
        assert "app.js, line 1, column 9, which browsers get from web: stripe access token" in refused(app)
    app.write("web/build.sh", f"{CLEAN}printf 'hunter2-%s' and-more-4711 > dist/app.js\n")
    assert "API_KEY in app.js, line 1, column 1" in refused(app)


def in_a_build_log(app: App) -> None:
    app.write("web/build.sh", f"{CLEAN}printf 'key sk_%s\\n' {TOKEN}\nprintf 'and hunter2-%s\\n' and-more-4711\n")
    said = refused(app)
    log = app.golive.home.builds / str(app.deployments()[0]["id"]) / "web.log"
    lines = log.read_text().splitlines()
    first = next(n for n, line in enumerate(lines, 1) if line.startswith("key "))
    assert f"{log}, line {first}, column 5: stripe access token" in said
    assert f"{log}, line {first + 1}, column 5: the value of API_KEY" in said
    assert lines[first - 1 : first + 1] == ["key ••••••", "and ••••••"]
    assert log.stat().st_mode & 0o777 == 0o600

    app.write("web/build.sh", f"{CLEAN}printf 'key sk_%s\\n' {TOKEN}\nexit 3\n")
    said = refused(app)
    assert "exited with 3" in said
    assert "│ key ••••••" in said
