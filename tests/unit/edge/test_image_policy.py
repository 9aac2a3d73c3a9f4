"""Which pictures may be asked for: every way around the list of sources that is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from golive.edge.image_policy import OWN, Policy, Refused, is_public, parse_policy, source, wanted

SOURCES = ("/uploads/*", "https://cdn.example.com/products/*", "https://other.example.com:8443/")
P = Policy("shop/production", "s", True, SOURCES, (320, 640), (75, 90), ("avif", "webp"), 60, 10**6)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("/uploads/a.jpg", (OWN, "/uploads/a.jpg")),
        ("/uploads/Zo%C3%AB b.jpg", (OWN, "/uploads/Zo%C3%AB%20b.jpg")),
        ("https://cdn.example.com/products/a/b.png", ("https://cdn.example.com:443", "/products/a/b.png")),
        ("https://CDN.example.com:443/products/a", ("https://cdn.example.com:443", "/products/a")),
        ("https://other.example.com:8443/a", ("https://other.example.com:8443", "/a")),
    ],
)
def test_what_is_in_a_source(url: str, found: tuple[str, str]) -> None:
    assert source(url, SOURCES) == found


@pytest.mark.parametrize(
    "url",
    [
        *("", "uploads/a", "/other/a", "/uploads", "/uploadsx/a", "//evil.example/uploads/a", "/\\evil.example/a"),
        *("/uploads/../secret", "/uploads/%2e%2e/secret", "/uploads/%252e%252e/secret", "/uploads/./a", "/uploads//a"),
        *("/uploads/a?x=1", "/uploads/a#x", "/uploads/%3Fx", "/uploads/a%00", "/uploads/a\nb"),
        *("/uploads/..%5ca", "/uploads/a;b"),
        *("http://cdn.example.com/products/a", "https://cdn.example.com/secret", "https://cdn.example.com/products/../x"),
        *("https://cdn.example.com.evil.example/products/a", "https://evil.example/products/a"),
        *("https://cdn.example.com:8443/products/a", "https:///products/a"),
        *("https://cdn.example.com@evil.example/products/a", "https://user@cdn.example.com/products/a"),
        *("file:///etc/passwd", "ftp://cdn.example.com/products/a", "https://127.0.0.1/products/a", "https://[::1]/products/a"),
        *("https://cdn.example.com:99999/products/a", "https://[bad/products/a", "https://cdn.example.com/products/a?b"),
    ],
)  # fmt: skip
def test_what_is_in_none(url: str) -> None:
    with pytest.raises(Refused) as refused:
        source(url, SOURCES)
    assert refused.value.status == 400


def test_golive_s_own_paths_are_no_source() -> None:
    with pytest.raises(Refused):
        source("/_golive/image", ("/",))


@pytest.mark.parametrize(
    "query", ["w=320", "url=/uploads/a", "url=/uploads/a&w=321", "url=/uploads/a&w=-320", "url=/uploads/a&w=0320x",
              "url=/uploads/a&w=320&q=80", "url=/uploads/a&w=320&w=640", "url=/uploads/a&w=320&x=1",
              "url=/uploads/a&w=\u0663\u0662\u0660"],
)  # fmt: skip
def test_only_what_is_on_the_lists(query: str) -> None:
    with pytest.raises(Refused):
        wanted(f"/_golive/image?{query}", "", P)


def test_the_format_follows_accept() -> None:
    for accept, format in (
        ("image/avif,image/webp,*/*", "AVIF"),
        ("image/webp", "WEBP"),
        ("image/avif;q=0, image/webp;q=0.8", "WEBP"),
        ("*/*", ""),
    ):
        made = wanted("/_golive/image?url=%2Fuploads%2Fa&w=320", accept, P)
        assert (made.format, made.width, made.quality) == (format, 320, 75)
    assert wanted("/_golive/image?url=/uploads/a&w=640&q=90", "image/avif", replace(P, formats=())).format == ""
    assert parse_policy(P.text()) == P


@pytest.mark.parametrize(
    ("address", "public"),
    [
        *((a, True) for a in ("93.184.216.34", "2606:2800:220:1::1")),
        *((a, False) for a in ("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1")),
        *((a, False) for a in ("0.0.0.0", "224.0.0.1", "240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.0.1")),
        *((a, False) for a in ("::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1")),
        *((a, False) for a in ("::ffff:93.184.216.34", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "fec0::1")),
    ],
)
def test_what_is_public(address: str, public: bool) -> None:
    assert is_public(address) is public
