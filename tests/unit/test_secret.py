"""Secrets do not print, and what programs print is masked."""

from __future__ import annotations

import base64
import json
import random
import string
import urllib.parse

import pytest
from pydantic import BaseModel

from golive.secret import MASK, Mask, Secret

VALUE = "s3cr+t/välue?=&x"


class Model(BaseModel):
    token: Secret


def test_a_secret_shows_as_dots_everywhere() -> None:
    secret = Secret(VALUE)
    model = Model(token=secret)
    shown = [str(secret), repr(secret), f"{secret}", f"{secret:>20}", "%s" % secret, repr([secret])]  # noqa: UP031
    shown += [repr(model), model.model_dump_json(), str(model.model_dump(mode="json"))]
    assert all(MASK in text and VALUE not in text for text in shown)
    assert secret.reveal() == VALUE


def test_json_refuses_a_secret() -> None:
    with pytest.raises(TypeError):
        json.dumps({"token": Secret(VALUE)})


def test_secrets_are_values() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert Secret("a")
    assert not Secret("")


@pytest.mark.parametrize(
    "form",
    [
        VALUE,
        base64.b64encode(VALUE.encode()).decode(),
        base64.urlsafe_b64encode(VALUE.encode()).decode(),
        base64.b64encode(f"user:{VALUE}".encode()).decode(),
        base64.b64encode(f"me:{VALUE}@example.com".encode()).decode(),
        urllib.parse.quote(VALUE, safe=""),
        urllib.parse.quote(VALUE),
        urllib.parse.quote_plus(VALUE),
        urllib.parse.urlencode({"key": VALUE}),
        json.dumps({"key": VALUE}),
        json.dumps({"key": VALUE}, ensure_ascii=False),
    ],
)
def test_a_mask_knows_the_forms_a_value_takes(form: str) -> None:
    masked = Mask([Secret(VALUE)])(f"before {form} after")
    assert MASK in masked
    assert "s3cr" not in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    # Of a base64 text at most the characters that carry neighbouring bits stay.
    rest = masked.removeprefix("before ").removesuffix(" after").replace(MASK, "")
    assert not any(rest[n : n + 6] in form and rest[n : n + 6] in VALUE for n in range(len(rest) - 5))


def test_short_values_are_left_alone() -> None:
    mask = Mask([Secret("admin"), Secret("")])
    assert mask("the admin page") == "the admin page"


def test_overlapping_secrets_leave_no_end_of_either() -> None:
    mask = Mask([Secret("abcdef123"), Secret("123xyzuvw")])
    assert mask("<abcdef123xyzuvw>") == f"<{MASK}>"


def test_a_secret_inside_another_leaves_nothing_of_the_longer() -> None:
    mask = Mask([Secret("hunter2"), Secret("prefix-hunter2-suffix")])
    assert mask("prefix-hunter2-suffix and hunter2") == f"{MASK} and {MASK}"


def test_a_repeating_secret_is_masked_to_its_end() -> None:
    assert Mask([Secret("abababab")])("abababababab!") == f"{MASK}!"


def test_output_masked_line_by_line_hides_every_line_of_a_key() -> None:
    body = ["MIGHAgEAMBMGByqGSM49AgEGCCqGSM49", "AwEHBG0wawIBAQQgevZzL1gdAFr88hb2"]
    key = "\n".join(["-----BEGIN PRIVATE KEY-----", *body, "-----END PRIVATE KEY-----", ""])
    mask = Mask([Secret(key)])
    assert [mask(line) for line in key.splitlines()] == [
        "-----BEGIN PRIVATE KEY-----", MASK, MASK, "-----END PRIVATE KEY-----"
    ]  # fmt: skip
    assert mask(key) == MASK


def test_a_value_read_from_a_file_is_masked_without_its_newline() -> None:
    assert Mask([Secret("token-1234\n")])("using token-1234 now") == f"using {MASK} now"


def test_an_empty_mask_changes_nothing() -> None:
    assert Mask()(VALUE) == VALUE


@pytest.mark.parametrize("seed", range(20))
def test_no_masked_text_holds_a_secret(seed: int) -> None:
    choose = random.Random(seed)
    alphabet = "ab1+/="
    secrets = [Secret("".join(choose.choices(alphabet, k=choose.randrange(6, 12)))) for _ in range(4)]
    mask = Mask(secrets)
    pieces = [s.reveal() for s in secrets] + ["".join(choose.choices(string.ascii_letters, k=3)) for _ in range(4)]
    text = "".join(choose.choices(pieces, k=12))
    masked = mask(text)
    assert not [s for s in secrets if s.reveal() in masked]
    assert mask(masked) == masked
