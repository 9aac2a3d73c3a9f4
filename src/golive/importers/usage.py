"""Which environment variables the code reads: looked for in its text, never run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from golive.blueprint.checkout import Checkout, join

MAX_FILES = 3000
MAX_BYTES = 300_000

_SUFFIXES = {".py": "python", ".go": "go"} | dict.fromkeys(
    (".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx", ".mts", ".vue", ".svelte", ".astro"), "script"
)
_NAME = r"([A-Z][A-Z0-9_]{1,80})"
_PATTERNS: dict[str, tuple[tuple[re.Pattern[str], bool], ...]] = {
    "python": (
        (re.compile(rf"""\bos\.environ\[\s*["']{_NAME}["']\s*\](?!\s*=[^=])"""), True),
        (re.compile(rf"""\benviron\[\s*["']{_NAME}["']\s*\](?!\s*=[^=])"""), True),
        (re.compile(rf"""\b(?:os\.)?(?:getenv|environ\.get|env\.get)\(\s*["']{_NAME}["']"""), False),
        (re.compile(rf"""\benv\[\s*["']{_NAME}["']\s*\](?!\s*=[^=])|\w\(env,\s*["']{_NAME}["']"""), False),
    ),
    "go": (
        (re.compile(rf"""\bos\.(?:Getenv|LookupEnv)\(\s*["`]{_NAME}["`]"""), False),
        (re.compile(rf"""`[^`\n]*\benv(?:config)?:"{_NAME}(?:,[^"]*)?"[^`\n]*`"""), False),
    ),
    "script": (
        (re.compile(rf"\bprocess\.env\.{_NAME}!"), True),
        (re.compile(rf"\b(?:process\.env|import\.meta\.env|Bun\.env)\.{_NAME}\b"), False),
        (re.compile(rf"""\b(?:process\.env|import\.meta\.env|Bun\.env)\[\s*["'`]{_NAME}["'`]\s*\]"""), False),
        (re.compile(rf"""\bDeno\.env\.get\(\s*["']{_NAME}["']"""), False),
    ),
}
_SETTINGS = re.compile(
    r"^class\s+\w+\(\s*(?:[\w.]+\s*,\s*)*(?:\w+\.)?BaseSettings\b[^\n]*\n((?:[ \t]+[^\n]*\n|[ \t]*\n)*)", re.M
)
_FIELD = re.compile(r"^(?:    |\t)([A-Za-z]\w*)\s*:\s*([^=\n#]+?)\s*(=\s*[^\n]*)?$", re.M)
_PREFIX = re.compile(r"""env_prefix\s*=\s*["']([A-Za-z0-9_]*)["']""")
_SCHEMA = re.compile(rf"^\s*{_NAME}\s*:\s*z\b([^\n]*(?:\n\s*\.[^\n]*)*)", re.M)
_OPTIONAL = re.compile(r"\.(?:optional|default|nullish|catch)\s*\(")
_NOT_THE_APPS = re.compile(
    r"(?:^|/)(?:tests?|__tests__|spec|e2e|fixtures|node_modules|vendor|docs?|\.next|dist|scripts)/|"
    r"(?:\.|_)(?:test|spec)\.|(?:^|/)(?:test_|conftest)|\.d\.ts$|(?:^|/)(?:playwright|vitest|jest)\.config"
)
AMBIENT = re.compile(
    r"PATH|HOME|USER|SHELL|TERM|LANG|LC_\w+|TZ|PWD|TMPDIR|EDITOR|HOSTNAME|CI|DEBUG|NO_COLOR|FORCE_COLOR|NODE_ENV|NODE_OPTIONS|"
    r"NEXT_RUNTIME|NEXT_PHASE|ANALYZE|PYTHON\w+|VIRTUAL_ENV|GOPATH|GOROOT|npm_\w+|PORT|HOST|MODE|DEV|PROD|SSR|BASE_URL|GRPC_PORT|"
    r"(?:VERCEL|RAILWAY|RENDER|FLY|HEROKU|DYNO|NETLIFY|GITHUB|CODESPACE|GOLIVE|KUBERNETES|AWS_LAMBDA|JEST|VITEST|PM2)(?:_\w+)?|"
    r"DJANGO_SETTINGS_MODULE|ENVIRONMENT|SKIP_ENV_VALIDATION|SENTRY_RELEASE"
)
"""Given by the machine, the framework or another platform."""


@dataclass(frozen=True)
class Usage:
    """A variable the code reads. `required`: it plainly cannot do without."""

    name: str
    required: bool
    file: str


def used_variables(checkout: Checkout, folder: str = ".") -> dict[str, Usage]:
    """By name, the first place that reads it; required when any place is."""
    found: dict[str, Usage] = {}
    scanned = 0
    for file in checkout.below(folder):
        language = _SUFFIXES.get("." + file.rpartition(".")[2])
        if language is None or _NOT_THE_APPS.search(file):
            continue
        scanned += 1
        if scanned > MAX_FILES:
            break
        text = checkout.read(join(folder, file)) or ""
        for name, required in _in_text(text[:MAX_BYTES], language):
            before = found.get(name)
            if before is None or (required and not before.required):
                found[name] = Usage(name, required, before.file if before else join(folder, file))
    return {name: usage for name, usage in sorted(found.items()) if not AMBIENT.fullmatch(name)}


def _in_text(text: str, language: str) -> Iterator[tuple[str, bool]]:
    for pattern, required in _PATTERNS[language]:
        for match in pattern.finditer(text):
            yield next(name for name in match.groups() if name), required
    if language == "python" and "BaseSettings" in text:
        yield from _settings(text)
    if language == "script" and ("createEnv" in text or "process.env" in text) and re.search(r"\bz\.", text):
        for match in _SCHEMA.finditer(text):
            yield match[1], not _OPTIONAL.search(match[2])


def _settings(text: str) -> Iterator[tuple[str, bool]]:
    """Fields of pydantic settings; one without a default is required."""
    for block in _SETTINGS.finditer(text):
        prefix = found[1] if (found := _PREFIX.search(block[1])) else ""
        for field in _FIELD.finditer(block[1]):
            if field[1] in ("model_config", "Config") or field[1].startswith("_") or "ClassVar" in field[2]:
                continue
            alias = re.search(r"""(?:validation_alias|alias|env)\s*=\s*["'](\w+)["']""", field[3] or "")
            name = alias[1].upper() if alias else (prefix + field[1]).upper()
            plain = field[3] is None or bool(re.match(r"=\s*Field\(\s*(?:\.\.\.|\w+\s*=(?!\s*None))", field[3]))
            has_default = field[3] is not None and bool(re.search(r"\bdefault(?:_factory)?\s*=", field[3]))
            yield name, plain and not has_default and "None" not in field[2]
