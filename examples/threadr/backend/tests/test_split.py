from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threadr.split import LIMIT, clean, split

FAMILY = "👨\u200d👩\u200d👧\u200d👦"
URL = "https://example.org/a?b=c#d"
WORDS = st.sampled_from(
    ["a", "word", "Zürich", "привет", "日本語", FAMILY, "🇨🇭", "e\u0301", URL, "x" * 400, "Dr.", "end."]
)
SHORT = st.sampled_from(["a", "bb", URL, FAMILY, "日本語", "end."])
ARTICLES = st.one_of(
    st.text(max_size=3000),
    st.lists(WORDS, max_size=400).map(" ".join),
    st.lists(WORDS, max_size=200).map("\n\n".join),
)


def unnumbered(posts: tuple[str, ...]) -> list[str]:
    return [post.split(" ", 1)[1] for post in posts] if len(posts) > 1 else list(posts)


@settings(max_examples=300, deadline=None)
@given(ARTICLES, st.integers(40, LIMIT))
def test_nothing_is_lost_and_every_post_fits(article: str, limit: int) -> None:
    posts = split(article, limit)
    assert all(0 < len(post) <= limit for post in posts)
    assert "".join("".join(unnumbered(posts)).split()) == "".join(clean(article).split())
    if len(posts) > 1:
        assert [post.split(" ", 1)[0] for post in posts] == [f"{n}/{len(posts)}" for n in range(1, len(posts) + 1)]


@settings(max_examples=200, deadline=None)
@given(st.lists(SHORT, max_size=300), st.integers(60, LIMIT))
def test_a_word_that_fits_is_never_cut(words: list[str], limit: int) -> None:
    assert " ".join(unnumbered(split(" ".join(words), limit))).split() == words


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 30), st.sampled_from([FAMILY, "🇨🇭", "e\u0323\u0301", "👍🏽", "❤\ufe0f"]))
def test_a_visible_character_is_never_cut(shift: int, character: str) -> None:
    one = unicodedata.normalize("NFC", character)
    for part in unnumbered(split("x" * shift + one * 120, 50)):
        assert part.removeprefix("x" * shift).replace(one, "") in ("", "x" * len(part.rstrip(one)))


def test_a_short_text_is_one_post_without_a_number() -> None:
    assert split("  Hello,\tworld.  ") == ("Hello, world.",)
    assert split(" \n\t\x00 ") == ()


def test_sentences_stay_together_and_paragraphs_are_kept() -> None:
    first, second = "One sentence of forty characters, exactly.", "Another one."
    posts = split(f"{first} {second}\n\nA new paragraph.", 62)
    assert posts == (f"1/2 {first} {second}", "2/2 A new paragraph.")
    assert split("One.\n\n\nTwo.") == ("One.\n\nTwo.",)


def test_an_abbreviation_does_not_end_a_sentence() -> None:
    text = "We met Dr. Strange at noon. He was late again."
    assert unnumbered(split(text, 36)) == ["We met Dr. Strange at noon.", "He was late again."]


def test_numbers_make_room_for_themselves() -> None:
    posts = split("word " * 30_000)
    assert len(posts) > 500
    assert max(map(len, posts)) <= LIMIT
    assert posts[-1].startswith(f"{len(posts)}/{len(posts)} ")


def test_a_limit_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 20"):
        split("text", 10)


@pytest.mark.parametrize("unit", [" ", "\n", " \n", "e.g. ", ".", ".'", "a", "\u200d", "🇨🇭", "。", "(", "1 "])
def test_no_text_takes_long(unit: str) -> None:
    started = time.monotonic()
    split("x" + unit * (50_000 // len(unit)) + "x")
    assert time.monotonic() - started < 2


def test_lone_surrogates_can_be_stored_afterwards() -> None:
    assert clean("a\ud800b").encode() == "a\ufffdb".encode()
