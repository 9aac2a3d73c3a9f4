"""What a release would miss in a schema that went on without it."""

from __future__ import annotations

import pytest

from golive.migrate.lint.facts import Column, Constraint, Facts, Index, Table
from golive.migrate.lint.running import Code
from golive.migrate.shape import Loss, Shape, missing, of

USERS = {"id": ("bigint", False), "nick": ("character varying(20)", False)}
THEN = Shape({"public.users": (USERS, frozenset([("nick",)]))}, frozenset(["slug"]), {"mood": ("glad", "sour")})
READS = Code(lambda: [("app.py", b"users\nrow.nick\nslug()\n'sour'\nrow.id")])
OTHER = Code(lambda: [("app.py", b"teams")])


def shape(
    columns: dict[str, tuple[str, bool]] = USERS,
    *,
    unique: tuple[tuple[str, ...], ...] = (("nick",),),
    functions: tuple[str, ...] = ("slug",),
    values: tuple[str, ...] = ("glad", "sour"),
) -> Shape:
    return Shape({"public.users": (columns, frozenset(unique))}, frozenset(functions), {"mood": values})


def test_nothing_is_missing_in_the_same_schema_or_a_larger_one() -> None:
    more = {**USERS, "email": ("text", False)}
    assert missing(THEN, THEN, READS) == ()
    assert missing(THEN, shape(more, functions=("slug", "other"), values=("glad", "wry", "sour")), READS) == ()


@pytest.mark.parametrize(
    ("now", "what"),
    [
        (Shape({}, THEN.functions, THEN.enums), "public.users is gone"),
        (shape({"id": USERS["id"]}, unique=()), "public.users.nick is gone"),
        (shape({**USERS, "nick": ("integer", False)}), "public.users.nick is integer and was character varying(20)"),
        (shape({**USERS, "nick": ("character varying(20)", True)}), "public.users.nick has to be given a value"),
        (shape({**USERS, "team": ("text", True)}), "public.users.team is new and has to be given a value"),
        (shape(unique=()), "(nick) of public.users is no longer unique"),
        (shape(functions=()), "slug() is gone"),
        (shape(values=("glad",)), "mood has no 'sour' any more"),
    ],
)
def test_what_its_code_names(now: Shape, what: str) -> None:
    lost = missing(THEN, now, READS)
    assert what in [loss.what for loss in lost] and all(loss.places for loss in lost)
    assert missing(THEN, now, OTHER) == ()
    unsure = missing(THEN, now, Code(list))
    assert Loss(what, ()) in unsure


def test_a_wider_type_is_no_loss() -> None:
    assert missing(THEN, shape({**USERS, "nick": ("text", False)}), READS) == ()


def test_it_is_the_same_after_it_was_kept() -> None:
    assert Shape.unpacked(THEN.packed()) == THEN


def test_a_default_and_a_check_decide_whether_a_value_has_to_be_given() -> None:
    table = Table(
        "public.users",
        columns=(
            Column("id", "bigint", not_null=True, default=True),
            Column("nick", "text", not_null=True),
            Column("team", "text"),
        ),
        indexes=(Index("users_pkey", ("id",), unique=True, primary=True), Index("users_team", ("team",))),
        constraints=(Constraint("filled", "c", False, "CHECK ((team IS NOT NULL)) NOT VALID"),),
    )
    found = of(Facts({"public.users": table}), {})
    columns, unique = found.tables["public.users"]
    assert columns == {"id": ("bigint", False), "nick": ("text", True), "team": ("text", True)}
    assert unique == frozenset([("id",)])
