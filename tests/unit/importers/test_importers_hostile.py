"""Files that mean harm, or are not what their name says: refused in a sentence, quickly, and never with their text."""

from __future__ import annotations

import pytest

from golive.importers.compose import import_compose
from golive.importers.loading import Unreadable, load_json, load_toml
from golive.importers.yaml_loading import load_yaml

BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


def test_a_yaml_bomb_is_refused_before_it_exists() -> None:
    with pytest.raises(Unreadable, match="expands to more than"):
        load_yaml(BOMB)


def test_a_bomb_of_merge_keys_is_refused() -> None:
    tables = "m0: &m0 {" + ", ".join(f"k{n}: 1" for n in range(50)) + "}\n"
    tables += "".join(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 20)}]}}\n" for n in range(1, 8))
    with pytest.raises(Unreadable, match="expands to more than"):
        load_yaml(tables)


@pytest.mark.parametrize("text", ["[" * 10_000, "{a: " * 10_000, "- " * 10_000 + "x", "[" * 10_000 + "]" * 10_000])
def test_deep_yaml_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        load_yaml(text)


@pytest.mark.parametrize("text", ["[" * 10_000 + "]" * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000, "[" * 10_000])
def test_deep_json_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        load_json(text)


def test_deep_toml_is_refused() -> None:
    with pytest.raises(Unreadable):
        load_toml("a = " + "[" * 10_000 + "]" * 10_000)


@pytest.mark.parametrize("load", [load_yaml, load_json, load_toml])
@pytest.mark.parametrize("text", ["\0\1\2", "x" * 1_100_000, '{"a": "b', "\x1b[2J"])
def test_what_is_not_such_a_file_is_refused_without_showing_it(load, text: str) -> None:  # type: ignore[no-untyped-def]
    try:
        data = load(text).data
    except Unreadable as refusal:
        assert text[:20] not in str(refusal)
    else:
        assert data == text or data is None


def test_a_syntax_error_does_not_show_the_secret_beside_it() -> None:
    for load, text in (
        (load_yaml, "key: hunter2secret: x: [\n"),
        (load_toml, "key = hunter2secret"),
        (load_json, '{"a": hunter2secret}'),
    ):
        with pytest.raises(Unreadable) as refusal:
            load(text)
        assert "hunter2secret" not in str(refusal.value)


def test_yaml_objects_are_never_made() -> None:
    loaded = load_yaml("a: !!python/object/apply:os.system [echo pwned]\nb: !reset null\n")
    assert loaded.data == {"a": ["echo pwned"], "b": "null"}
    assert any("!reset" in note for note in loaded.notes)


def test_an_alias_to_its_own_holder_is_refused() -> None:
    with pytest.raises(Unreadable, match="itself part of"):
        load_yaml("a: &a [*a]")


def test_anchors_and_merge_keys_are_followed_in_the_order_yaml_says() -> None:
    text = "base: &b {x: 1, y: 2}\nother: &o {y: 3, z: 4}\nmine: {<<: [*b, *o], x: 9}\nalso: {<<: *b, <<: *o}\n"
    data = load_yaml(text).data
    assert data["mine"] == {"x": 9, "y": 2, "z": 4}
    assert data["also"] == {"x": 1, "y": 2, "z": 4}


def test_scalars_stay_as_they_are_written() -> None:
    data = load_yaml("a: on\nb: 22:22\nc: 2020-01-01\nd: 1.10\ne: 0755\nf: true\ng: ~\nh: 7\ni: 'true'\n").data
    assert data == {
        "a": "on",
        "b": "22:22",
        "c": "2020-01-01",
        "d": "1.10",
        "e": "0755",
        "f": True,
        "g": None,
        "h": 7,
        "i": "true",
    }


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_line_ends_and_byte_order_marks_make_no_difference(end: str) -> None:
    assert load_yaml(f"\ufeffa: 1{end}b: x{end}").data == {"a": 1, "b": "x"}
    assert load_json(f'\ufeff{{"a": 1,{end}"b": "x"}}').data == {"a": 1, "b": "x"}
    assert load_toml(f'\ufeffa = 1{end}b = "x"{end}').data == {"a": 1, "b": "x"}


def test_json_of_vendors_may_have_comments_and_trailing_commas() -> None:
    text = '{ // one\n "a": "http://x//y", /* two, */ "b": [1, 2,], "c": ",]",\n}'
    assert load_json(text).data == {"a": "http://x//y", "b": [1, 2], "c": ",]"}


def test_duplicate_keys_are_told() -> None:
    assert load_json('{"a": {"b": 1, "b": 2}}').repeated == [("a", "b")]
    assert load_yaml("a:\n  b: 1\n  b: 2\n").repeated == [("a", "b")]
    found = import_compose("services:\n  web: {build: ., build: ./x}\n")
    assert [lost.path for lost in found.lost if "twice" in lost.why] == ["services.web.build"]
    assert found.keys == found.accounted == 2


@pytest.mark.parametrize("source", ["../../etc", "/etc", "~/x", "https://github.com/a/b.git", "${HOME}", "a/../../b"])
def test_a_source_out_of_the_checkout_is_listed_and_not_carried(source: str) -> None:
    found = import_compose(f"services:\n  api:\n    build: {source}\n    ports: ['80:80']\n")
    assert found.proposal.get("services", {}) == {}
    assert any(lost.path.startswith("services.api") and "checkout" in lost.why for lost in found.lost)
    assert found.keys == found.accounted


@pytest.mark.parametrize(
    "text", ["", "\n", "[]", "services: []", "services: {a: 1}", "services:\n  - x", "42", "services:"]
)
def test_files_that_say_nothing_import_to_nothing(text: str) -> None:
    found = import_compose(text)
    assert not found.proposal
    assert found.keys == found.accounted
