"""A .env file: read as python-dotenv reads it, changed in place, and written so that it is read the same again."""

from __future__ import annotations

import io
import random

import pytest
from dotenv import dotenv_values

from golive.importers.env_file import parse, updated, written

CANARY = "canary-4c1d"


def test_every_way_to_write_a_value() -> None:
    text = (
        "\ufeff# a comment\r\nPLAIN=a b # beside\r\nexport EXPORTED=x\r\nSPACED = y\r\nEMPTY=\r\nHASH=a#b\r\n"
        'SINGLE=\'it is \\n\'\r\nDOUBLE="one\\ntwo"\r\nLINES="first\r\nsecond"\r\nBACK=`c d`\r\n'
        "URL=postgres://u:p@h/d?a=b\r\nJSON='{\"a\": [1]}'"
    )
    file = parse(text)
    assert file.problems == ()
    assert file.values == {
        "PLAIN": "a b", "EXPORTED": "x", "SPACED": "y", "EMPTY": "", "HASH": "a#b", "SINGLE": "it is \\n",
        "DOUBLE": "one\ntwo", "LINES": "first\nsecond", "BACK": "c d", "URL": "postgres://u:p@h/d?a=b",
        "JSON": '{"a": [1]}',
    }  # fmt: skip
    assert updated(file, file.values) == text.removeprefix("\ufeff")


def test_all_faults_are_named_by_line_and_none_shows_what_stands_there() -> None:
    file = parse(f'GOOD=1\n\n# c\n{CANARY} x\n1A={CANARY}\nA-B=1\nALONE\nOPEN="{CANARY}\n', "my.env")
    assert [(p.file, p.line) for p in file.problems] == [("my.env", n) for n in (4, 5, 6, 7, 8)]
    assert CANARY not in str(file.problems)
    assert file.values == {"GOOD": "1"}


def test_what_a_reader_might_expect_otherwise_is_said() -> None:
    file = parse("A=1\nB=${A}/x\nA=2\nC='costs $5'\n")
    assert file.values == {"A": "2", "B": "${A}/x", "C": "costs $5"}
    assert file.notes == ["A: there more than once; the last one counts", "B: ${…} is taken as it stands, not expanded"]


def test_a_change_leaves_the_rest_as_it_stands() -> None:
    before = "# Ours\n\nexport SIZE=1   # rows\nNAME='a b'\n  KEEP=\"x\"\n# KEY=\n#NOTE=example\n"
    after = updated(parse(before), {"SIZE": "2", "NAME": "c d", "KEEP": "x", "KEY": "k k", "NOTE": "n", "NEW": "z"})
    assert after == (
        "# Ours\n\nexport SIZE=2   # rows\nNAME='c d'\n  KEEP=\"x\"\nKEY='k k'\n#NOTE=example\nNOTE=n\nNEW=z\n"
    )
    assert updated(parse("A=1"), {"B": "2"}) == "A=1\nB=2\n"
    assert updated(parse("A=1\r\n"), {"A": "2\n3"}) == "A='2\r\n3'\r\n"
    assert updated(parse("A=1\nA=2\n"), {"A": "3"}) == "A=1\nA=3\n"


@pytest.mark.parametrize("seed", range(20))
def test_any_value_is_read_back_as_it_was(seed: int) -> None:
    choose = random.Random(seed)
    for _ in range(20):
        one, other = ("".join(choose.choices("ab =#'\"\\\n\r$`{}é:,!\t", k=choose.randrange(9))) for _ in range(2))
        text = f"# c\nexport A={written(one)} # note\n\nB=2"
        assert parse(text).values == {"A": one, "B": "2"}
        again = updated(parse(text), {"A": other, "C": one})
        assert parse(again).values == {"A": other, "B": "2", "C": one}
        assert "# note" in again
        if "`" not in one + other and "\r" not in one + other:
            assert dotenv_values(stream=io.StringIO(again), interpolate=False) == parse(again).values
