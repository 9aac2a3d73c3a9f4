"""Which environment variables the code reads: looked for in its text, never run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from golive.blueprint.checkout import Checkout, join
from golive.importers.reads_python import reads_in_python
from golive.importers.report import Table
from golive.importers.schemas import schema_entries

MAX_FILES = 3000
MAX_BYTES = 300_000

_SUFFIXES = {".py": "python", ".go": "go", ".prisma": "prisma"} | dict.fromkeys(
    (".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx", ".mts", ".vue", ".svelte", ".astro"), "script"
)
_NAME = r"(?P<name>[A-Z][A-Z0-9_]{1,80})"
_LITERAL = r"""(?P<default>"[^"\\\n]*"|'[^'\\\n]*'|-?\d+(?:\.\d+)?\b(?![\w.*])|true\b|false\b|True\b|False\b)"""
_SECOND = rf"(?:\s*,\s*(?:default\s*=\s*|fallback\s*=\s*)?{_LITERAL}\s*,?\s*\))?"
_OTHERWISE = rf"(?:\s*(?:\|\||\?\?)\s*{_LITERAL})?"
_PATTERNS: dict[str, tuple[tuple[re.Pattern[str], bool], ...]] = {
    "python": (
        (re.compile(rf"""\b(?:os\.)?environ\[\s*["']{_NAME}["']\s*\](?!\s*=[^=])"""), True),
        (re.compile(rf"""\b(?:os\.)?(?:getenv|environ\.get|env\.get)\(\s*["']{_NAME}["']{_SECOND}"""), False),
        (re.compile(rf"""\benv\[\s*["']{_NAME}["']\s*\](?!\s*=[^=])"""), False),
        (re.compile(rf"""\w\(env,\s*["']{_NAME}["']{_SECOND}"""), False),
        (re.compile(rf"""\b(?:env|config)(?:\.(?:str|int|bool|float|url))?\(\s*["']{_NAME}["']{_SECOND}"""), False),
    ),
    "go": (
        (re.compile(rf"""\bos\.(?:Getenv|LookupEnv)\(\s*["`]{_NAME}["`]"""), False),
        (re.compile(rf"""\b\w*[eE]nv\w*\(\s*"{_NAME}"{_SECOND}"""), False),
        (re.compile(rf"""`[^`\n]*\benv(?:config)?:"{_NAME}(?:,[^"]*)?"[^`\n]*`"""), False),
    ),
    "prisma": ((re.compile(rf"""\benv\(\s*"{_NAME}"\s*\)"""), False),),
    "script": (
        (re.compile(rf"\bprocess\.env\.{_NAME}!"), True),
        (re.compile(rf"\b(?:process\.env|import\.meta\.env|Bun\.env)\.{_NAME}\b{_OTHERWISE}"), False),
        (
            re.compile(rf"""\b(?:process\.env|import\.meta\.env|Bun\.env)\[\s*["'`]{_NAME}["'`]\s*\]{_OTHERWISE}"""),
            False,
        ),
        (re.compile(rf"""\bDeno\.env\.get\(\s*["']{_NAME}["']"""), False),
    ),
}
_LOOKED_UP = re.compile(r"\bos\.(?:LookupEnv|Getenv)\b|\b(?:lookup|getenv|env)\s+func\(string\)")
_READER = re.compile(rf"""\b\w+\.[a-zA-Z]\w*\(\s*"{_NAME}"{_SECOND}""")
"""A method of a reader of one's own: `r.number("WORKERS", 4)`."""
_SETTINGS = re.compile(
    r"^class\s+\w+\(\s*(?:[\w.]+\s*,\s*)*(?:\w+\.)?BaseSettings\b[^\n]*\n((?:[ \t]+[^\n]*\n|[ \t]*\n)*)", re.M
)
_FIELD = re.compile(r"^(?:    |\t)([A-Za-z]\w*)\s*:\s*([^=\n#]+?)\s*(=\s*[^\n]*)?$", re.M)
_PREFIX = re.compile(r"""env_prefix\s*=\s*["']([A-Za-z0-9_]*)["']""")
_SCHEMAS = re.compile(r"""["']zod(?:/[\w-]+)?["']""")
_ABOUT_ENV = re.compile(r"createEnv|process\.env|import\.meta\.env")
_NAMED_ENV = re.compile(r"(?:^|[/._-])(?:env|environment|config|settings)(?:[/._-]|$)", re.IGNORECASE)
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
    """A variable the code reads. `required`: it plainly cannot do without. `entry` is what the code says it must be:
    `type`, `values`, `default`."""

    name: str
    required: bool
    file: str
    entry: Table = field(default_factory=dict)


