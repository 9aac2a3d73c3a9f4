"""What the guides that golive began from ask for before and after going live, in our own words, one line for each of
their checklists' lines; for the two without a checklist what they recommend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from golive.checks.model import Result, Status

LINES: dict[str, str] = {
    "akashic.1": "The session secret is strong: 32 characters or more",
    "akashic.2": "The public address is HTTPS",
    "akashic.3": "The database is reached over TLS, with strong credentials",
    "akashic.4": "Redis asks for a password where others can reach it",
    "akashic.5": "Origins that may read across origins were looked at",
    "akashic.6": "Rate limits are there, and their effect is watched",
    "akashic.7": "Monitoring and alerts are set up",
    "akashic.8": "Security settings and audit logs are reviewed",
    "datifyy.1": "The database runs and its migrations are applied",
    "datifyy.2": "Redis runs and was tried",
    "datifyy.3": "All environment variables have values",
    "datifyy.4": "The token secret was generated: 32 characters or more",
    "datifyy.5": "Allowed origins name the frontend",
    "datifyy.6": "The AI vendor's key was tried",
    "datifyy.7": "Health endpoints answer 200",
    "datifyy.8": "The database is backed up",
    "datifyy.9": "Uptime is monitored",
    "datifyy.10": "All API endpoints were tried",
    "datifyy.11": "A load test was made",
    "datifyy.12": "Errors are tracked",
    "datifyy.13": "Logs were read for errors",
    "datifyy.14": "The certificate was verified",
    "datifyy.15": "Performance: indexes and caches",
    "datifyy.16": "Security was reviewed: no secrets in code",
    "rt-apps.1": "All environment variables have values",
    "rt-apps.2": "Migrations are applied",
    "rt-apps.3": "TLS is set up",
    "rt-apps.4": "DNS of the domain is right",
    "rt-apps.5": "Security headers are sent",
    "rt-apps.6": "Rate limits are set",
    "rt-apps.7": "Monitoring and logs are set up",
    "rt-apps.8": "Errors are tracked",
    "rt-apps.9": "Performance is monitored",
    "rt-apps.10": "A load test was made",
    "rt-apps.11": "A security audit was made",
    "rt-apps.12": "Backups are made",
    "rt-apps.13": "Health checks pass",
    "rt-apps.14": "Certificates are in force",
    "rt-apps.15": "Caches in front work",
    "rt-apps.16": "Analytics count visits",
    "rt-apps.17": "Errors notify somebody",
    "rt-apps.18": "A baseline of performance is kept",
    "rt-apps.19": "Signing in works",
    "rt-apps.20": "API endpoints answer",
    "rt-apps.21": "The database can be reached",
    "rt-apps.22": "E-mail works",
    "rt-apps.23": "Uploads work",
    "rt-apps.24": "Search works",
    "threadr.1": "Security headers: HSTS, nosniff, frames",
    "threadr.2": "Keys of vendors stay in the backend",
    "threadr.3": "Dependencies are locked, and the build is the same everywhere",
    "threadr.4": "Health and readiness endpoints",
    "threadr.5": "Backups, and how long a recovery takes",
    "threadr.6": "What it costs is known, and limited",
    "threadr.7": "Secrets are rotated",
    "darasa.1": "Every variable is declared with its type",
    "darasa.2": "Connections to the database are pooled",
    "darasa.3": "Logs are structured",
    "darasa.4": "Staging, tests, migrations, then promotion",
    "darasa.5": "Static files are kept by browsers; answers by caches",
    "darasa.6": "A release can be rolled back",
    "darasa.7": "Point-in-time recovery, and a copy elsewhere",
}
"""Id to text. An id is the guide and the number of the line in it."""

CHECKLISTS = {"akashic": 8, "datifyy": 16, "rt-apps": 24, "threadr": 7, "darasa": 7}
"""How many lines each has."""

_WORST = (Status.FAIL, Status.WARNING, Status.COULD_NOT_TELL, Status.PASS)


@dataclass(frozen=True)
class Line:
    """A line of a guide and the results that answer it."""

    id: str
    text: str
    results: tuple[Result, ...]

    @property
    def status(self) -> Status:
        """The worst of what applies: a line passes when nothing of it is wrong, and nothing of it is unknown."""
        found = {result.status for result in self.results}
        return next((status for status in _WORST if status in found), Status.NOT_APPLICABLE)


def answered(results: Sequence[Result]) -> list[Line]:
    """Every line, in order, with what answers it. Pure."""
    return [Line(id, text, tuple(r for r in results if id in r.check.answers)) for id, text in LINES.items()]
