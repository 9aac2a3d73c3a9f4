"""What a request is answered with, decided without a server or a disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from golive.edge.static_http import Request
from golive.edge.static_index import Index, Response, urls
from golive.edge.static_plan import decode_path, negotiate, plan

ROOT = Path("/artifacts/k1")
BROWSER = "gzip, deflate, br, zstd"


def record(path: str, size: int = 1000, *, kind: str = "", immutable: bool = False, **variants: int) -> dict[str, Any]:
    suffix = path.rpartition(".")[2]
    kind = kind or {"html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8"}.get(suffix, "text/x")
    return {
        "path": path,
        "size": size,
        "type": kind,
        "etag": f"t-{path}" if path.isascii() else "t",
        "immutable": immutable,
        "variants": variants,
    }


def release(*records: dict[str, Any], spa: bool = False, clean: bool = True) -> Index:
    found, redirects = urls({r["path"]: r for r in records}, clean=clean)
    return Index(ROOT, spa, found, redirects)


SITE = release(
    record("index.html"),
    record("about.html"),
    record("docs/index.html"),
    record("docs/a b.html"),
    record("app.js", 1000, br=300, zstd=310, gzip=350),
    record("assets/index-BdJ3k9Xa.js", immutable=True, br=300),
    record("empty.txt", 0),
    record("caf\udce9.txt"),
    record("über.txt"),
    record(".well-known/security.txt"),
)


def ask(path: str, method: str = "GET", index: Index = SITE, **headers: str) -> Response:
    return plan(Request(method, path, {k.replace("_", "-"): v for k, v in headers.items()}), index)


def fields(response: Response) -> dict[str, str]:
    lines = response.head.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert lines[0].startswith(f"HTTP/1.1 {response.status} ")
    return dict(line.split(": ", 1) for line in lines[1:])


def sent(response: Response) -> str | None:
    return str(response.file.relative_to(ROOT)) if response.file else None


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("/", "files/index.html"),
        ("/?utm=1", "files/index.html"),
        ("/index.html", "files/index.html"),
        ("/about", "files/about.html"),
        ("/about.html", "files/about.html"),
        ("/docs/", "files/docs/index.html"),
        ("/docs/a%20b", "files/docs/a b.html"),
        ("/app.js", "files/app.js"),
        ("/%61pp.js", "files/app.js"),
        ("/%C3%BCber.txt", "files/über.txt"),
        ("/u%CC%88ber.txt", "files/über.txt"),
        ("/caf%E9.txt", "files/caf\udce9.txt"),
        ("/.well-known/security.txt", "files/.well-known/security.txt"),
    ],
)
def test_found(path: str, file: str) -> None:
    response = ask(path)
    assert response.status == 200
    assert sent(response) == file
    assert (response.start, response.length) == (0, 1000)


@pytest.mark.parametrize(
    "path",
    ["/nope", "/About", "/app.js/", "/docs/nope/", "//", "//app.js", "/docs//", "/./app.js", "/docs/../app.js",
     "/%2e%2e/app.js", "/docs%2fa%20b", "/docs%5ca", "/docs\\a", "/app.js%00", "/app.js%", "/app.js%zz", "/.env",
     "/.well-known/.x", "app.js", "*", "", "http://x/app.js", "/%252e%252e/app.js", "/app.js%0d%0a", "/\xff"],
)  # fmt: skip
def test_not_found(path: str) -> None:
    for method in ("GET", "HEAD"):
        response = ask(path, method)
        assert response.status == 404
        assert response.file is None
        assert fields(response)["cache-control"] == "no-store"
        assert response.head.endswith(b"\r\n\r\n") == (method == "HEAD")


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/docs", "./docs/"),
        ("/docs?a=1&b", "./docs/?a=1&b"),
        ("/about/", "../about"),
        ("/docs/a%20b/", "../a%20b"),
    ],
)
def test_redirects_are_relative_and_keep_the_query(path: str, location: str) -> None:
    response = ask(path)
    assert response.status == 308
    assert fields(response)["location"] == location
    assert fields(response)["content-length"] == "0"


def test_a_page_comes_before_a_folder_of_the_same_name() -> None:
    index = release(record("docs.html"), record("docs/index.html"))
    assert sent(ask("/docs", index=index)) == "files/docs.html"
    assert sent(ask("/docs/", index=index)) == "files/docs/index.html"


def test_without_clean_urls_only_folders_have_short_names() -> None:
    index = release(record("about.html"), record("docs/index.html"), clean=False)
    assert ask("/about", index=index).status == 404
    assert ask("/about/", index=index).status == 404
    assert ask("/docs", index=index).status == 308


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get"])
def test_other_methods(method: str) -> None:
    response = ask("/app.js", method)
    assert response.status == 405
    assert fields(response)["allow"] == "GET, HEAD"


def test_head_is_get_without_a_body() -> None:
    for headers in ({}, {"accept_encoding": "br"}):
        assert fields(ask("/app.js", "HEAD", **headers)) == fields(ask("/app.js", **headers))
        assert ask("/app.js", "HEAD", **headers).file is None


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        (BROWSER, "br"),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZIP", "gzip"),
        ("gzip, zstd", "zstd"),
        ("br;q=0, *", "zstd"),
        ("*", "br"),
        ("*;q=0", ""),
        ("br;q=0.5, gzip;q=0.9", "gzip"),
        ("br ; q=0.001", "br"),
        ("br;q=0", ""),
        ("br;q=1.5", ""),
        ("br;q=nonsense", ""),
        ("identity", ""),
        ("identity;q=0.5, br;q=0.1", ""),
        ("identity;q=0, br;q=0.1", "br"),
        ("deflate", ""),
        ("", ""),
        (",,;;q=", ""),
    ],
)
def test_negotiation(accept: str, coding: str) -> None:
    entry = SITE.find("/app.js")
    assert entry is not None
    assert negotiate(entry, accept).coding == coding
    response = ask("/app.js", accept_encoding=accept)
    assert fields(response).get("content-encoding", "") == coding
    assert fields(response)["vary"] == "accept-encoding"


def test_each_coding_has_an_etag_of_its_own() -> None:
    tags = [fields(ask("/app.js", accept_encoding=a))["etag"] for a in ("", "br", "zstd", "gzip")]
    assert tags == ['"t-app.js"', '"t-app.js-br"', '"t-app.js-zstd"', '"t-app.js-gzip"']


def test_cache_control() -> None:
    assert fields(ask("/assets/index-BdJ3k9Xa.js"))["cache-control"] == "public, max-age=31536000, immutable"
    assert fields(ask("/"))["cache-control"] == "no-cache"
    assert fields(ask("/app.js"))["cache-control"] == "public, max-age=0, must-revalidate"
    assert "vary" not in fields(ask("/empty.txt"))


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ('"t-app.js"', 304),
        ('W/"t-app.js"', 304),
        ('"x", W/"t-app.js" , "y"', 304),
        ("*", 304),
        (" * ", 304),
        ('"t-app.js-br"', 200),
        ('"other"', 200),
        ("t-app.js", 200),
        ("", 200),
    ],
)
def test_if_none_match(tags: str, status: int) -> None:
    for method in ("GET", "HEAD"):
        response = ask("/app.js", method, if_none_match=tags)
        assert response.status == status
        if status == 304:
            assert response.length == 0
            assert fields(response).keys() == {"etag", "cache-control", "vary"}
    assert ask("/app.js", accept_encoding="br", if_none_match='"t-app.js-br"').status == 304


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("bytes=0-99", (0, 100)),
        ("bytes=999-", (999, 1)),
        ("bytes=-1", (999, 1)),
        ("bytes=-5000", (0, 1000)),
        ("bytes=500-5000", (500, 500)),
        ("Bytes = 0-0", (0, 1)),
    ],
)
def test_one_range(wanted: str, expected: tuple[int, int]) -> None:
    response = ask("/app.js", range=wanted, accept_encoding=BROWSER)
    start, length = expected
    assert response.status == 206
    assert (response.start, response.length) == expected
    assert sent(response) == "files/app.js"
    assert fields(response)["content-range"] == f"bytes {start}-{start + length - 1}/1000"
    assert fields(response)["content-length"] == str(length)
    assert "content-encoding" not in fields(response)
    assert not response.whole


@pytest.mark.parametrize("wanted", ["bytes=1000-", "bytes=1000-2000", "bytes=-0"])
def test_a_range_past_the_end(wanted: str) -> None:
    response = ask("/app.js", range=wanted)
    assert response.status == 416
    assert fields(response)["content-range"] == "bytes */1000"


@pytest.mark.parametrize(
    "wanted", ["bytes=5-1", "bytes=0-1,5-6", "lines=0-1", "bytes=", "bytes=-", "bytes=a-b", "bytes=0-1x", "bytes=--1"]
)
def test_ranges_that_are_answered_with_the_whole(wanted: str) -> None:
    response = ask("/app.js", range=wanted)
    assert (response.status, response.length) == (200, 1000)


def test_range_and_its_conditions() -> None:
    assert ask("/app.js", range="bytes=0-1", if_range='"t-app.js"').status == 206
    for stale in ('"old"', 'W/"t-app.js"', '"t-app.js-br"', "Sat, 01 Jan 2022 00:00:00 GMT"):
        assert ask("/app.js", range="bytes=0-1", if_range=stale).status == 200
    assert ask("/app.js", range="bytes=0-1", if_none_match='"t-app.js"').status == 304
    assert ask("/app.js", "HEAD", range="bytes=0-1").status == 200
    assert ask("/empty.txt", range="bytes=0-").status == 416


def test_an_empty_file() -> None:
    response = ask("/empty.txt")
    assert (response.status, response.file) == (200, None)
    assert fields(response)["content-length"] == "0"


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("/users/7", "text/html,*/*;q=0.8", 200),
        ("/users/7/", "text/html", 200),
        ("/users/7", "application/json", 404),
        ("/users/7", "*/*", 404),
        ("/missing.js", "text/html", 404),
        ("/../etc/passwd", "text/html", 404),
        ("/%2e%2e/x", "text/html", 404),
        ("/.env", "text/html", 404),
        ("/%2e%2e%2fx", "text/html", 404),
    ],
)
def test_a_single_page_app_answers_navigations(path: str, accept: str, status: int) -> None:
    index = release(record("index.html"), record("app.js"), spa=True)
    response = ask(path, index=index, accept=accept)
    assert response.status == status
    assert (sent(response) == "files/index.html") == (status == 200)
    assert ask("/users/7", accept="text/html").status == 404, "not without spa"


def test_the_releases_own_404_page() -> None:
    index = release(record("404.html", 77), record("index.html"))
    response = ask("/nope", index=index, range="bytes=0-1", if_none_match="*")
    assert (response.status, sent(response), response.length) == (404, "files/404.html", 77)
    assert fields(response)["cache-control"] == "no-store"
    assert "etag" not in fields(response)
    assert ask("/nope", "HEAD", index=index).file is None
    assert ask("/404.html", index=index).status == 200


def test_hashed_files_of_previous_releases_stay_reachable() -> None:
    new = release(record("index.html"), spa=True)
    older = release(record("app-3f9a2b1c.js", immutable=True), record("old.html"), record("old.js"))
    request = Request("GET", "/app-3f9a2b1c.js", {})
    assert plan(request, new).status == 404
    assert plan(request, new, [SITE, older]).status == 200
    for path in ("/old.html", "/old", "/old.js"):
        assert plan(Request("GET", path, {}), new, [older]).status == 404


def test_decoding_happens_once() -> None:
    assert decode_path("/a%2525") == "/a%25"
    assert decode_path("/a b") == "/a b"
    assert decode_path("/a%2Fb") is None


def test_a_rewrite_is_followed_where_there_is_no_file() -> None:
    assert sent(ask("/app.js", x_golive_fallback="/index.html")) == sent(ask("/app.js"))
    assert sent(ask("/deep/link", x_golive_fallback="/index.html")) == sent(ask("/"))
    assert sent(ask("/deep", x_golive_fallback="/docs")) == sent(ask("/docs/"))
    assert sent(ask("/deep", x_golive_fallback="/docs/a%20b")) == sent(ask("/docs/a%20b"))
    for nowhere in ("/nowhere", "/../index.html", "index.html", "", "/%2e%2e/index.html"):
        assert ask("/deep", x_golive_fallback=nowhere).status == 404


def test_where_the_edge_decides_about_slashes_a_page_answers_at_both_forms() -> None:
    for path, other in (("/about/", "/about"), ("/docs", "/docs/")):
        assert ask(path).status == 308
        assert sent(ask(path, x_golive_slash="edge")) == sent(ask(other))
