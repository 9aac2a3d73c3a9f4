"""Stripe's webhook: who paid gets the premium plan.

Signatures after https://docs.stripe.com/webhooks#verify-manually: `Stripe-Signature: t=<unix>,v1=<hex>[,v1=<hex>…]`,
each v1 an HMAC-SHA256 of `<t>.<body>` (two of them while a secret is being rolled).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import time
from typing import Any

from fastapi import APIRouter, HTTPException, Request

from threadr.services import Running
from threadr.store import PlanChange

router = APIRouter(prefix="/api/stripe")
log = logging.getLogger("threadr.billing")
TOLERANCE = 300
_LARGEST = 256 * 1024
_CLIENT = re.compile(r"[0-9a-f]{32}")


class BadSignature(Exception):
    """Why a webhook is not believed."""


def verify(body: bytes, header: str, secret: str, now: float) -> None:
    """Return when one of the signatures is right and its time is within TOLERANCE seconds; BadSignature else."""
    parts = [tuple(part.strip().split("=", 1)) for part in header.split(",") if "=" in part]
    times = [value for key, value in parts if key == "t"]
    signatures = [value for key, value in parts if key == "v1"]
    if len(times) != 1 or not re.fullmatch(r"[0-9]{1,12}", times[0]) or not signatures:
        raise BadSignature("Stripe-Signature needs one t and at least one v1")
    expected = hmac.new(secret.encode(), f"{times[0]}.".encode() + body, hashlib.sha256).hexdigest().encode()
    # All of them are compared, each in constant time, so that the answer's time tells nothing.
    matches = [hmac.compare_digest(expected, given.encode()) for given in signatures]
    if not any(matches):
        raise BadSignature("no signature matches")
    if abs(now - int(times[0])) > TOLERANCE:
        raise BadSignature(f"the timestamp is more than {TOLERANCE} s away")


def meaning(event: dict[str, Any]) -> PlanChange | None:
    """What an event changes; None for the many kinds that change nothing here."""
    kind, about = event.get("type"), (event.get("data") or {}).get("object") or {}
    if kind == "checkout.session.completed" and about.get("payment_status") != "unpaid":
        client = str(about.get("client_reference_id") or "")
        if _CLIENT.fullmatch(client):
            return PlanChange("premium", client=client, customer=about.get("customer"))
    if kind == "customer.subscription.deleted" and about.get("customer"):
        return PlanChange("free", customer=str(about["customer"]))
    return None


@router.post("/webhook")
async def webhook(request: Request, services: Running) -> dict[str, bool]:
    """Always 200 for an event that is genuine, so that Stripe stops sending it; `applied` is false the second time."""
    secret = services.settings.stripe_webhook_secret
    if not secret:
        raise HTTPException(503, "STRIPE_WEBHOOK_SECRET is not set.")
    event = _genuine(await _body(request), request.headers.get("stripe-signature", ""), secret)
    applied = await services.store.change_plan(event["id"], str(event.get("type", "")), meaning(event))
    log.info("stripe event", extra={"fields": {"event": event["id"], "type": event.get("type"), "applied": applied}})
    return {"received": True, "applied": applied}


async def _body(request: Request) -> bytes:
    """Read up to the limit: this path takes bytes from anyone."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST:
            raise HTTPException(413, f"An event is at most {_LARGEST // 1024} KiB.")
    return body


def _genuine(body: bytes, signature: str, secret: str) -> dict[str, Any]:
    try:
        verify(body, signature, secret, time.time())
        event: Any = json.loads(body)
    except (BadSignature, ValueError) as error:
        log.warning("stripe webhook refused: %s", error)
        raise HTTPException(400, "The webhook's signature or body is not right.") from None
    if not isinstance(event, dict) or not isinstance(event.get("id"), str):
        raise HTTPException(400, "The webhook's body is not an event.")
    return event
