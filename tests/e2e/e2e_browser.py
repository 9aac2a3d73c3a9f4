"""Chromium as a person has it: a profile of its own that trusts golive's authority, and ears for what goes wrong."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from e2e_harness import Golive
from playwright.sync_api import Page, sync_playwright

SHOTS = os.environ.get("GOLIVE_E2E_SHOTS")
"""A folder for pictures of what the tests saw."""
_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} refused ${event.blockedURI}`));
"""


@dataclass
class Tab:
    """A page, where its app is, and every complaint of the browser about it."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> None:
        answer = self.page.goto(self.base + path)
        assert answer is not None
        assert answer.ok, f"{path} answered {answer.status}"

    def shows(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for()

    def shot(self, name: str) -> None:
        if SHOTS:
            self.page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)

    def is_content(self) -> None:
        """No error in the console, no script that failed, nothing that the content security policy refused."""
        assert not self.complaints


@contextmanager
def browser(golive: Golive, domain: str) -> Iterator[Tab]:
    """A tab for that domain; the authority is trusted as `golive trust` tells to, so the certificate is checked."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None or shutil.which("certutil") is None:
        pytest.skip("needs chromium and certutil: apt-get install chromium libnss3-tools")
    with tempfile.TemporaryDirectory(prefix="gl-web-", ignore_cleanup_errors=True) as folder:
        _trust(golive, Path(folder))
        with sync_playwright() as playwright:
            context = playwright.chromium.launch_persistent_context(
                Path(folder) / "profile",
                executable_path=program,
                chromium_sandbox=os.geteuid() != 0,
                env={**os.environ, "HOME": folder},
                locale="en-GB",
            )
            try:
                context.set_default_timeout(30_000)
                context.add_init_script(_VIOLATIONS)
                yield _listen(Tab(context.new_page(), f"https://{domain}:{golive.https_port}"))
            finally:
                context.close()


def _listen(tab: Tab) -> Tab:
    def hear(kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            tab.complaints.append(f"{tab.page.url}: {kind}: {text}")

    tab.page.on("console", lambda message: hear(message.type, f"{message.text} {message.location.get('url', '')}"))
    tab.page.on("pageerror", lambda error: hear("error", str(error)))
    return tab


def _trust(golive: Golive, home: Path) -> None:
    store = home / ".pki/nssdb"
    store.mkdir(parents=True)
    subprocess.run(["certutil", "-N", "-d", f"sql:{store}", "--empty-password"], check=True)
    notes = golive("trust", "--json").ok().json()["notes"]
    line = next(note for note in notes if "certutil" in note).rpartition(": certutil")[2]
    words = [word.replace("$HOME", str(home)) for word in shlex.split(line)]
    subprocess.run(["certutil", *words], check=True)
