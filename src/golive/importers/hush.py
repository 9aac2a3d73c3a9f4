"""Which values are secrets, and how a value is shown in a report: briefly, and never when it may be one."""

from __future__ import annotations

import re
from typing import Any

_SECRET_NAME = re.compile(
    r"(?:^|[_-])(?:SECRETS?|TOKENS?|PASS|PASSWD|PASSWORDS?|PASSPHRASE|PWD|PW|CREDENTIALS?|PRIVATE|SALT|PEPPER|DSN|"
    r"CERT|WEBHOOK|AUTH|JWT|SESSION|COOKIE|ENCRYPTION|SIGNING)(?:$|[_-])|KEYS?(?:$|[_-])|KEY_BASE|APIKEY|"
    r"SECRET|PASSWORD|TOKEN$",
    re.IGNORECASE,
)
_PLAIN_NAME = re.compile(
    r"(?:^|_)(?:PUBLIC|PUBLISHABLE)(?:_|$)|(?:_|^)(?:TTL|EXPIRY|EXPIRES?(?:_IN)?|LIFETIME|MAX_AGE|LENGTH|NAME|HEADER|"
    r"ALGORITHM|ISSUER|AUDIENCE|ENABLED|DOMAIN|HOST|PORT|URL|URI|TYPE|PROVIDER|METHOD|ROUNDS|LIMIT|MINUTES|SECONDS|"
    r"HOURS|DAYS|ENDPOINT|REDIRECT|SECURE|FILE|PATH)$|^TRUST_",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"-----BEGIN|\b(?:sk|pk|rk|whsec|xox[abprs]|gh[opsu]|glpat|shpat|npm|SG|AKIA|ASIA|AIza|ya29|hvs|dop_v1|ey)"
    r"[-_A-Za-z0-9.]{16,}|[a-z][a-z0-9+.-]*://[^/\s:@]*:[^@\s/]+@",
    re.IGNORECASE,
)
_FLAGGED = re.compile(
    r"(?:--?|\b)(?:require-?pass|pass(?:word|wd)?|secret|token|api[-_]?key|[A-Z_]*(?:PASSWORD|SECRET|TOKEN|API_?KEY))"
    r"(?:[= ]+|:\s*)(?!\$)[\"']?[^\s\"'$-]",
    re.IGNORECASE,
)
_OWN = re.compile(
    r"(?:[A-Z0-9]+_){0,3}(?:SECRET|SECRET_KEY|SECRET_KEY_BASE|SALT|PEPPER)|APP_KEY|ENCRYPTION_KEY|SIGNING_KEY"
)
_THEIRS = re.compile(
    r"(?:^|_)(?:ACCESS_KEY|ADYEN|AIRTABLE|API|APPLE|AUTH0|AWS|AZURE|CLERK|CLIENT|CLOUDINARY|CONSUMER|DISCORD|DROPBOX|"
    r"FACEBOOK|FIREBASE|GCP|GITHUB|GITLAB|GOOGLE|HUBSPOT|INTERCOM|KEYCLOAK|LINKEDIN|MAILGUN|MINIO|MUX|NOTION|OAUTH|OIDC|"
    r"OKTA|PADDLE|PAYPAL|PLAID|POLAR|POSTHOG|PUSHER|R2|RAZORPAY|RECAPTCHA|S3|SENTRY|SHOPIFY|SLACK|SPOTIFY|STRIPE|"
    r"SUPABASE|SVIX|TURNSTILE|TWILIO|TWITTER|UPLOADTHING|WEBHOOK|ZOOM|HCAPTCHA)(?:_|$)"
)
MAX_SHOWN = 60
MAX_SEARCHED = 4000


def is_secret(name: str, value: Any = None) -> bool:
    """Whether a variable of this name, or with this value, is kept out of golive.toml."""
    if isinstance(value, str) and (len(value) > MAX_SEARCHED or _SECRET_VALUE.search(value)):
        return True
    if _PLAIN_NAME.search(name):
        return False
    return bool(_SECRET_NAME.search(name))


def is_own_secret(name: str) -> bool:
    """A secret that only the app itself has to know, such as what signs its sessions: golive can make one."""
    upper = name.upper()
    return bool(_OWN.fullmatch(upper)) and not _THEIRS.search(upper)


def holds_secret(text: str) -> bool:
    """Whether a command or other text has a credential written into it."""
    if len(text) > MAX_SEARCHED:
        return True  # nobody writes such a command by hand, and searching it could take long
    return bool(_SECRET_VALUE.search(text) or _FLAGGED.search(text))


def summary(path: tuple[str | int, ...], value: Any) -> str:
    """A value in a few words. What stands under a variable's table is not shown at all: it may be anything."""
    if isinstance(value, dict):
        keys = ", ".join(str(key) for key in list(value)[:4])
        return f"{len(value)} keys: {keys}{' …' if len(value) > 4 else ''}"[: MAX_SHOWN * 2] if value else "{}"
    if isinstance(value, list):
        return f"{len(value)} entries" if value else "[]"
    if isinstance(value, str):
        words = [str(part) for part in path]
        hidden = any(w.lower() in ("env", "environment", "variables", "envvars", "args") for w in words[:-1])
        if hidden or is_secret(words[-1] if words else "", value) or holds_secret(value) or "REDACTED" in value:
            return "(not shown)" if value else '""'
        line = "".join(c if c.isprintable() else " " for c in value)
        return line if len(line) <= MAX_SHOWN else line[: MAX_SHOWN - 1] + "…"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false"}.get(bool(value), "") if value is not None else "null"
    return str(value)[:MAX_SHOWN]
