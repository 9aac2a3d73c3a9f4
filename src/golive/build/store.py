"""The artifacts and layers on disk: found again, counted, and taken away when no release needs them."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from golive.build.artifact import ARTIFACT_FILE, LAYER_FILE, Artifact, ImageNote, Layer
from golive.build.seal import count
from golive.build.tools import kill_leftover
from golive.home import Home
from golive.system.files import remove_tree

TEMPORARY = ".tmp-"


@dataclass(frozen=True)
class Item:
    """Something on disk. `used` is when it was last, in seconds; `needs` is the layer of an artifact."""

    key: str
    kind: str
    size: int
    used: float
    needs: str | None = None


@dataclass(frozen=True)
class Pruned:
    """The keys that were removed, and the bytes that freed. `images` are for their engines to remove."""

    removed: tuple[str, ...] = ()
    bytes: int = 0
    images: tuple[ImageNote, ...] = ()


def to_remove(items: Sequence[Item], keep: Collection[str], budget: int) -> tuple[Item, ...]:
    """What goes, so that all that no kept artifact needs takes at most `budget` bytes. Pure.

    The least recently used goes first; a layer only after every artifact on it.
    """
    kept_layers = {item.needs for item in items if item.kind == "artifact" and item.key in keep}
    spare = [item for item in items if item.key not in keep and not (item.kind == "layer" and item.key in kept_layers)]
    left = sorted(spare, key=lambda item: (item.used, item.key))
    gone: list[Item] = []
    total = sum(item.size for item in left)
    while total > budget and left:
        needed = {item.needs for item in left if item.kind == "artifact"}
        oldest = next(item for item in left if item.kind == "artifact" or item.key not in needed)
        left.remove(oldest)
        gone.append(oldest)
        total -= oldest.size
    return tuple(gone)


class Store:
    """What is built under one home. Reading never changes anything but the time of last use."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def get(self, key: str) -> Artifact | None:
        """The artifact, marked as used; None when there is none or it, or its layer, is damaged."""
        artifact = self._read(key)
        if artifact is None or (artifact.layer and self.layer(artifact.layer) is None):
            return None
        try:
            found = count(artifact.whole)
        except OSError:
            return None
        if (found.files, found.bytes) != (artifact.content.files, artifact.content.bytes):
            return None
        _touch(artifact.path)
        return artifact

    def layer(self, key: str) -> Layer | None:
        """The layer, marked as used; None when it is missing, unfinished, damaged or its interpreter has gone."""
        place = self._home.layers / key
        try:
            layer = Layer.model_validate_json((place / LAYER_FILE).read_bytes())
        except (OSError, ValidationError):
            return None
        if installed(place, layer.kind) != layer.packages:
            return None
        if layer.kind == "python" and not os.access(place / "bin/python", os.X_OK):
            return None
        _touch(place)
        return layer

    def list(self) -> tuple[Artifact, ...]:
        """Every artifact, newest first, without the check that `get` makes."""
        found = [self._read(path.name) for path in _folders(self._home.artifacts)]
        whole = [artifact for artifact in found if artifact]
        return tuple(sorted(whole, key=lambda artifact: _used(artifact.path), reverse=True))

    def items(self) -> tuple[Item, ...]:
        """Everything on disk, damaged things too (as never used)."""
        artifacts = [self._artifact_item(path) for path in _folders(self._home.artifacts)]
        return (*artifacts, *(self._layer_item(path) for path in _folders(self._home.layers)))

    def sizes(self) -> dict[str, int]:
        """Bytes on disk of each artifact and layer."""
        return {item.key: item.size for item in self.items()}

    def prune(self, keep: Collection[str], budget: int) -> Pruned:
        """Remove the least recently used until what no kept artifact needs takes at most `budget` bytes.

        `keep` are the artifacts of the releases that are kept; their layers are kept with them.
        """
        gone = to_remove(self.items(), keep, budget)
        described = [self._read(item.key) for item in gone if item.kind == "artifact"]
        images = tuple(artifact.image for artifact in described if artifact and artifact.image)
        for item in gone:
            remove_tree((self._home.artifacts if item.kind == "artifact" else self._home.layers) / item.key)
        freed = sum(item.size for item in gone) + self._prune_caches(budget)
        return Pruned(tuple(item.key for item in gone), freed, images)

    def clean(self) -> None:
        """Remove what a killed build left, and end the program it was running. For the daemon's start."""
        with contextlib.suppress(FileNotFoundError):
            for path in self._home.artifacts.iterdir():
                if path.name.startswith(TEMPORARY):
                    kill_leftover(path)
                    remove_tree(path)
        for path in _folders(self._home.layers):
            if not (path / LAYER_FILE).exists():
                remove_tree(path)

    def _prune_caches(self, budget: int) -> int:
        """Bytecode and static variants that no artifact links to go; downloads and what compilers keep when they pass
        the budget too."""
        freed = sum(_forget_unlinked(self._home.cache / name) for name in ("bytecode", "static"))
        kept = [
            path for name in ("uv", "npm", "pnpm", "yarn", "go", "node") for path in self._home.cache.glob(f"{name}*")
        ]
        for downloads in (path for path in kept if path.is_dir()):
            size = count(downloads).disk
            if size > budget:
                remove_tree(downloads)
                freed += size
        return freed

    def _read(self, key: str) -> Artifact | None:
        try:
            return Artifact.model_validate_json((self._home.artifacts / key / ARTIFACT_FILE).read_bytes())
        except (OSError, ValidationError):
            return None

    def _artifact_item(self, path: Path) -> Item:
        artifact = self._read(path.name)
        if artifact is None:
            return Item(path.name, "artifact", count(path).disk, 0)
        return Item(path.name, "artifact", artifact.disk, _used(path), artifact.layer)

    def _layer_item(self, path: Path) -> Item:
        try:
            size = Layer.model_validate_json((path / LAYER_FILE).read_bytes()).disk
        except (OSError, ValidationError):
            return Item(path.name, "layer", count(path).disk, 0)
        return Item(path.name, "layer", size, _used(path))


def installed(place: Path, kind: str) -> int:
    """The packages in a layer, counted where they show at the top."""
    if kind == "python":
        return len(list(place.glob("lib/python*/site-packages/*.dist-info")))
    with contextlib.suppress(OSError):
        return len([name for name in os.listdir(place / "node_modules") if name != ".cache"])  # noqa: PTH208
    return 0


def _forget_unlinked(cache: Path) -> int:
    freed = 0
    for folder, _, names in os.walk(cache):
        for name in names:
            with contextlib.suppress(OSError):
                info = (path := Path(folder) / name).stat()
                if info.st_nlink == 1:
                    path.unlink()
                    freed += info.st_blocks * 512
    return freed


def _folders(parent: Path) -> Iterable[Path]:
    with contextlib.suppress(FileNotFoundError):
        return [path for path in sorted(parent.iterdir()) if re.fullmatch("[0-9a-f]{32}", path.name)]
    return []


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0


def _touch(path: Path) -> None:
    with contextlib.suppress(OSError):
        os.utime(path)
