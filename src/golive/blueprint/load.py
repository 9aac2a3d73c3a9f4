"""The one entry: a path to the blueprint of an environment, or every problem at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from golive.blueprint.checkout import Checkout
from golive.blueprint.document import FILE_NAME, read_document
from golive.blueprint.models import Blueprint
from golive.blueprint.resolve import Resolved, resolve


@dataclass(frozen=True)
class Loaded:
    """`checkout` is the folder of golive.toml, absolute; `file` the golive.toml that was read."""

    resolved: Resolved
    checkout: Path
    file: Path

    @property
    def blueprint(self) -> Blueprint:
        return self.resolved.blueprint


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name too long, a folder above that may not be entered: reading says it
        return False


def load(path: Path, environment: str = "production") -> Loaded:
    """Read golive.toml, or the one in a checkout folder, for one environment.

    Raises BlueprintError with every problem, each with file, line, key path and hint.
    """
    path = path.absolute()
    file = path if path.name == FILE_NAME or not _is_folder(path) else path / FILE_NAME
    document = read_document(file)
    return Loaded(resolve(document, Checkout(file.parent), environment), file.parent, file)
