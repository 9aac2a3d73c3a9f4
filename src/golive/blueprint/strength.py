"""How much of a guess a secret is. Pure."""

from __future__ import annotations

import math
import re

SIGNS = re.compile(r"JWT|SESSION|NEXTAUTH|AUTH_SECRET|SECRET_KEY|COOKIE|SIGNING|ENCRYPTION|CSRF")
"""Names of what signs or encrypts by itself: whoever has a signed text can guess at leisure."""
_PLACEHOLDER = re.compile(
    r"^(change.?me|secret|password|test|xxx+|your[-_ ].*|todo|example|placeholder|<.*>|admin)", re.I
)
LENGTH, BITS = 32, 90
OLD = 90
"""Days after which a secret is to be changed."""


def weakness(name: str, value: str) -> str | None:
    """What is wrong with the value of a secret, in words that do not repeat it; None when nothing is."""
    if _PLACEHOLDER.search(value):
        return f"{name} is a placeholder"
    if SIGNS.search(name) and (len(value) < LENGTH or bits(value) < BITS):
        return f"{name} has {len(value)} characters, {bits(value):.0f} bits"
    return None


def bits(value: str) -> float:
    """At most so much is in it: by how often its characters come."""
    counts = [value.count(c) for c in set(value)]
    return sum(n * math.log2(len(value) / n) for n in counts)
