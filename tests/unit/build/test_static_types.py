"""Content types and names that are derived from content."""

from __future__ import annotations

import pytest

from golive.build.static_types import content_type, is_immutable, worth_compressing


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("app.JS", "text/javascript; charset=utf-8"),
        ("a/b.mjs", "text/javascript; charset=utf-8"),
        ("x.css", "text/css; charset=utf-8"),
        ("x.svg", "image/svg+xml; charset=utf-8"),
        ("data.json", "application/json"),
        ("app.js.map", "application/json"),
        ("site.webmanifest", "application/manifest+json"),
        ("m.wasm", "application/wasm"),
        ("f.woff2", "font/woff2"),
        ("p.avif", "image/avif"),
        ("v.mp4", "video/mp4"),
        (".well-known/apple-app-site-association", "application/json"),
        ("LICENSE", "text/plain; charset=utf-8"),
        ("noname", "application/octet-stream"),
        ("x.unknown", "application/octet-stream"),
    ],
)
def test_content_type(path: str, expected: str) -> None:
    assert content_type(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "app.3f9a2b1c.js", "index-BdJ3k9Xa.css", "assets/index-BdJ3k9Xa.css", "_next/static/chunks/main.js",
        "static/js/main.1a2b3c4d.chunk.js", "main.4e1243bd22c66e76c2ba9eddc1f91394e57f9f83.css", "_app/immutable/x.js",
        "chunk-4QX7RZ2B.js", "css/base.55e7cbb9ba48.css", "app-3f9a2b1c9d.js.map", "_astro/hoisted.js",
        "assets/logo-C8j_x2Qf.js", "packs/application-1c2d3e4f5a6b7c8d9e0f.js",
    ],
)  # fmt: skip
def test_names_after_content_are_immutable(path: str) -> None:
    assert is_immutable(path)


@pytest.mark.parametrize(
    "path",
    [
        "app.js", "my-settings.js", "jquery-3.7.1.min.js", "report-20240101.pdf", "photo-IMG_1234.jpg",
        "assets/photo-IMG_1234.jpg", "my-face2024.jpg", "app-Version2.js", "bg-iPhone15.png", "assets/bg-iPhone15.png",
        "index-BdJ3k9Xa.html", "_next/static/page.html", "sw.js", "logo-original.svg", "font-awesome.css", "v2/x.js",
        "invoice-2024feb1.pdf", "assets/my-component.js", "a-deadbeef.txt", "assets/en-Overview.js",
    ],
)  # fmt: skip
def test_doubtful_names_are_not(path: str) -> None:
    assert not is_immutable(path)


def test_dense_formats_are_not_compressed_again() -> None:
    assert not worth_compressing("a.woff2")
    assert not worth_compressing("a.PNG")
    assert worth_compressing("a.js")
    assert worth_compressing("no-suffix")
