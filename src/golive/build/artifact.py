"""Artifacts and layers as they lie on disk: what their own files say of them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

ARTIFACT_FILE = "artifact.json"
LAYER_FILE = "layer.json"
VERSION: Literal[1] = 1


class Content(BaseModel):
    """How many files and bytes were written; fewer or more later means damage."""

    model_config = ConfigDict(frozen=True)

    files: int = 0
    bytes: int = 0


class Layer(BaseModel):
    """A virtual environment with the dependencies of a service. `python` is the interpreter's version."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = VERSION
    key: str
    python: str
    interpreter: str
    packages: int
    disk: int


class Artifact(BaseModel):
    """A built service. `path` is its folder, `app` what runs or is served.

    `env` goes below the service's own environment; `argv` starts it (see `command.with_port`), None when nothing does.
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = VERSION
    key: str
    kind: Literal["python", "static", "none"]
    path: Path
    layer: str | None = None
    env: dict[str, str] = {}
    argv: tuple[str, ...] | None = None
    content: Content = Content()
    disk: int = 0

    @property
    def app(self) -> Path:
        return self.path / "app"
