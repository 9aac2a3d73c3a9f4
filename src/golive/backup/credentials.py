"""What a location in S3 is opened with, under the names that AWS's own tools read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from golive.errors import UsageError
from golive.secret import Secret

NAMES = (ID, SECRET, TOKEN) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")


@dataclass(frozen=True)
class Credentials:
    """Without `id`, whatever AWS's tools find on the machine: its role, or a profile. `endpoint` and `region` where a
    URL names none."""

    id: str | None = None
    secret: Secret | None = None
    token: Secret | None = None
    endpoint: str | None = None
    region: str | None = None

    @classmethod
    def find(cls, values: Mapping[str, str | Secret]) -> Credentials:
        """Among variables, empty ones of no account. UsageError when one half of a pair is missing."""
        known = {name: _plain(value) for name, value in values.items() if _plain(value)}
        if (ID in known) != (SECRET in known):
            missing, there = (SECRET, ID) if ID in known else (ID, SECRET)
            raise UsageError(
                f"{there} is set, and {missing} is not", hint=f"set {missing} as well: golive env set {missing}"
            )
        return cls(
            known.get(ID),
            Secret(known[SECRET]) if SECRET in known else None,
            Secret(known[TOKEN]) if TOKEN in known else None,
            next((known[name] for name in ENDPOINTS if name in known), None),
            next((known[name] for name in REGIONS if name in known), None),
        )


def _plain(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value