def used_variables(checkout: Checkout, folder: str = ".") -> dict[str, Usage]:
    """By name, the first place that reads it; required when any place is, and typed by the place that says most."""
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
        for usage in _in_text(text[:MAX_BYTES], language, join(folder, file)):
            found[usage.name] = _together(found.get(usage.name), usage)
    return {name: usage for name, usage in sorted(found.items()) if not AMBIENT.fullmatch(name)}


def _together(before: Usage | None, usage: Usage) -> Usage:
    if before is None:
        return usage
    fuller = usage if len(usage.entry) > len(before.entry) else before
    return Usage(usage.name, before.required or usage.required, fuller.file, fuller.entry)


def _in_text(text: str, language: str, file: str) -> Iterator[Usage]:
    for pattern, required in _PATTERNS[language]:
        for match in pattern.finditer(text):
            given = match.groupdict().get("default")
            yield Usage(match["name"], required, file, _given(given) if given else {})
    if language == "go" and _LOOKED_UP.search(text) and _NAMED_ENV.search(file):
        for match in _READER.finditer(text):
            said = match["default"] or ""  # a number there may be a limit
            yield Usage(match["name"], False, file, _given(said) if said.startswith('"') else {})
    if language == "python" and "BaseSettings" in text:
        for name, required, entry in _settings(text):
            yield Usage(name, required, file, entry)
    if language == "python":  # what its syntax tree shows besides: an alias, an inherited prefix, another name for it
        for name, _ in reads_in_python(text):
            yield Usage(name, False, file)
    if (
        language == "script"
        and ("createEnv" in text or _SCHEMAS.search(text))
        and (_ABOUT_ENV.search(text) or _NAMED_ENV.search(file))
    ):
        for name, entry in schema_entries(text):
            yield Usage(name, "default" not in entry and entry.get("required", True), file, entry)


def _given(literal: str) -> Table:
    """The default that the code itself falls back on."""
    if literal[0] in "\"'":
        return {"default": literal[1:-1]} if literal[1:-1] else {}
    if literal.lower() in ("true", "false"):
        return {"type": "bool", "default": literal.lower() == "true"}
    return {"type": "float", "default": float(literal)} if "." in literal else {"type": "int", "default": int(literal)}


_FIELD_TYPES = {"int": "int", "float": "float", "bool": "bool", "AnyUrl": "url", "HttpUrl": "url", "AnyHttpUrl": "url"}


def _settings(text: str) -> Iterator[tuple[str, bool, Table]]:
    """Fields of pydantic settings; one without a default is required."""
    for block in _SETTINGS.finditer(text):
        prefix = found[1] if (found := _PREFIX.search(block[1])) else ""
        for field_ in _FIELD.finditer(block[1]):
            if field_[1] in ("model_config", "Config") or field_[1].startswith("_") or "ClassVar" in field_[2]:
                continue
            alias = re.search(r"""(?:validation_alias|alias|env)\s*=\s*["'](\w+)["']""", field_[3] or "")
            name = alias[1].upper() if alias else (prefix + field_[1]).upper()
            plain = field_[3] is None or bool(re.match(r"=\s*Field\(\s*(?:\.\.\.|\w+\s*=(?!\s*None))", field_[3]))
            has_default = field_[3] is not None and bool(re.search(r"\bdefault(?:_factory)?\s*=", field_[3]))
            required = plain and not has_default and "None" not in field_[2]
            yield name, required, _field_entry(field_[2].strip(), field_[3])


def _field_entry(annotation: str, given: str | None) -> Table:
    known = next(
        (name for word, name in _FIELD_TYPES.items() if re.fullmatch(rf"{word}(?:\s*\|\s*None)?", annotation)), None
    )
    entry: Table = {"type": known} if known else {}
    literal = re.fullmatch(rf"=\s*(?:Field\(\s*(?:default\s*=\s*)?)?{_LITERAL}\s*(?:[,)].*)?", (given or "").strip())
    if literal and (said := _given(literal["default"])):
        entry |= {"default": said["default"]} if known else said
    return entry
