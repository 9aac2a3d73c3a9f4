"""The five examples: what a person does with each, and a line to change in every service of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e_browser import Tab
from e2e_harness import until
from e2e_upstream import SAYS

ROOT = Path(__file__).resolve().parents[2]
Note = Callable[[str, object], None]
"""Writes down a time or a count, for scripts/bench."""
ARTICLE = "Bread needs flour, water, salt and time. " * 20


@dataclass(frozen=True)
class Change:
    """One line of a service: `before` in `file` becomes `after`, and `path` then says "changed"."""

    file: str
    before: str
    after: str
    path: str = "/"


@dataclass(frozen=True)
class Example:
    """`visit` is what a person does, `again` what they do in the same tab after the deploys. `asks` is the variable
    prefix and the path of the language model that it asks, if it does; `watched` are the paths under load."""

    name: str
    watched: tuple[str, ...]
    changes: dict[str, Change]
    visit: Callable[[Tab], None]
    again: Callable[[Tab], None]
    asks: tuple[str, str] | None = None

    def checkout(self, folder: Path) -> Path:
        """As a clone has it: what git knows and nothing that was built."""
        below = f"examples/{self.name}"
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", below]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                target = folder / os.path.relpath(name, below)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target)
        return folder


def threadr(tab: Tab) -> None:
    tab.open()
    tab.shows("5 of 5")
    _make_thread(tab)
    tab.shows("4 of 5")
    tab.page.locator("#saved button").click()
    tab.page.locator("#posts li").first.wait_for()


def threadr_again(tab: Tab) -> None:
    """In the page that was open all the time."""
    _make_thread(tab)
    tab.shows("3 of 5")


def _make_thread(tab: Tab) -> None:
    tab.page.get_by_label("Your article").fill(ARTICLE)
    tab.page.get_by_role("button", name="Make a thread").click()
    tab.shows("Done: 2 posts.")
    first, second = tab.page.locator("#posts .text").all_inner_texts()
    assert SAYS in first
    assert "1/2" in first
    assert "2/2" in second


def datifyy(tab: Tab) -> None:
    """It has no pages: the browser asks as a front end of the same origin would."""
    tab.open("/health")
    ana, bo = _person(tab, "Ana"), _person(tab, "Bo")
    found = _ask(tab, "GET", "/api/v1/suggestions", ana["token"])["suggestions"]
    assert [one["person"]["name"] for one in found] == ["Bo"]
    _ask(tab, "PUT", f"/api/v1/likes/{bo['user']}", ana["token"])
    match = _ask(tab, "PUT", f"/api/v1/likes/{ana['user']}", bo["token"])["match"]
    line = _ask(tab, "POST", f"/api/v1/matches/{match['id']}/icebreaker", ana["token"])
    assert line == {"text": SAYS, "source": "gemini"}


def datifyy_again(tab: Tab) -> None:
    """A browser asks every site for its icon, and an API has none."""
    _person(tab, "Cy")
    tab.complaints[:] = [complaint for complaint in tab.complaints if not complaint.endswith("/favicon.ico")]


def _person(tab: Tab, name: str) -> Any:
    account = {"email": f"{name}@example.com", "password": "correct horse battery"}
    _ask(tab, "POST", "/api/v1/users", "", account | {"name": name})
    session = _ask(tab, "POST", "/api/v1/sessions", "", account)
    profile = {"name": name, "city": "Porto", "birth_year": 1995, "interests": ["books", "films"]}
    _ask(tab, "PUT", "/api/v1/profile", session["token"], profile)
    return session


def _ask(tab: Tab, method: str, path: str, token: str, body: object = None) -> Any:
    script = """async ([method, path, token, body]) => {
      const headers = { "Content-Type": "application/json" };
      if (token) headers.Authorization = `Bearer ${token}`;
      const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
      const text = await answer.text();
      return [answer.ok, text];
    }"""
    good, text = tab.page.evaluate(script, [method, path, token, body])
    assert good, f"{method} {path}: {text}"
    return json.loads(text) if text else None


def rt_apps(tab: Tab) -> None:
    tab.open()
    tab.page.get_by_role("link", name="Create an account").click()
    tab.page.get_by_label("Name").fill("Ana")
    _sign_in(tab, "Create account")
    tab.page.get_by_label("About you").fill("Bakes bread.")
    tab.page.get_by_role("button", name="Save").click()
    tab.shows("Saved.")


def rt_apps_again(tab: Tab) -> None:
    """Signed in all the time: the new release knows the session of the old one."""
    tab.page.reload()
    tab.shows("Hello, Ana")
    assert tab.page.get_by_label("About you").input_value() == "Bakes bread."
    tab.page.get_by_role("button", name="Sign out").click()
    _sign_in(tab, "Sign in")


def _sign_in(tab: Tab, button: str) -> None:
    tab.page.get_by_label("E-mail").fill("ana@example.com")
    tab.page.get_by_label("Password").fill("correct horse battery")
    tab.page.get_by_role("button", name=button).click()
    tab.shows("Hello, Ana")


def akashic(tab: Tab) -> None:
    tab.open()
    tab.page.get_by_label("Title").fill("Bread")
    tab.page.get_by_label("Text").fill("Bread needs flour, water, salt and time.")
    tab.page.get_by_role("button", name="Keep it").click()
    tab.shows("Your note is kept.")
    _question(tab, "What does bread need?")
    tab.page.reload()
    tab.shows("written by the model")


def akashic_again(tab: Tab) -> None:
    _question(tab, "Which flour for the bread?")
    tab.page.get_by_role("button", name="Remove the note Bread").click()
    tab.shows("The note is gone.")


def _question(tab: Tab, text: str) -> None:
    tab.page.get_by_label("Your question").fill(text)
    tab.page.get_by_role("button", name="Ask").click()
    until("the model's answer", lambda: SAYS in tab.page.locator("#answer").inner_text())
    tab.shows("From: Bread")


def darasa(tab: Tab) -> None:
    tab.open()
    tab.page.locator(".cards a").first.click()
    _enrol(tab, "Ana")
    tab.page.get_by_role("button", name="Give up my place").click()
    tab.shows("You gave up your place.")


def darasa_again(tab: Tab) -> None:
    tab.page.locator(".cards a").first.click()
    _enrol(tab, "Bo")


def _enrol(tab: Tab, name: str) -> None:
    """As fast as a person: what comes sooner than 2 s after the page is taken for a bot."""
    tab.page.get_by_label("E-mail").wait_for()
    tab.page.wait_for_timeout(2_100)
    tab.page.get_by_label("Name").fill(name)
    tab.page.get_by_label("E-mail").fill(f"{name}@example.com")
    tab.page.get_by_role("button", name="Enrol").click()
    tab.page.get_by_text(re.compile(f"{name}, you are enrolled")).wait_for()


EXAMPLES = {
    example.name: example
    for example in (
        Example(
            "threadr",
            ("/", "/api/plan", "/readiness"),
            {
                "web": Change("frontend/public/index.html", "Saved threads</h2>", "Saved threads, changed</h2>"),
                "api": Change("backend/main.py", 'title="Threadr"', 'title="Threadr, changed"', "/api/openapi.json"),
            },
            threadr,
            threadr_again,
            ("OPENAI", "/v1"),
        ),
        Example(
            "datifyy",
            ("/api/v1/interests", "/health"),
            {
                "api": Change("apps/backend/internal/rest/rest.go", '"db": "ok",', '"db": "changed",', "/health"),
            },
            datifyy,
            datifyy_again,
            ("GEMINI", ""),
        ),
        Example(
            "rt-apps",
            ("/", "/login", "/api/v1/status", "/readiness"),
            {
                "web": Change(
                    "web/app/page.tsx", "One account. All your apps.", "One account. All your apps, changed."
                ),
                "api": Change(
                    "api/internal/web/web.go",
                    '{"status": "ok",',
                    '{"changed": "yes", "status": "ok",',
                    "/api/v1/status",
                ),
            },
            rt_apps,
            rt_apps_again,
        ),
        Example(
            "akashic",
            ("/", "/api/health"),
            {"web": Change("src/app/page.tsx", "Your notes</h2>", "Your notes, changed</h2>")},
            akashic,
            akashic_again,
            ("OPENAI", "/v1"),
        ),
        Example(
            "darasa",
            ("/", "/api/health"),
            {"web": Change("src/app/page.tsx", "<h1>Courses</h1>", "<h1>Courses, changed</h1>")},
            darasa,
            darasa_again,
        ),
    )
}
