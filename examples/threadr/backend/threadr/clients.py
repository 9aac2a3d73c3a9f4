"""Who asks: an anonymous browser, known by a random cookie."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Annotated

from fastapi import Depends, Request, Response
from starlette.requests import HTTPConnection

COOKIE = "threadr_client"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")


def known(connection: HTTPConnection) -> str | None:
    """The client's id, a digest of its cookie: what is stored, logged or sent to Stripe opens no thread."""
    token = connection.cookies.get(COOKIE, "")
    return _digest(token) if _TOKEN.fullmatch(token) else None


def current(request: Request, response: Response) -> str:
    """The client's id; a browser without a usable cookie gets one."""
    if client := known(request):
        return client
    token = secrets.token_urlsafe(24)
    secure = request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
    response.set_cookie(COOKIE, token, max_age=365 * 86400, httponly=True, samesite="lax", secure=secure)
    return _digest(token)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:32]


Client = Annotated[str, Depends(current)]
