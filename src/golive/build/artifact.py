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
    """The dependencies of a service: a virtual environment, or folders of node_modules. `python` is the version of
    what runs them, `interpreter` where that is; `packages` is counted again when the layer is used.
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = VERSION
    key: str
    kind: Literal["python", "node"] = "python"
    python: str
    interpreter: str
    packages: int
    disk: int


class PageSize(BaseModel):
    """The JavaScript that one page loads at first, in bytes: as it is and gzipped."""

    model_config = ConfigDict(frozen=True)

    route: str
    raw: int
    gzip: int
    files: tuple[str, ...] = ()


class ImageNote(BaseModel):
    """An image that was built: the engine that has it, the id that runs, the tag that keeps it. `size` in bytes.

    `user` and `health` (a command and its arguments) are what the image says of itself.
    """

    model_config = ConfigDict(frozen=True)

    engine: str
    id: str
    tag: str
    user: str = ""
    health: tuple[str, ...] = ()
    size: int = 0


class Artifact(BaseModel):
    """A built service. `path` is its folder, `whole` all that was built, `app` where it runs or is served from.

    `folder` is the place of `app` in `whole`, for a service inside a workspace. `bundle` has the pages of a front end.

    `env` goes below the service's own environment; `argv` starts it (see `command.with_port`), None when nothing does.
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = VERSION
    key: str
    kind: Literal["python", "node", "go", "static", "docker", "none"]
    path: Path
    layer: str | None = None
    env: dict[str, str] = {}
    argv: tuple[str, ...] | None = None
    folder: str = ""
    bundle: tuple[PageSize, ...] = ()
    image: ImageNote | None = None
    content: Content = Content()
    disk: int = 0

    @property
    def whole(self) -> Path:
        return self.path / "app"

    @property
    def app(self) -> Path:
        return self.whole / self.folder
