"""A secret that stands where others can read it, and what of those stops a deploy (ENV-6). Nothing here holds one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

VALUE = "value"
"""The rule of what is not known by its shape: it is the value of one of the app's own secrets."""
Place = Literal["work tree", "history", "bundle", "log"]
PLACES = ("work tree", "history", "bundle", "log")
_TESTS = re.compile(
    r"(^|/)(tests?|__tests__|specs?|fixtures?|testdata|test_data|__mocks__|__fixtures__|e2e|cypress)/"
    r"|(^|/)(test_[^/]*|[^/]*(_test|\.test|\.spec|_spec)\.\w+|conftest\.py)$"
    r"|(^|/)\.env\.(example|sample|template|test)$|\.(example|sample)$",
    re.IGNORECASE,
)


class Allowed(Protocol):
    """One entry of `allow` under [secrets]: every key that is set has to fit."""

    @property
    def fingerprint(self) -> str | None: ...
    @property
    def path(self) -> str | None: ...
    @property
    def rule(self) -> str | None: ...


@dataclass(frozen=True)
class Finding:
    """`file` is relative to the checkout (work tree, history), to the artifact (bundle), or absolute (log).

    Lines and columns count from 1, columns in bytes. `name` is of the variable, for a value of the app's own secrets.
    `mild` says why it does not stop a deploy. `excerpt` shows the beginning at most.
    """

    place: Place
    file: str
    line: int
    column: int
    rule: str
    fingerprint: str
    excerpt: str = ""
    name: str = ""
    service: str = ""
    commit: str = ""
    mild: str = ""

    @property
    def what(self) -> str:
        return f"the value of {self.name}" if self.rule == VALUE else f"{self.rule.replace('-', ' ')} {self.excerpt}"

    @property
    def where(self) -> str:
        spot = f"{self.file}, line {self.line}, column {self.column}"
        if self.place == "history":
            return f"{spot}, of commit {self.commit[:10]}"
        return f"{spot}, which browsers get from {self.service}" if self.place == "bundle" else spot


@dataclass(frozen=True)
class Verdict:
    """Findings by what they mean: `stops` the deploy, is only `told`, is `allowed` by golive.toml."""

    stops: tuple[Finding, ...] = ()
    told: tuple[Finding, ...] = ()
    allowed: tuple[Finding, ...] = ()


def judge(findings: Iterable[Finding], allow: Sequence[Allowed]) -> Verdict:
    """What stops a deploy: the app's own values wherever they stand, and shapes of tokens outside of tests. Pure."""
    stops: list[Finding] = []
    told: list[Finding] = []
    allowed: list[Finding] = []
    for finding in sorted(set(findings), key=lambda f: (PLACES.index(f.place), f.file, f.line, f.column, f.commit)):
        if any(_fits(entry, finding) for entry in allow):
            allowed.append(finding)
        elif finding.mild or (finding.rule != VALUE and finding.place in PLACES[:2] and _TESTS.search(finding.file)):
            told.append(finding)
        else:
            stops.append(finding)
    return Verdict(tuple(stops), tuple(told), tuple(allowed))


def _fits(entry: Allowed, finding: Finding) -> bool:
    from pathspec import GitIgnoreSpec

    if not (entry.fingerprint or entry.path or entry.rule):
        return False
    path = entry.path is None or GitIgnoreSpec.from_lines([entry.path]).match_file(finding.file.lstrip("/"))
    return path and entry.fingerprint in (None, finding.fingerprint) and entry.rule in (None, finding.rule)


def fingerprint(rule: str, secret: str) -> str:
    """Names a secret without telling it: the shapes have far more than 64 bits, so the value cannot be guessed back."""
    return hashlib.sha256(f"{rule}\0{secret}".encode(errors="surrogateescape")).hexdigest()[:12]


def excerpt(secret: str) -> str:
    """Its beginning, as much as says what it is, and its length."""
    first = secret.strip().splitlines()[0] if secret.strip() else ""
    shown = first if first.startswith("-----BEGIN") and first.endswith("-----") else first[: min(8, len(first) // 4)]
    return f"{shown}… ({len(secret)} characters)"
