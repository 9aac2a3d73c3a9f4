"""The five examples without their golive.toml: `golive init` writes one, `golive up` takes it unchanged, and what the
application is for works at its URL.

They take a minute or more: all are nightly. Each of them has a smoke test of its own, which is what is run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e_harness import App, new_home

ROOT = Path(__file__).resolve().parents[2]
BUILD = 600


def threadr(app: App) -> None:
    """An article becomes a thread: by PostgreSQL, Redis and a stream of events, beside the page."""
    assert "Threadr" in app.get().text
    job = app.request("POST", "/api/generate", json={"content": "Bread needs flour, water, salt and time. " * 20})
    assert job.status_code == 202, job.text
    person = "; ".join(f"{name}={value}" for name, value in job.cookies.items())
    said = app.request("GET", job.json()["events"], headers={"host": app.domain, "cookie": person}).text
    assert "event: done" in said
    assert app.get("/readiness").status_code == 200


def datifyy(app: App) -> None:
    """A person registers, signs in and writes a profile."""
    account = {"email": "ana@example.com", "password": "correct horse battery"}
    profile = {"name": "Ana", "city": "Porto", "birth_year": 1995, "interests": ["books", "films"]}
    assert app.request("POST", "/api/v1/users", json=account | {"name": "Ana"}).is_success
    token = app.request("POST", "/api/v1/sessions", json=account).json()["token"]
    own = {"headers": {"host": app.domain, "authorization": f"Bearer {token}"}}
    assert app.request("PUT", "/api/v1/profile", json=profile, **own).is_success
    assert app.request("GET", "/api/v1/profile", **own).json()["city"] == "Porto"


def smoke(*command: str) -> Callable[[App], None]:
    """The example's own smoke test, against the URL."""

    def run(app: App) -> None:
        url, ca = f"https://{app.domain}:{app.golive.https_port}", str(app.golive.home.ca / "root.crt")
        known = {"RT_APPS_URL": url, "RT_APPS_CA": ca, "SMOKE_URL": url, "NODE_EXTRA_CA_CERTS": ca}
        done = subprocess.run(
            command, cwd=app.folder, env=os.environ | known, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run


USES: dict[str, Callable[[App], None]] = {
    "threadr": threadr,
    "datifyy": datifyy,
    "rt-apps": smoke(sys.executable, "tests/smoke.py"),
    "akashic": smoke("node", "scripts/smoke.mjs"),
    "darasa": smoke("node", "scripts/smoke.mjs"),
}


@pytest.mark.timeout(1200)
@pytest.mark.nightly
@pytest.mark.parametrize("name", USES)
def test_init_writes_what_up_takes_unchanged(name: str, tmp_path: Path) -> None:
    folder = _clone(name, tmp_path)
    with new_home() as golive:
        said = golive("init", folder).ok().err
        assert said.splitlines()[-1] == f"next: golive up {folder}"
        assert "It still needs" not in said
        assert "set first" not in said
        written = (folder / "golive.toml").read_text()
        app = App(golive, name, folder)
        app.up(timeout=BUILD).ok()
        USES[name](app)
        assert (folder / "golive.toml").read_text() == written
        assert "is what golive init would write" in golive("init", folder).ok().err


def _clone(name: str, into: Path) -> Path:
    """What git knows of the example, without golive.toml, as the first commit of a repository of its own."""
    below, folder = ROOT / "examples" / name, into / name
    listed = subprocess.run(
        ["git", "ls-files", "-z", "."], cwd=below, capture_output=True, text=True, check=True
    ).stdout
    for file in filter(None, listed.split("\0")):
        if file != "golive.toml":
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(below / file, folder / file)
    person = ("-c", "user.name=ana", "-c", "user.email=ana@example.com")
    for words in (("init", "-q"), ("add", "-A"), (*person, "commit", "-qm", "first")):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder
