"""The environment that a migration tool of the project's own runs in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from golive.system.users import User


@dataclass(frozen=True)
class Runtime:
    """The environment of a release: `python` is the argv that starts its interpreter, none where it has none; `app`
    the folder that it runs in."""

    python: tuple[str, ...]
    variables: Mapping[str, str]
    user: User | None = None
    app: Path | None = None
