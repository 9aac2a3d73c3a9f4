"""A Procfile: what each process type runs."""

from __future__ import annotations

import re

from golive.blueprint.checkout import Checkout, join

_LINE = re.compile(r"^([A-Za-z0-9_-]+):\s*(\S.*)$")


def procfile(checkout: Checkout, folder: str) -> dict[str, str]:
    """The command of each process type; empty when there is no Procfile. A type named twice counts the last time."""
    lines = (checkout.read(join(folder, "Procfile")) or "").splitlines()
    return {match[1]: match[2].strip() for line in lines if (match := _LINE.match(line.strip()))}
