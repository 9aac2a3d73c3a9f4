"""The Content-Security-Policy made of lists."""

from __future__ import annotations

import pytest

from golive.blueprint.csp import Csp
from golive.blueprint.models import EdgePolicy
from golive.blueprint.sugar import expand
from golive.edge.headers import own_policies, response_headers


def headers(**policy: object) -> dict[str, tuple[str, str]]:
    made = response_headers(EdgePolicy.model_validate(policy), tls=True)["response_headers_to_add"]
    return {one["header"]["key"]: (one["header"]["value"], one["append_action"]) for one in made}


def test_what_is_given_stands_in_place_of_the_base() -> None:
    base = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'"
    assert Csp().text() == f"{base}; frame-ancestors 'none'"
    made = Csp(
        directives={
            "script-src": ("'self'", "https://js.stripe.com"),
            "img-src": (),
            "frame-ancestors": ("'self'",),
            "upgrade-insecure-requests": (),
        }
    )
    assert made.text() == (
        "default-src 'self'; script-src 'self' https://js.stripe.com; object-src 'none'; base-uri 'self'; "
        "form-action 'self'; frame-ancestors 'self'; upgrade-insecure-requests"
    )


def test_the_application_and_headers_by_name_go_first() -> None:
    plain = headers()
    assert headers(csp={})["content-security-policy"] == (Csp().text(), "ADD_IF_ABSENT")
    only = headers(csp={"report_only": True})
    assert only.pop("content-security-policy-report-only") == (Csp().text(), "ADD_IF_ABSENT")
    assert only == plain
    named = headers(csp={}, headers={"Content-Security-Policy": "sandbox"})
    assert named["content-security-policy"] == ("sandbox", "OVERWRITE_IF_EXISTS_OR_ADD")


@pytest.mark.parametrize(("written", "meant"), [(True, {}), (False, None)])
def test_true_is_the_base_alone(written: bool, meant: object) -> None:
    assert expand({"edge": {"csp": written}})["edge"]["csp"] == meant


def test_hashes_are_listed_where_they_allow_and_end_nothing() -> None:
    one = ("'sha256-x'",)
    assert "script-src 'self' 'sha256-x';" in Csp().with_scripts(one).text()
    none = Csp(directives={"script-src": ("'none'",)})
    assert "script-src 'sha256-x';" in none.with_scripts(one).text()
    for same in (Csp(directives={"script-src": ("'unsafe-inline'",)}), Csp(directives={"default-src": ()})):
        assert same.with_scripts(one) is same
    assert Csp().with_scripts(()) == Csp()


def test_a_service_has_a_policy_of_its_own() -> None:
    loose, strict = Csp(directives={"script-src": ("https:",)}), Csp(directives={"default-src": ("'none'",)})
    only = Csp(directives={"default-src": ("'none'",)}, report_only=True)

    def of(own: Csp | None, **policy: object) -> dict[str, str]:
        made = own_policies(EdgePolicy.model_validate(policy), own)
        assert {one["append_action"] for one in made} <= {"ADD_IF_ABSENT"}
        return {one["header"]["key"].removeprefix("content-security-policy"): one["header"]["value"] for one in made}

    default = response_headers(EdgePolicy(), tls=True)["response_headers_to_add"][0]["header"]["value"]
    assert of(None) == {"": default}
    assert of(strict) == of(strict, csp=loose) == of(strict, csp=only) == {"": strict.text()}
    assert of(None, csp=loose) == {"": loose.text()}
    assert of(only, csp=loose) == {"": loose.text(), "-report-only": only.text()}
    assert of(only) == {"": default, "-report-only": only.text()}
    assert of(strict, headers={"Content-Security-Policy": "x"}) == {}


def test_the_short_form_and_faults_of_a_service() -> None:
    assert expand({"services": {"web": {"csp": True}}})["services"]["web"]["csp"] == {}
    assert expand({"services": {"web": {"csp": False}}})["services"]["web"]["csp"] is None
