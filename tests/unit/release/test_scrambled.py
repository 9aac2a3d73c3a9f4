"""Secrets of a copy of the app: of the same shape, and not the same."""

from __future__ import annotations

import re

import pytest

from golive.release.outage import scrambled


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("0042137799130042", r"[0-9]{16}"),
        ("deadbeefdeadbeef", r"[a-z]{16}"),
        ("0f3a77c2d9e1b650", r"[0-9a-f]{16}"),
        ("sk_live_Ab3dEf9hIjKl", r"[a-z]{2}_[a-z]{4}_[A-Z][a-z][0-9][a-z][A-Z][a-z][0-9][a-z][A-Z][a-z][A-Z][a-z]"),
        (
            "https://user:Pass0word@host.example/x",
            r"https://[a-z]{4}:[A-Z][a-z]{3}[0-9][a-z]{4}@[a-z]{4}\.[a-z]{7}/[a-z]",
        ),
    ],
)
def test_the_shape_stays(value: str, shape: str) -> None:
    made = {scrambled(value) for _ in range(20)}
    assert value not in made
    assert all(re.fullmatch(shape, each) for each in made)
