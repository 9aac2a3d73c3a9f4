"""`[edge.csp]` of golive.toml: the Content-Security-Policy as lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from golive.blueprint.fields import Model

BASE: Final[Mapping[str, tuple[str, ...]]] = {
    "default-src": ("'self'",),
    "img-src": ("'self'", "data:"),
    "object-src": ("'none'",),
    "base-uri": ("'self'",),
    "form-action": ("'self'",),
    "frame-ancestors": ("'none'",),
}
"""What holds of a directive that is not given. CSP Level 3, W3C."""
FETCH: Final = ("script", "style", "img", "font", "connect", "media", "frame", "worker", "manifest", "child", "object")
NAMES: Final = (
    *(f"{kind}-src" for kind in ("default", *FETCH)),
    *(f"{kind}-src-{part}" for kind in ("script", "style") for part in ("elem", "attr")),
    *("base-uri", "form-action", "frame-ancestors", "report-to", "report-uri", "sandbox"),
    *("upgrade-insecure-requests", "require-trusted-types-for", "trusted-types"),
)
EMPTY: Final = ("sandbox", "upgrade-insecure-requests")
"""Directives that say something without a list."""
KEYWORDS: Final = (
    *("self", "none", "unsafe-inline", "unsafe-eval", "unsafe-hashes", "strict-dynamic", "wasm-unsafe-eval"),
    *("report-sample", "inline-speculation-rules", "script"),
)


def _source(value: str) -> str:
    if not value or any(c in ";," or not 33 <= ord(c) < 127 for c in value):
        raise ValueError("must be one source, without spaces, `;` and `,`")
    return value


class Csp(Model):
    """Content-Security-Policy: which sources pages may load from. What the application sends itself goes first."""

    directives: dict[str, tuple[Annotated[str, AfterValidator(_source)], ...]] = Field(
        {},
        description="Directive → sources, in place of golive's own of that name; `[]` leaves it out. Keywords have "
        "their quotes: `[\"'self'\"]`.",
    )
    report_only: bool = Field(
        False, description="Browsers report what they would refuse, and refuse nothing but what they did before."
    )
    hashes: bool = Field(True, description="Scripts inside pages of static services may run: by their hashes.")

    def with_scripts(self, hashes: tuple[str, ...]) -> Csp:
        """The policy with hashes of scripts; as it is where every inline script may run, which a hash would end."""
        said = {**BASE, **self.directives}
        allowed = said.get("script-src") or said.get("default-src") or ()
        if not hashes or not allowed or "'unsafe-inline'" in allowed:
            return self
        listed = (*(source for source in allowed if source != "'none'"), *hashes)
        return self.model_copy(update={"directives": {**self.directives, "script-src": tuple(dict.fromkeys(listed))}})

    def text(self) -> str:
        """The header's value."""
        said = {**BASE, **self.directives}
        return "; ".join(" ".join((name, *said[name])) for name in NAMES if said.get(name) or _is_bare(name, said))


def _is_bare(name: str, said: Mapping[str, tuple[str, ...]]) -> bool:
    return name in EMPTY and name in said


def faults_of(csp: Csp) -> Iterator[tuple[tuple[str | int, ...], str, str | None]]:
    """Path below the policy, what is wrong, and a hint."""
    for name, sources in csp.directives.items():
        if name not in NAMES:
            yield (name,), f"there is no directive `{name}`", "such as `script-src`; names are those of the standard"
            continue
        for index, source in enumerate(sources):
            bare = source.strip("'")
            if bare.lower() in KEYWORDS and source != f"'{bare}'" and name != "sandbox":
                yield (name, index), f"`{source}` would be the name of a host", f"the keyword is written `\"'{bare}'\"`"
            elif bare.startswith("nonce-"):
                yield (name, index), "a nonce has to be new for each page", "the application sends its own policy then"
        if "'none'" in sources and len(sources) > 1:
            yield (name,), "`'none'` stands alone", None
