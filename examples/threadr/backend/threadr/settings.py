"""What the environment says, read once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limits:
    """Threads a client may make in a calendar day and a calendar month, UTC."""

    daily: int
    monthly: int


@dataclass(frozen=True)
class Settings:
    """`repr` shows no field that holds a password or key."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    redis_prefix: str
    openai_api_key: str = field(repr=False)
    openai_base_url: str
    openai_model: str
    openai_timeout: float
    stripe_webhook_secret: str = field(repr=False)
    cors_origins: tuple[str, ...]
    free: Limits
    premium: Limits
    log_level: str
    release: str
    quota_store: str

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Exits with one sentence when a variable cannot be used."""
        return cls(
            database_url=env.get("DATABASE_URL", "postgresql:///threadr"),
            redis_url=env.get("REDIS_URL", "redis://127.0.0.1:6379/0"),
            redis_prefix=env.get("REDIS_PREFIX", "threadr:"),
            openai_api_key=env.get("OPENAI_API_KEY", ""),
            openai_base_url=(env.get("OPENAI_BASE_URL") or "https://api.openai.com/v1").rstrip("/"),
            openai_model=env.get("OPENAI_MODEL", "gpt-4o-mini"),
            openai_timeout=_number(env, "OPENAI_TIMEOUT", 30),
            stripe_webhook_secret=env.get("STRIPE_WEBHOOK_SECRET", ""),
            cors_origins=_origins(env.get("CORS_ORIGINS", "")),
            free=Limits(int(_number(env, "RATE_LIMIT_DAILY", 5)), int(_number(env, "RATE_LIMIT_MONTHLY", 20))),
            premium=Limits(
                int(_number(env, "PREMIUM_LIMIT_DAILY", 100)), int(_number(env, "PREMIUM_LIMIT_MONTHLY", 1000))
            ),
            log_level=env.get("LOG_LEVEL", "info").upper(),
            release=env.get("GOLIVE_RELEASE", ""),
            quota_store=env.get("QUOTA_STORE", "redis"),
        )

    def limits(self, plan: str) -> Limits:
        return self.premium if plan == "premium" else self.free


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        raise SystemExit(f"threadr: {name} has to be a number, not {text!r}") from None
    if value <= 0:
        raise SystemExit(f"threadr: {name} has to be above 0, not {text!r}")
    return value


def _origins(text: str) -> tuple[str, ...]:
    """A JSON list or a comma-separated one; browsers send origins without the trailing slash."""
    listed = json.loads(text) if text.lstrip().startswith("[") else text.split(",")
    return tuple(origin.strip().rstrip("/") for origin in listed if origin.strip())
