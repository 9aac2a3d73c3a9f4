"""Threadr and Datifyy on a machine that is lost, and on the one that takes its place: from a folder, and from S3.

`scripts/bench recover` prints the times.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from e2e_examples import ARTICLE, EXAMPLES, Note
from e2e_harness import App, Golive, new_home, until

from golive.backup import keyring
from golive.backup.credentials import ID, SECRET
from golive.backup.s3 import client
from seaweed import OWNER, running

BUILD = 600
ACCOUNT = {"email": "ana@example.com", "password": "correct horse battery"}
SECRET_KEY = OWNER.secret.reveal() if OWNER.secret else ""


@dataclass
class Elsewhere:
    """A place for backups: what `[backups] to` says, and every file in it as (name, seconds since the epoch, bytes)."""

    to: str
    files: Callable[[], list[tuple[str, float, int]]]


@contextmanager
def elsewhere(kind: str) -> Iterator[Elsewhere]:
    with tempfile.TemporaryDirectory(prefix="gl-loc-", dir="/dev/shm" if kind == "folder" else None) as name:
        folder = Path(name)
        if kind == "folder":
            yield Elsewhere(name, lambda: [_file(path) for path in folder.rglob("*") if path.is_file()])
            return
        with running(folder) as server:
            place = server.bucket("backups")
            pages = client(place).get_paginator("list_objects_v2")

            def files() -> list[tuple[str, float, int]]:
                found = [one for page in pages.paginate(Bucket="backups") for one in page.get("Contents", ())]
                return [(one["Key"], one["LastModified"].timestamp(), one["Size"]) for one in found]

            yield Elsewhere(f"s3://backups/web-1?endpoint={place.endpoint}", files)


def _file(path: Path) -> tuple[str, float, int]:
    info = path.stat()
    return str(path), info.st_mtime, info.st_size


def bring_up(golive: Golive, name: str, folder: Path, to: str) -> App:
    app = App(golive, name, EXAMPLES[name].checkout(folder))
    file = folder / "golive.toml"
    file.write_text(f'{file.read_text()}\n[backups]\nto = "{to}"\n')
    if to.startswith("s3:"):
        app.command("env", "set", f"{ID}={OWNER.id}").ok()
        app.command("env", "set", SECRET, input=SECRET_KEY).ok()
    app.up(timeout=BUILD).ok()
    return app


def use(threadr: App, datifyy: App) -> dict[str, str]:
    """What people do there; the cookies of the one who made a thread."""
    with threadr.client() as browser:
        options: dict[str, Any] = {"extensions": {"sni_hostname": threadr.domain}}
        accepted = browser.post("/api/generate", json={"content": ARTICLE}, **options)
        assert accepted.status_code == 202, accepted.text
        cookies = dict(accepted.cookies.items())
    until("the thread", lambda: threads(threadr, cookies)[0]["status"] == "done")
    answer = datifyy.request("POST", "/api/v1/users", json=ACCOUNT | {"name": "Ana"})
    assert answer.status_code < 300, answer.text
    return cookies


def threads(threadr: App, cookies: dict[str, str]) -> list[dict[str, Any]]:
    header = "; ".join(f"{name}={value}" for name, value in cookies.items())
    answer = threadr.request("GET", "/api/threads", headers={"cookie": header})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["threads"]
    return found


def kept_elsewhere(place: Elsewhere, app: App, moment: float) -> bool:
    """All that was written before."""
    wal = f"/{app.name}/production/db/wal/"
    return any(wal in f"/{name}" and name.endswith(".partial") and at > moment + 1 for name, at, _ in place.files())


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_machine_with_two_examples_is_made_again(
    kind: str, note: Note, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with elsewhere(kind) as place:
        with new_home() as lost:
            apps = [bring_up(lost, name, tmp_path / name, place.to) for name in ("threadr", "datifyy")]
            for app in apps:
                app.command("backup", "create").ok()
            cookies = use(*apps)
            made = threads(apps[0], cookies)
            moment = time.time()
            until("all of it to be elsewhere", lambda: all(kept_elsewhere(place, app, moment) for app in apps))
            until("the host to be there", lost.home.bundles.exists)
            key = keyring.current(lost.home.backup_keys).secret.reveal()
        note("bytes", sum(size for _, _, size in place.files()))
        if kind == "s3":
            monkeypatch.setenv(ID, OWNER.id or "")
            monkeypatch.setenv(SECRET, SECRET_KEY)
        with new_home() as golive:
            began = time.monotonic()
            done = (
                golive("recover", "--from", place.to, "--key-file", "-", "--json", input=key, timeout=600).ok().json()
            )
            note("seconds", time.monotonic() - began)
            note("objective", done["objective"])
            threadr, datifyy = (replace(app, golive=golive) for app in apps)
            assert threads(threadr, cookies) == made
            session = datifyy.request("POST", "/api/v1/sessions", json=ACCOUNT)
            assert session.status_code < 300, session.text
            assert done["met"]
            note("serving", 2)
