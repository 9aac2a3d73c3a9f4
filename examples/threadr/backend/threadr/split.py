"""Splits text into the posts of a thread. No I/O, no clock: the same text gives the same thread.

The promise: every post is at most `limit` characters (Unicode code points) with its number, no word is lost, doubled
or moved, sentences stay together where they fit, and nothing that a reader sees as one character is cut in two. A word
(a URL too) is only cut when it is longer than a whole post.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

LIMIT = 280
# Closing quotes and brackets belong to the sentence before them; CJK full stops need no space after them.
_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+|(?<=[。！？])[」』”’）]*\s*")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:[A-Za-z]|e\.g|i\.e|etc|vs|cf|Dr|Mr|Mrs|Ms|Prof|St|No|approx|Fig)\.$", re.IGNORECASE
)
_BLANKS = re.compile(r"[^\S\n]+")
_PARAGRAPH = re.compile(r"(?: ?\n){2,}\s*")
_ZWJ = "\u200d"


@dataclass(frozen=True)
class _Piece:
    """A run of text and what stands between it and the piece before it."""

    text: str
    before: str


def split(text: str, limit: int = LIMIT) -> tuple[str, ...]:
    """The posts, numbered `1/n `; a thread of one post has no number. ValueError below 20 characters a post."""
    if limit < 20:
        raise ValueError(f"a post needs at least 20 characters, not {limit}")
    pieces = _pieces(text)
    if not pieces:
        return ()
    whole = _pack(pieces, limit)
    if len(whole) == 1:
        return whole
    # The number takes room, and how much depends on how many posts there are: widen until it fits.
    for digits in range(1, 10):
        posts = _pack(pieces, limit - (2 * digits + len("/ ")))
        if len(str(len(posts))) <= digits:
            return tuple(f"{n}/{len(posts)} {post}" for n, post in enumerate(posts, 1))
    raise ValueError("the text is too long for one thread")


def clean(text: str) -> str:
    """Text as it can be stored and counted: NFC, no control characters, no lone surrogates, one kind of newline."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    lines = whole.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", "".join(c if c == "\n" or ord(c) >= 32 else " " for c in lines)).strip()


def _pieces(text: str) -> list[_Piece]:
    pieces: list[_Piece] = []
    for paragraph in _PARAGRAPH.split(_BLANKS.sub(" ", clean(text))):
        for n, (sentence, space) in enumerate(_sentences(paragraph)):
            pieces.append(_Piece(sentence, space if n else "\n\n"))
    return pieces


def _sentences(paragraph: str) -> list[tuple[str, str]]:
    """Each sentence, words one space apart, with the space before it."""
    found: list[tuple[str, str]] = []
    start, space = 0, " "
    for match in _SENTENCE.finditer(paragraph):
        end = match.end() - (len(match[0]) - len(match[0].rstrip()))
        if end == start or _ABBREVIATION.search(paragraph[max(start, end - 12) : end]):
            continue
        found.append((" ".join(paragraph[start:end].split()), space))
        start, space = match.end(), " " if match.end() > end else ""
    found.append((" ".join(paragraph[start:].split()), space))
    return [(sentence, space) for sentence, space in found if sentence]


def _pack(pieces: list[_Piece], room: int) -> tuple[str, ...]:
    """Greedy: a sentence goes on the current post when it fits, else on the next one, else word by word."""
    posts: list[str] = []
    post = ""
    for piece in pieces:
        joined = post + piece.before + piece.text if post else piece.text
        if len(joined) <= room:
            post = joined
            continue
        if len(piece.text) > room:
            full, post = _pack_words(post, piece, room)
            posts += full
            continue
        posts.append(post)
        post = piece.text
    return (*posts, post)


def _pack_words(post: str, piece: _Piece, room: int) -> tuple[list[str], str]:
    """Posts filled by a sentence that fits none, and the one it ends in. A nearly empty post is filled up first."""
    posts: list[str] = []
    if len(post) > room // 2:
        posts, post = [post], ""
    space = piece.before
    for word in piece.text.split(" "):
        joined = post + space + word if post else word
        space = " "
        if len(joined) <= room:
            post = joined
            continue
        if post:
            posts.append(post)
        *cut, post = _cut(word, room)
        posts += cut
    return posts, post


def _cut(word: str, room: int) -> list[str]:
    parts = []
    while len(word) > room:
        at = _boundary(word, room)
        parts.append(word[:at])
        word = word[at:]
    return [*parts, word]


def _boundary(word: str, at: int) -> int:
    """The last place up to `at` that is between two characters as people see them; `at` when there is none."""
    for place in range(at, 0, -1):
        if not _joined(word, place):
            return place
    return at


def _joined(word: str, at: int) -> bool:
    """Whether the code points around `at` belong to one visible character (the cases of UAX 29 that text has)."""
    before, after = word[at - 1], word[at]
    if _ZWJ in (before, after) or unicodedata.combining(after) or unicodedata.category(after) in ("Mn", "Mc", "Me"):
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff" or "\ufe00" <= after <= "\ufe0f" or "\U000e0020" <= after <= "\U000e007f":
        return True
    flags = len(word[:at]) - len(word[:at].rstrip("".join(map(chr, range(0x1F1E6, 0x1F200)))))
    return "\U0001f1e6" <= after <= "\U0001f1ff" and flags % 2 == 1
