"""The names of artifacts and layers: hashes of everything that goes into them. Same key, no second build."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
import sysconfig
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

BUILDER_VERSION = 1
"""Raised when the same inputs would be built differently by this golive."""
KEY_LENGTH = 32


@dataclass(frozen=True)
class LayerInputs:
    """What decides a dependency layer. `dependencies` is the digest of what lists them, None when nothing does.

    `local` is the source's digest when a listed dependency is a folder of the source itself, else None.
    """

    dependencies: str | None
    extra: tuple[str, ...]
    python: str
    python_path: str
    platform: str
    local: str | None = None


@dataclass(frozen=True)
class ArtifactInputs:
    """What decides an artifact. `recipe` is the build recipe as plain data; `start` the service's command."""

    source: str
    builder: str
    recipe: Mapping[str, Any]
    start: str | None
    platform: str
    layer: str | None = None
    static: tuple[bool, bool] | None = None
    env: Mapping[str, str] = field(default_factory=dict)


def layer_key(inputs: LayerInputs) -> str:
    return _key("layer", asdict(inputs))


def artifact_key(inputs: ArtifactInputs) -> str:
    return _key("artifact", asdict(inputs))


def digest_key(kind: str, inputs: Any) -> str:
    """The name of anything else that is decided by plain data."""
    return _key(kind, inputs)


@functools.cache
def this_platform() -> str:
    """The machine a binary wheel is for: system, processor and C library."""
    return "-".join(part for part in (sysconfig.get_platform(), *platform.libc_ver()) if part)


def _key(kind: str, inputs: Any) -> str:
    text = json.dumps([BUILDER_VERSION, kind, inputs], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]
