"""What the rules look at: the blueprint, the file's own table and the checkout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from golive.blueprint.checkout import Checkout, OutsideCheckout
from golive.blueprint.faults import Fault
from golive.blueprint.models import Blueprint, Service
from golive.blueprint.positions import KeyPath
from golive.errors import nearest


@dataclass(frozen=True)
class Facts:
    """`given` is what the file says, overlays merged and short forms written out; `blueprint` has everything filled."""

    blueprint: Blueprint
    given: Mapping[str, Any]
    checkout: Checkout

    def table(self, *path: str) -> Mapping[str, Any]:
        """The file's table at a path, empty where it has none."""
        value: Any = self.given
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value if isinstance(value, Mapping) else {}


def services_of(facts: Facts) -> Iterator[tuple[KeyPath, Service]]:
    """Every service with its key path."""
    for name, service in facts.blueprint.services.items():
        yield ("services", name), service


def inside(checkout: Checkout, path: KeyPath, place: str) -> Iterator[Fault]:
    """The fault of a place that leads out of the checkout, at the key path that names it."""
    try:
        checkout.locate(place)
    except OutsideCheckout as reason:
        yield Fault(path, f"`{place}` {reason}")


def folder(checkout: Checkout, path: KeyPath, place: str, also: tuple[KeyPath, ...] = ()) -> Iterator[Fault]:
    """The fault of a place that is not a folder inside the checkout, at the key path that names it."""
    try:
        found = checkout.what_is(place)
    except OutsideCheckout as reason:
        yield Fault(path, f"`{place}` {reason}", also=also)
        return
    if found == "folder":
        return
    if found == "file":
        yield Fault(path, f"`{place}` is a file, not a folder", also=also)
        return
    folders = {f.rpartition("/")[0] for f in checkout.files}
    close = nearest(place, folders)
    yield Fault(path, f"there is no folder `{place}`", f"did you mean `{close}`?" if close else None, also=also)
