"""What a builder hands to the builder of artifacts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from golive.build.artifact import ImageNote, PageSize

Kind = Literal["python", "node", "go", "static", "docker", "none"]


@dataclass(frozen=True)
class Made:
    """The workshop's `app` is filled. `env` is what the artifact adds to an instance's environment.

    `layer` is the layer it needs to run, `layer_cached` whether its dependencies were there already; `folder` is where
    in `app` it starts, and `argv` what starts it when that is not the plan's.
    """

    kind: Kind
    env: dict[str, str] = field(default_factory=dict)
    layer: str | None = None
    layer_cached: bool = True
    folder: str = ""
    argv: tuple[str, ...] | None = None
    bundle: tuple[PageSize, ...] = ()
    image: ImageNote | None = None
