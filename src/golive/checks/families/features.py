"""What the app is for: only its own requests show that it works. Whether it has such a thing is read from what it is
made of, so that nothing is passed over as if it were not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from golive.checks.app import App
from golive.checks.model import Evidence, Family, Outcome, could_not_tell, not_applicable
from golive.checks.requests import answered

family = Family("features", "Whether what people come for works: only your own requests can show it.")
_MANIFESTS = ("package.json", "requirements.txt", "pyproject.toml", "go.mod")
_LARGEST = 500_000
"""Bytes of a manifest that are read."""


@dataclass(frozen=True)
class Feature:
    """How one is known: by words in a request's name, by names of variables, and by libraries."""

    name: str
    words: re.Pattern[str]
    variables: re.Pattern[str]
    libraries: re.Pattern[str]


SIGN_IN = Feature(
    "sign-in",
    re.compile(r"sign|log.?in|auth|session|account", re.I),
    re.compile(r"(^|_)(JWT|SESSION|NEXTAUTH|AUTH|OAUTH|CLERK)(_|$)"),
    re.compile(r"next-auth|better-auth|passport|lucia|@clerk/|golang-jwt|pyjwt|python-jose|authlib|django-allauth"),
)
MAIL = Feature(
    "mail",
    re.compile(r"mail|smtp|message", re.I),
    re.compile(r"(^|_)(SMTP|MAIL|MAILGUN|SENDGRID|RESEND|POSTMARK|EMAIL_(HOST|SERVER|API_KEY))(_|$)"),
    re.compile(r"nodemailer|\bresend\b|@sendgrid|sendgrid-go|postmark|aiosmtplib|gomail|mailgun"),
)
UPLOADS = Feature(
    "uploads",
    re.compile(r"upload|file|image|photo|attach", re.I),
    re.compile(r"(^|_)(S3|R2|BUCKET|UPLOAD|UPLOADS|UPLOADTHING|CLOUDINARY|BLOB)(_|$)"),
    re.compile(r"multer|formidable|busboy|uploadthing|client-s3|python-multipart|cloudinary|minio-go"),
)
SEARCH = Feature(
    "search",
    re.compile(r"search|find|query", re.I),
    re.compile(r"(^|_)(ALGOLIA|MEILI|MEILISEARCH|TYPESENSE|ELASTIC|ELASTICSEARCH|OPENSEARCH|SEARCH)(_|$)"),
    re.compile(r"algoliasearch|meilisearch|typesense|elasticsearch|opensearch|lunr|flexsearch"),
)
MODEL = Feature(
    "the model",
    re.compile(r"\bai\b|model|openai|gemini|anthropic|claude|\bllm\b|vendor", re.I),
    re.compile(r"^(OPENAI|GEMINI|ANTHROPIC|MISTRAL|GROQ|COHERE|DEEPSEEK|OPENROUTER|GOOGLE_AI)_.*KEY$"),
    re.compile(r"^$"),
)


@family.app(
    "sign-in",
    "Signing in works",
    "Whoever cannot sign in leaves, and writes to nobody.",
    answers="rt-apps.19",
)
async def sign_in(app: App) -> Outcome:
    return await _shown(app, SIGN_IN)


@family.app(
    "mail",
    "E-mail goes out",
    "Confirmations that never come look like a site that is broken.",
    answers="rt-apps.22",
)
async def mail(app: App) -> Outcome:
    return await _shown(app, MAIL)


@family.app(
    "uploads",
    "Uploads work",
    "A limit, a missing folder or a bucket's rights are met by visitors first.",
    answers="rt-apps.23",
)
async def uploads(app: App) -> Outcome:
    return await _shown(app, UPLOADS)


@family.app(
    "search",
    "Search works",
    "An empty index answers 200, and nothing.",
    answers="rt-apps.24",
)
async def search(app: App) -> Outcome:
    return await _shown(app, SEARCH)


@family.app(
    "model",
    "The language model's key works",
    "A key that is wrong or used up is seen when the first visitor waits.",
    answers="datifyy.6",
)
async def model(app: App) -> Outcome:
    rows = [row for row in await app.variables() if MODEL.variables.search(row["name"])]
    if rows and all(row["value"] is None for row in rows):
        lines = "\n".join(f"{row['name']}: {row['origin']}, no value" for row in rows)
        return not_applicable(f"{rows[0]['name']} has no value: it goes without", app.said("env", lines))
    return await _shown(app, MODEL)


async def _shown(app: App, feature: Feature) -> Outcome:
    """By the requests that bear its name; without any, whether there is a sign that the app has such a thing."""
    wanted = [one for one in app.blueprint.checks.requests if feature.words.search(one.name)]
    if wanted and app.site is not None:
        return await answered(app.site, wanted)
    signs = [f"{name}, a variable" for name in app.blueprint.env if feature.variables.search(name)]
    seen = ["variables of golive.toml"]
    for file, text in _manifests(app):
        seen.append(file)
        signs += [f"{found[0]} in {file}" for found in [feature.libraries.search(text)] if found and found[0]]
    looked = Evidence("looked for in " + ", ".join(seen), "\n".join(signs) or "no sign of it")
    if not signs:
        return not_applicable(f"no sign of {feature.name} in it", looked)
    fix = f'name a request that shows it: [[checks.requests]] name = "{feature.name}", path, status, contains'
    return could_not_tell(f"it is there ({signs[0]}), and no request of golive.toml shows it", looked, fix=fix)


def _manifests(app: App) -> Iterator[tuple[str, str]]:
    """What names the libraries of each service, as far as the checkout is there."""
    if app.checkout is None:
        return
    for folder in dict.fromkeys(service.source for service in app.blueprint.services.values() if service.source):
        for name in _MANIFESTS:
            file = app.checkout / folder / name
            text = _text(file)
            if text is not None:
                yield str(Path(folder) / name), text


def _text(file: Path) -> str | None:
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            return opened.read(_LARGEST)
    except OSError:
        return None
