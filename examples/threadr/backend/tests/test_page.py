"""The page keeps the promise of its Content-Security-Policy, and its script finds what it looks for."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from servers import BACKEND

PUBLIC = BACKEND.parent / "frontend" / "public"


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.labels: set[str | None] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if name := found.get("id"):
            self.ids.append(name)
        if tag == "label":
            self.labels.add(found.get("for"))


@pytest.fixture(params=["index.html", "404.html"])
def page(request: pytest.FixtureRequest) -> Page:
    return Page((PUBLIC / request.param).read_text())


def test_nothing_is_inline(page: Page) -> None:
    assert all(attrs.get("src") for tag, attrs in page.tags if tag == "script")
    assert not [tag for tag, _ in page.tags if tag == "style"]
    assert not [name for _, attrs in page.tags for name in attrs if name == "style" or name.startswith("on")]


def test_everything_it_names_is_there(page: Page) -> None:
    named = [attrs.get("src") or attrs.get("href") for tag, attrs in page.tags if tag in ("script", "link", "img")]
    assert named
    assert all(str(path).startswith("/") and (PUBLIC / str(path)[1:]).is_file() for path in named)
    assert len(page.ids) == len(set(page.ids))


def test_the_script_finds_its_elements() -> None:
    page, script = Page((PUBLIC / "index.html").read_text()), (PUBLIC / "app.js").read_text()
    assert set(re.findall(r'\bat\("([\w-]+)"\)', script)) <= set(page.ids)
    assert "innerHTML" not in script


def test_a_reader_can_tell_what_is_what() -> None:
    page = Page((PUBLIC / "index.html").read_text())
    assert ("html", {"lang": "en"}) in page.tags
    fields = [attrs.get("id") for tag, attrs in page.tags if tag in ("textarea", "input")]
    assert set(fields) <= page.labels
    assert all("alt" in attrs for tag, attrs in page.tags if tag == "img")
    styles = (PUBLIC / "style.css").read_text()
    assert "prefers-color-scheme: dark" in styles and ":focus-visible" in styles
