"""Errors cross the API whole, and say the nearest name."""

from __future__ import annotations

import json

import pytest

from golive import errors
from golive.blueprint.problem import Problem, blueprint_error
from golive.errors import BlueprintError, GoliveError, from_json, in_words, nearest

EVERY = sorted(errors._subclasses(GoliveError) - {BlueprintError}, key=lambda cls: cls.__name__)


@pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
def test_every_error_comes_back_as_it_went(cls: type[GoliveError]) -> None:
    sent = cls("what", where="golive.toml:3", why="because", hint="do this", log="line 1\nline 2")
    got = from_json(json.loads(json.dumps(sent.to_json())))
    assert type(got) is cls
    assert vars(got) == vars(sent)
    assert got.exit_code == cls.exit_code


def test_what_is_not_said_is_not_sent() -> None:
    assert GoliveError("what").to_json() == {"kind": "GoliveError", "what": "what"}


def test_a_blueprint_error_carries_every_problem() -> None:
    problems = (
        Problem("services.web.rout", "is not known", "did you mean `route`?", "golive.toml", 4),
        Problem("", "x"),
    )
    got = from_json(json.loads(json.dumps(blueprint_error(problems).to_json())))
    assert isinstance(got, BlueprintError)
    assert set(got.problems) == set(problems)
    assert got.exit_code == 2


@pytest.mark.parametrize("data", [{}, {"kind": "FromTheFuture", "what": "w"}, {"kind": None}, {"kind": ["x"]}])
def test_an_unknown_kind_is_still_an_error(data: dict[str, object]) -> None:
    assert type(from_json(data)) is GoliveError


def test_exit_codes_are_what_the_tree_says() -> None:
    tree = (errors.__doc__ or "").partition("Nothing below")[0]
    rows = [line.strip(" │├└─").split() for line in tree.splitlines() if " exit " in line]
    drawn = {name: int(code) for name, _, code, *_ in rows}
    assert drawn == {c.__name__: c.exit_code for c in (*EVERY, BlueprintError) if c.__module__ == "golive.errors"}


def test_the_nearest_name() -> None:
    assert nearest("rout", ["route", "source"]) == "route"
    assert nearest("zzz", ["route", "source"]) is None
    assert nearest("x", []) is None


def test_in_one_line_with_what_to_do_next() -> None:
    assert in_words(GoliveError("no room", why="0 B are free", hint="free some")) == "no room: 0 B are free; free some"
    assert in_words(GoliveError("no room")) == "no room"
    assert in_words(RuntimeError("Traceback\n  line\nbotocore.Gone: away\n")) == "botocore.Gone: away"
    assert in_words(KeyError()) == "KeyError"
