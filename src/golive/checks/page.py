"""What checks want to know of a page's HTML, read as browsers forgive it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

T = TypeVar("T")
MOST = 400
"""Elements of a kind that are kept: a page of a million images is no different from one of 400."""


@dataclass
class Page:
    """URLs are absolute. `scripts` and `styles` are what the browser fetches at once, `blocking` those that hold up the
    first paint; `inline` the texts of scripts in the page."""

    url: str
    title: str = ""
    lang: str = ""
    charset: str = ""
    meta: dict[str, str] = field(default_factory=dict)
    links: dict[str, list[str]] = field(default_factory=dict)
    scripts: list[str] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)
    """Scripts and styles without `integrity`."""
    blocking: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    without_alt: list[str] = field(default_factory=list)
    without_label: list[str] = field(default_factory=list)
    inline: list[str] = field(default_factory=list)
    headings: list[int] = field(default_factory=list)
    forms: list[str] = field(default_factory=list)

    @property
    def styles(self) -> list[str]:
        return self.links.get("stylesheet", [])

    @property
    def assets(self) -> list[str]:
        """Scripts, styles and preloads of the same site, each once, in the order of the page."""
        own = urlsplit(self.url).netloc
        all_of_them = (*self.styles, *self.scripts, *self.links.get("modulepreload", []))
        return [url for url in dict.fromkeys(all_of_them) if urlsplit(url).netloc == own]


def read(url: str, text: str) -> Page:
    """The page of some HTML; whatever is no HTML gives an empty one."""
    reader = _Reader(url)
    reader.feed(text)
    reader.close()
    return reader.done()


class _Reader(HTMLParser):
    def __init__(self, url: str) -> None:
        super().__init__(convert_charrefs=True)
        self._page = Page(url)
        self._base = url
        self._inside = ""
        self._in_label = 0
        self._labelled: set[str] = set()
        self._fields: list[tuple[str, str]] = []
        self._handlers = {
            "html": self._html,
            "title": self._title,
            "base": self._set_base,
            "meta": self._meta,
            "link": self._link,
            "script": self._script,
            "img": self._img,
            "form": self._form,
            "label": self._label,
            "input": self._input,
            "select": self._input,
            "textarea": self._input,
        }

    def done(self) -> Page:
        self._page.title = " ".join(self._page.title.split())
        self._page.without_label = [shown for id, shown in self._fields if id not in self._labelled]
        return self._page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: (value or "").strip() for name, value in attrs}
        if handler := self._handlers.get(tag):
            handler(given)
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self._keep(self._page.headings, int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""
        if tag == "label":
            self._in_label = max(self._in_label - 1, 0)

    def handle_data(self, data: str) -> None:
        if self._inside == "title":
            self._page.title += data[:500]
        elif self._inside == "script" and data.strip():
            self._keep(self._page.inline, data)

    def _html(self, given: dict[str, str]) -> None:
        self._page.lang = given.get("lang", "")

    def _set_base(self, given: dict[str, str]) -> None:
        self._base = self._absolute(given.get("href", "")) or self._base

    def _title(self, given: dict[str, str]) -> None:
        if not self._page.title:  # an SVG in the page has titles too
            self._inside = "title"

    def _meta(self, given: dict[str, str]) -> None:
        if given.get("charset"):
            self._page.charset = given["charset"].lower()
        name = (given.get("name") or given.get("property") or given.get("http-equiv") or "").lower()
        if name:
            self._page.meta.setdefault(name, given.get("content", ""))

    def _link(self, given: dict[str, str]) -> None:
        url = self._absolute(given.get("href", ""))
        for rel in given.get("rel", "").lower().split():
            if url:
                self._keep(self._page.links.setdefault(rel, []), url)
        if url and "stylesheet" in given.get("rel", "").lower():
            self._keep(self._page.blocking, url)
            if not given.get("integrity"):
                self._keep(self._page.unsigned, url)

    def _script(self, given: dict[str, str]) -> None:
        url = self._absolute(given.get("src", ""))
        if not url:
            self._inside = "script"
            return
        self._keep(self._page.scripts, url)
        if not given.get("integrity"):
            self._keep(self._page.unsigned, url)
        if "async" not in given and "defer" not in given and given.get("type") != "module":
            self._keep(self._page.blocking, url)

    def _img(self, given: dict[str, str]) -> None:
        url = self._absolute(given.get("src", ""))
        if url:
            self._keep(self._page.images, url)
        if "alt" not in given and given.get("role") != "presentation" and given.get("aria-hidden") != "true":
            self._keep(self._page.without_alt, given.get("src", "")[:80] or "img")

    def _form(self, given: dict[str, str]) -> None:
        self._keep(self._page.forms, self._absolute(given.get("action", "")) or self._page.url)

    def _label(self, given: dict[str, str]) -> None:
        self._in_label += 1
        if given.get("for"):
            self._labelled.add(given["for"])

    def _input(self, given: dict[str, str]) -> None:
        if given.get("type", "text").lower() in ("hidden", "submit", "button", "reset", "image"):
            return
        named = self._in_label or any(given.get(n) for n in ("aria-label", "aria-labelledby", "title"))
        if not named and len(self._fields) < MOST:
            kind = given.get("name") or given.get("id") or given.get("type") or "input"
            self._fields.append((given.get("id", "\0"), kind[:60]))

    def _absolute(self, reference: str) -> str:
        if not reference or reference.startswith(("data:", "javascript:", "blob:", "#")):
            return ""
        try:
            return urljoin(self._base, reference).partition("#")[0]
        except ValueError:
            return ""

    @staticmethod
    def _keep(kept: list[T], item: T) -> None:
        if len(kept) < MOST:
            kept.append(item)
