"""Each example from a fresh checkout: up, used in a browser, every service changed under load, used again.

All but threadr take a minute or more: they are nightly. `scripts/bench examples` runs all and prints their times.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from e2e_browser import Tab, browser
from e2e_examples import EXAMPLES, ROOT, Example, Note
from e2e_harness import App, Golive, new_home
from e2e_load import Load
from e2e_upstream import KEY, upstream

from golive.build.toolchains import choose_toolchain, open_toolchain
from golive.checks.guides import LINES
from golive.engines import Engines
from golive.system import users

COLD = os.environ.get("GOLIVE_E2E_COLD") == "1"
"""Without the caches of packages that other tests filled, for true times."""
BUILD = 600


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n == "threadr" else pytest.mark.nightly) for n in EXAMPLES]
)
def test_an_example_from_checkout_to_changed_under_load(name: str, note: Note, tmp_path: Path) -> None:
    example = EXAMPLES[name]
    with new_home(cold=COLD) as golive, upstream() as model:
        app = App(golive, name, example.checkout(tmp_path / name))
        if example.asks:
            prefix, path = example.asks
            app.command("env", "set", f"{prefix}_BASE_URL={model.url}{path}").ok()
            app.command("env", "set", f"{prefix}_API_KEY", input=KEY).ok()
        note("first up", app.up(timeout=BUILD).ok().seconds)
        note("nothing changed", app.up().ok().seconds)
        with browser(golive, app.domain) as tab:
            example.visit(tab)
            tab.shot(name)
            load = _change_everything(app, example, note)
            example.again(tab)
            tab.is_content()
            tab.shot(f"{name}-again")
            _passes_the_checklist(app, tab, tmp_path / "checks.html", note, "--skip=outage,restore,load")
        assert bool(model.asked) == bool(example.asks)
        note("browser", "ok")
        note("requests", load.requests)
        note("failed", len(load.failures))
        load.unharmed()
        golive.no_strays()


def _change_everything(app: App, example: Example, note: Note) -> Load:
    """One deploy for each service. The load stays below what a client may ask: its users come from many addresses."""
    with Load(app, example.watched, users=10, http2=True, pause=0.07, apart=True) as load:
        for service, change in example.changes.items():
            file = app.folder / change.file
            text = file.read_text()
            assert text.count(change.before) == 1, f"{change.file} has another text now"
            file.write_text(text.replace(change.before, change.after))
            note(f"{service} changed", app.up(timeout=BUILD).ok().seconds)
            assert "changed" in app.get(change.path).text
        load.more()
    return load


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_passes_the_checklist(name: str, note: Note, tmp_path: Path) -> None:
    """As it is after its first `golive up`."""
    with new_home() as golive:
        app = App(golive, name, EXAMPLES[name].checkout(tmp_path / name))
        note("first up", app.up(timeout=BUILD).ok().seconds)
        quick = golive("check", name, "--skip=outage,restore,load")
        note("check, quick", quick.ok().seconds)
        for database in app.command("backup", "list", "--json").ok().json()["databases"]:
            app.command("backup", "create", "-r", database["name"]).ok()
        with browser(golive, app.domain) as tab:
            _passes_the_checklist(app, tab, tmp_path / "checks.html", note)
        golive.no_strays()


def _passes_the_checklist(app: App, tab: Tab, report: Path, note: Note, *options: str) -> None:
    """`golive check` in its default profile fails nowhere; its report shows every line of the guides, and for what is
    not passed over the evidence."""
    said = app.golive("check", app.name, "--json", "--html", report, *options, timeout=900)
    found = json.loads(said.out)
    failed = {one["id"]: one["text"] for one in found["checks"] if one["status"] == "fail"}
    assert (failed, said.code) == ({}, 0)
    note("check", said.seconds)
    note("results", found["summary"])
    tab.page.goto(report.as_uri())
    tab.page.locator("summary", has_text=f"{len(LINES)} lines").click()
    for line in LINES:
        row = tab.page.locator(f'[id="line-{line}"]')
        assert row.is_visible(), line
        if row.get_attribute("data-status") != "not-applicable":
            assert row.locator("small").count(), f"{line} without evidence: {row.inner_text()}"
        assert row.locator("p").count(), line


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_fresh_clone_does_all_of_its_own_set_up(note: Note) -> None:
    """Of what is committed, with the launcher that a person types: no environment is there yet."""
    with new_home(cold=True) as golive, tempfile.TemporaryDirectory(prefix="gl-clone-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        clone = Path(folder) / "golive"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        began = time.monotonic()
        command = ["./golive", "up", "examples/threadr"]
        done = subprocess.run(command, cwd=clone, env=golive.environ, check=False, capture_output=True, text=True)
        note("first up", time.monotonic() - began)
        assert done.returncode == 0, done.stderr
        app = App(golive, "threadr", clone / "examples/threadr")
        assert done.stdout.strip() == f"https://{app.domain}:{golive.https_port}"
        assert app.get("/readiness").status_code == 200


@pytest.mark.timeout(900)
@pytest.mark.nightly
@pytest.mark.parametrize(
    "folder",
    ["datifyy/apps/backend", "rt-apps/api"],
    ids=["datifyy", "rt-apps"],
)
def test_the_go_tests_of_an_example(folder: str, golive: Golive) -> None:
    """With golive's own Go, and what the deploy above compiled: by the same user, with the same flags and cache."""
    builder = users.ensure("golive_build")
    chosen = choose_toolchain("go", None, builder)
    go = asyncio.run(open_toolchain(chosen, Engines(golive.home), print))
    cache = golive.home.cache / (f"go-{builder.name}" if builder else "go")
    done = subprocess.run(
        [str(go.program("go")), "test", "./..."],
        cwd=ROOT / "examples" / folder,
        env={
            **os.environ,
            "CGO_ENABLED": "0",
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-trimpath -modcacherw -buildvcs=false",
            "GOCACHE": str(cache / "build"),
            "GOMODCACHE": str(cache / "mod"),
            "HOME": str(cache),
        },
        user=builder.uid if builder else None,
        group=builder.gid if builder else None,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
