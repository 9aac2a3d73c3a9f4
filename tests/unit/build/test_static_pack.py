"""Packing a folder: what is public, what is written, and that it is the same every time."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard

from golive.build.static import StaticIndex, pack
from golive.errors import BuildFailed

SCRIPT = "function add(left, right) { return left + right; }\n" * 40


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<h1>Hello</h1>")
    (folder / "assets/index-BdJ3k9Xa.js").write_text(SCRIPT)
    return folder


def packed(tmp_path: Path, site: Path, name: str = "out", **options: Any) -> tuple[StaticIndex, dict[str, Any]]:
    summary = pack(site, tmp_path / name, cache=tmp_path / "cache", **options)
    manifest = json.loads((tmp_path / name / "static.json").read_bytes())
    assert manifest["version"] == 1
    return summary, {record["path"]: record for record in manifest["files"]}


def test_the_manifest_describes_every_file(tmp_path: Path, site: Path) -> None:
    summary, files = packed(tmp_path, site)
    assert summary == StaticIndex(2, len(SCRIPT) + 14)
    assert files["index.html"]["type"] == "text/html; charset=utf-8"
    assert not files["index.html"]["immutable"]
    assert not files["index.html"]["variants"], "too small to be worth it"
    script = files["assets/index-BdJ3k9Xa.js"]
    assert script["immutable"]
    assert script["size"] == len(SCRIPT)
    assert set(script["variants"]) == {"br", "zstd", "gzip"}
    assert (tmp_path / "out/files/assets/index-BdJ3k9Xa.js").read_text() == SCRIPT


def test_variants_decode_to_the_file(tmp_path: Path, site: Path) -> None:
    _, files = packed(tmp_path, site)
    tag = files["assets/index-BdJ3k9Xa.js"]["etag"]
    variant = (tmp_path / "out/variants" / tag).with_suffix
    assert brotli.decompress(variant(".br").read_bytes()).decode() == SCRIPT
    assert zstandard.decompress(variant(".zst").read_bytes()).decode() == SCRIPT
    assert gzip.decompress(variant(".gz").read_bytes()).decode() == SCRIPT
    assert variant(".br").stat().st_size == files["assets/index-BdJ3k9Xa.js"]["variants"]["br"]


def test_what_does_not_shrink_has_no_variants(tmp_path: Path, site: Path) -> None:
    (site / "noise.bin").write_bytes(os.urandom(5000))
    (site / "photo.jpg").write_bytes(b"\0" * 5000)
    _, files = packed(tmp_path, site)
    assert files["noise.bin"]["variants"] == {}
    assert files["photo.jpg"]["variants"] == {}


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, site: Path) -> None:
    pack(site, tmp_path / "one", cache=tmp_path / "cache1")
    os.utime(site / "index.html", (1, 1))
    pack(site, tmp_path / "two", cache=tmp_path / "cache2")
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_only_a_changed_file_is_compressed_again(tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack(site, tmp_path / "one", cache=tmp_path / "cache")
    kept = {path: path.stat().st_ino for path in (tmp_path / "cache").rglob("*.br")}
    (site / "index.html").write_text(SCRIPT)
    pack(site, tmp_path / "two", cache=tmp_path / "cache")
    after = {path: path.stat().st_ino for path in (tmp_path / "cache").rglob("*.br")}
    assert kept.items() <= after.items(), "what was there was not made again"


def test_packing_twice_into_the_same_place_changes_nothing(tmp_path: Path, site: Path) -> None:
    first = packed(tmp_path, site)
    assert packed(tmp_path, site) == first


@pytest.mark.parametrize(
    "name",
    [".env", ".env.production", ".git/config", ".htpasswd", "prod.env", "golive.toml", "id_rsa", "site.p12",
     "a/.hidden/x.txt", ".well-known/.secret", "tls.key"],
)  # fmt: skip
def test_private_files_are_not_public(tmp_path: Path, site: Path, name: str) -> None:
    (site / name).parent.mkdir(parents=True, exist_ok=True)
    (site / name).write_text("-----BEGIN PRIVATE KEY-----\ncanary")
    packed(tmp_path, site)
    assert not [path for path, content in tree(tmp_path / "out").items() if b"canary" in content or "canary" in path]


def test_well_known_and_a_public_certificate_are_public(tmp_path: Path, site: Path) -> None:
    (site / ".well-known").mkdir()
    (site / ".well-known/security.txt").write_text("Contact: mailto:a@example.org")
    (site / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    _, files = packed(tmp_path, site)
    assert {".well-known/security.txt", "ca.pem"} <= set(files)


def link_to(target: str) -> Callable[[Path], None]:
    return lambda link: link.symlink_to(target)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (link_to("/etc/passwd"), "leaves"),
        (link_to("../outside.txt"), "leaves"),
        (link_to("nowhere"), "nothing"),
        (link_to("link"), "nothing"),
        (link_to(".secret"), "not public"),
        (link_to("drafts/one.txt"), "not public"),
        (os.mkfifo, "not a regular file"),
    ],
)
def test_what_is_left_out_is_told(tmp_path: Path, site: Path, make: Callable[[Path], None], why: str) -> None:
    (tmp_path / "outside.txt").write_text("outside")
    (site / ".secret").write_text("secret")
    (site / "drafts").mkdir()
    (site / "drafts/one.txt").write_text("draft")
    make(site / "link")
    summary, files = packed(tmp_path, site, ignore=lambda path: path == "drafts/")
    assert "link" not in files
    assert [s.path for s in summary.skipped] == ["link"]
    assert why in summary.skipped[0].why


def test_symlinks_inside_are_followed_and_loops_end(tmp_path: Path, site: Path) -> None:
    (site / "latest.js").symlink_to("assets/index-BdJ3k9Xa.js")
    (site / "static").symlink_to("assets")
    (site / "assets/up").symlink_to("..")
    _, files = packed(tmp_path, site)
    assert {"latest.js", "static/index-BdJ3k9Xa.js"} <= set(files)
    assert len(files) == 4


def test_ignored_paths_and_own_output_are_not_packed(tmp_path: Path, site: Path) -> None:
    (site / "node_modules/x").mkdir(parents=True)
    (site / "node_modules/x/index.js").write_text("1")
    (site / "notes.bak").write_text("1")
    pack(site, site / "out", cache=site / "cache", ignore=lambda p: p == "node_modules/" or p.endswith(".bak"))
    again = pack(site, site / "out", cache=site / "cache", ignore=lambda p: p == "node_modules/" or p.endswith(".bak"))
    assert again.files == 2


def test_odd_names_keep_their_case_and_characters(tmp_path: Path, site: Path) -> None:
    for name in ("Über Uns.html", "100%.txt", "a+b&c=d.txt", "UPPER.TXT", "q?.txt", "#1.txt"):
        (site / name).write_text("x")
    (site / "cafe\N{COMBINING ACUTE ACCENT}.txt").write_text("x")
    (Path(os.fsdecode(os.fsencode(site) + b"/caf\xe9.txt"))).write_text("x")
    summary, files = packed(tmp_path, site)
    assert {"Über Uns.html", "100%.txt", "a+b&c=d.txt", "UPPER.TXT", "q?.txt", "#1.txt", "café.txt"} <= set(files)
    assert "caf\udce9.txt" in files
    assert not summary.skipped


def test_names_that_no_url_should_have_are_left_out(tmp_path: Path, site: Path) -> None:
    (site / "back\\slash.txt").write_text("x")
    (site / "new\nline.txt").write_text("x")
    summary, files = packed(tmp_path, site)
    assert len(files) == 2
    assert len(summary.skipped) == 2


@pytest.mark.parametrize("prepare", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_text("a file")])
def test_a_folder_with_nothing_to_serve_is_refused(tmp_path: Path, prepare: Callable[[Path], None]) -> None:
    prepare(tmp_path / "empty")
    with pytest.raises(BuildFailed) as failure:
        pack(tmp_path / "empty", tmp_path / "out", cache=tmp_path / "cache")
    assert failure.value.hint
    assert "source" in failure.value.hint
    assert not (tmp_path / "out").exists()


def test_a_single_page_app_needs_its_page(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/app.js").write_text("1")
    with pytest.raises(BuildFailed, match=r"index\.html"):
        pack(tmp_path / "site", tmp_path / "out", cache=tmp_path / "cache", spa=True)
    assert pack(tmp_path / "site", tmp_path / "out", cache=tmp_path / "cache").files == 1


def test_two_names_of_one_url_are_refused(tmp_path: Path, site: Path) -> None:
    (site / "caf\N{LATIN SMALL LETTER E WITH ACUTE}.txt").write_text("1")
    (site / "cafe\N{COMBINING ACUTE ACCENT}.txt").write_text("2")
    with pytest.raises(BuildFailed, match="two files"):
        pack(site, tmp_path / "out", cache=tmp_path / "cache")
