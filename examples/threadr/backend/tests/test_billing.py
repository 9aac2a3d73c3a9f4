from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

import httpx
import pytest

from conftest import SECRET
from servers import Api
from threadr.billing import BadSignature, meaning, verify


def sign(body: bytes, at: float, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), f"{int(at)}.".encode() + body, hashlib.sha256).hexdigest()


def send(api: Api, event: dict[str, Any], secret: str = SECRET, age: float = 0) -> httpx.Response:
    body, at = json.dumps(event).encode(), time.time() - age
    header = f"t={int(at)},v1={sign(body, at, secret)},v0=old"
    return httpx.post(f"{api.url}/api/stripe/webhook", content=body, headers={"Stripe-Signature": header})


def paid(event: str, client: str, customer: str) -> dict[str, Any]:
    about = {"client_reference_id": client, "customer": customer, "payment_status": "paid"}
    return {"id": event, "type": "checkout.session.completed", "data": {"object": about}}


def test_paying_upgrades_once_and_cancelling_ends_it(api: Api) -> None:
    with api.client() as browser:
        client = browser.get("/api/plan").json()["client"]
        event = paid("evt_1", client, "cus_1")
        assert send(api, event).json() == {"received": True, "applied": True}
        assert send(api, event).json() == {"received": True, "applied": False}
        plan = browser.get("/api/plan").json()
        assert (plan["plan"], plan["day"]["limit"], plan["month"]["limit"]) == ("premium", 100, 1000)
        send(api, {"id": "evt_2", "type": "customer.subscription.deleted", "data": {"object": {"customer": "cus_1"}}})
        assert browser.get("/api/plan").json()["plan"] == "free"
        assert send(api, event).json()["applied"] is False
        assert browser.get("/api/plan").json()["plan"] == "free"


def test_paying_again_from_another_browser_moves_the_plan(api: Api) -> None:
    with api.client() as one, api.client() as other:
        first, second = (browser.get("/api/plan").json()["client"] for browser in (one, other))
        send(api, paid("evt_3", first, "cus_2"))
        send(api, paid("evt_4", second, "cus_2"))
        assert one.get("/api/plan").json()["plan"] == "free"
        assert other.get("/api/plan").json()["plan"] == "premium"


def test_what_is_not_genuine_changes_nothing(api: Api) -> None:
    with api.client() as browser:
        event = paid("evt_5", browser.get("/api/plan").json()["client"], "cus_3")
        assert send(api, event, secret="whsec_wrong").status_code == 400
        assert send(api, event, age=400).status_code == 400
        assert httpx.post(f"{api.url}/api/stripe/webhook", json=event).status_code == 400
        assert browser.get("/api/plan").json()["plan"] == "free"


def test_odd_events_are_taken_and_do_nothing(api: Api) -> None:
    for n, event in enumerate([{"type": "invoice.paid"}, {"type": "x", "data": None}, paid("", "not-a-client", "c")]):
        assert send(api, {**event, "id": f"evt_odd_{n}"}).json()["applied"] is True
    assert send(api, {"type": "no id"}).status_code == 400
    assert httpx.post(f"{api.url}/api/stripe/webhook", content=b"x" * 300_000).status_code == 413


def test_unpaid_checkouts_wait() -> None:
    event = paid("evt_6", "0" * 32, "cus_4")
    assert meaning(event) is not None
    event["data"]["object"]["payment_status"] = "unpaid"
    assert meaning(event) is None


def test_any_of_several_signatures_is_enough() -> None:
    body, now = b'{"id": "x"}', 1_700_000_000.0
    verify(body, f"t={int(now)},v1={'0' * 64},v1={sign(body, now)}", SECRET, now)
    verify(body, f"t={int(now)},v1={sign(body, now)}", SECRET, now + 299)


@pytest.mark.parametrize(
    "header",
    ["", "t=1", "v1=aa", "t=x,v1=aa", "t=1,t=2,v1=aa", "t=,v1=", "t=-1,v1=aa", "t=1,v1=ü", "t=" + "9" * 5000 + ",v1=a"],
)
def test_headers_that_are_no_signature(header: str) -> None:
    with pytest.raises(BadSignature):
        verify(b"{}", header, SECRET, 1.0)
