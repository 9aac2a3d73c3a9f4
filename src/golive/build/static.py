"""Packs a folder of public files into an artifact that the static server answers from.

    <destination>/files/<path>            the files as they are
    <destination>/variants/<hash>.<br|zst|gz>
    <destination>/static.json             the manifest: everything a response needs, so that serving computes nothing

The same input gives the same bytes on every machine: no dates, sorted, content types from our own table.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from golive.build.static_types import content_type, is_immutable, worth_compressing
from golive.build.static_variants import variants
from golive.errors import BuildFailed

MANIFEST = "static.json"
VERSION = 1
Ignore = Callable[[str], bool]

_PRIVATE_NAMES = {"golive.toml", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "thumbs.db"}
_PRIVATE_SUFFIXES = (".env", ".p12", ".pfx", ".jks", ".keystore", ".kdbx")
_MAY_HOLD_KEYS = (".pem", ".key", ".crt", ".txt")


@dataclass(frozen=True)
class Skipped:
    """A file that was found and is not served."""

    path: str
    why: str


@dataclass(frozen=True)
class StaticIndex:
    """What was packed: public files, their bytes without variants, and what was left out on purpose."""

    files: int
    bytes: int
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True)
class Found:
    """A public file and its path in URLs."""

    url: str
    file: Path


def pack(
    source: Path,
    destination: Path,
    *,
    cache: Path,
    spa: bool = False,
    clean_urls: bool = True,
    ignore: Ignore = lambda _path: False,
) -> StaticIndex:
    """Copy the public files of `source` to `destination` with their variants and manifest.

    `ignore` gets paths relative to `source` with forward slashes, folders with one at the end. Never public: dotfiles
    (except `.well-known/` at the top), keys and `.env` files, special files, symlinks that leave `source`.
    `cache` keeps variants by content hash, so that a changed file alone is compressed again.

    Raises BuildFailed when the folder is missing, holds nothing to serve, or two names are one URL.
    """
    found, skipped = public_files(source, (destination, cache), ignore)
    _check(source, found, spa)
    destination.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2, "golive-static") as pool:  # the three codecs let go of the GIL
        packed = list(pool.map(lambda item: _pack_file(item, destination, cache), found))
    records = [record for record, _ in packed]
    for path in {path for _, made in packed for path in made}:
        _link(path, destination / "variants" / path.name)
    manifest = {"version": VERSION, "spa": spa, "clean_urls": clean_urls, "files": records}
    text = json.dumps(manifest, separators=(",", ":"), sort_keys=True)
    part = destination / f"{MANIFEST}.part"
    part.write_text(text, encoding="ascii")
    part.replace(destination / MANIFEST)
    return StaticIndex(len(records), sum(r["size"] for r in records), tuple(skipped))


def _check(source: Path, found: list[Found], spa: bool) -> None:
    if not found:
        raise BuildFailed(
            "there is nothing to serve",
            where=str(source),
            why="the folder holds no public file (dotfiles, keys and ignored files are never public)",
            hint="put an index.html there, or point `source` or `build.output` of the service at the folder of pages",
        )
    urls = {item.url for item in found}
    if spa and "index.html" not in urls:
        raise BuildFailed(
            "there is no index.html, and `spa` answers unknown paths with it",
            where=str(source),
            hint="set `build.output` to the folder that the build writes index.html to, or `spa = false`",
        )
    for first, second in pairwise(found):
        if first.url == second.url:
            raise BuildFailed(
                f"two files have the URL /{first.url}",
                where=str(source),
                why="their names differ only in how an accent is encoded (Unicode normal forms)",
                hint="rename one of them",
            )


def public_files(
    source: Path, outputs: tuple[Path, ...] = (), ignore: Ignore = lambda _path: False
) -> tuple[list[Found], list[Skipped]]:
    """Every public file, sorted by URL, and what was left out for a reason worth telling."""
    try:
        root = source.resolve(strict=True)
        if not root.is_dir():
            raise NotADirectoryError(source)
    except OSError as error:
        raise BuildFailed(
            "the folder to serve does not exist",
            where=str(source),
            why=error.strerror or "it is not a folder",
            hint="correct `source` of the service, or `build.output` when a build makes the folder",
        ) from error
    closed = {path.resolve() for path in outputs}
    found: list[Found] = []
    skipped: list[Skipped] = []
    for relative, file, problem in _entries(root, root, "", closed, frozenset((root,)), ignore):
        if problem:
            skipped.append(Skipped(relative, problem))
        else:
            found.append(Found(unicodedata.normalize("NFC", relative), file))
    return sorted(found, key=lambda item: item.url), sorted(skipped, key=lambda item: item.path)


def _entries(
    root: Path, folder: Path, prefix: str, closed: set[Path], above: frozenset[Path], ignore: Ignore
) -> Iterator[tuple[str, Path, str]]:
    """(path, real file, problem) of everything under `folder`; dotfiles and ignored paths are not mentioned."""
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        relative = prefix + entry.name
        real, problem = Path(entry.path), ""
        if entry.is_symlink():
            real, problem = _follow(root, real, ignore)
        mode = 0 if problem else real.stat().st_mode
        path = relative + "/" if stat.S_ISDIR(mode) else relative
        if _is_hidden(relative) or ignore(path):
            continue
        if stat.S_ISDIR(mode):
            if real not in closed and real not in above:
                yield from _entries(root, real, path, closed, above | {real}, ignore)
            continue
        yield relative, real, problem or _why_not(relative, real, mode)


def _follow(root: Path, link: Path, ignore: Ignore) -> tuple[Path, str]:
    """Where a symlink ends, or why it is not followed. Its target must be public in its own right."""
    try:
        real = link.resolve(strict=True)
    except (OSError, RuntimeError):
        return link, "a symlink to nothing"
    if not real.is_relative_to(root):
        return link, "a symlink that leaves the folder"
    target = real.relative_to(root).as_posix()
    parents = [f"{p.as_posix()}/" for p in Path(target).parents if p != Path()]
    if _is_hidden(target) or any(map(ignore, [target, f"{target}/", *parents])):
        return link, "a symlink to something that is not public"
    return real, _why_not(target, real, real.stat().st_mode) if not real.is_dir() else ""


def _is_hidden(path: str) -> bool:
    parts = path.split("/")
    if parts[0] == ".well-known":
        parts = parts[1:]
    return any(part.startswith(".") for part in parts)


def _why_not(path: str, file: Path, mode: int) -> str:
    """Why a file must not be public; empty when it may be."""
    name = path.rsplit("/", 1)[-1].lower()
    if not stat.S_ISREG(mode):
        return "not a regular file"
    if name in _PRIVATE_NAMES or name.endswith(_PRIVATE_SUFFIXES):
        return "never public"
    if name.endswith(_MAY_HOLD_KEYS) and b"PRIVATE KEY-----" in _start(file):
        return "a private key"
    if "\\" in path or any(ord(c) < 0x20 or c == "\x7f" for c in path):
        return "a name with a control character or a backslash"
    return ""


def _start(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(4096)


def _pack_file(item: Found, destination: Path, cache: Path) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """Copy one file; its record of the manifest and its variants in the cache."""
    target = destination / "files" / item.url
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(item.file, target)
    with target.open("rb") as stream:  # the copy is read, not the source: what is served is what was hashed
        digest = hashlib.file_digest(stream, "sha256").hexdigest()[:32]
    size = target.stat().st_size
    packed: dict[str, Path] = {}
    if worth_compressing(item.url):
        packed = variants(target.read_bytes(), digest, cache)
    record = {
        "path": item.url,
        "size": size,
        "type": content_type(item.url),
        "etag": digest,
        "immutable": is_immutable(item.url),
        "variants": {coding: path.stat().st_size for coding, path in packed.items()},
    }
    return record, tuple(packed.values())


def _link(cached: Path, target: Path) -> None:
    """Hard-linked where it can be: variants of unchanged files then cost no disk in a new release."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(cached, target)
    except OSError:
        shutil.copyfile(cached, target)
