"""How far the database is ahead of a release."""

from __future__ import annotations

from golive.release.schema import Behind, behind
from golive.state.records import ReleaseSchema

SCHEMAS = {
    1: ReleaseSchema(("001.sql",), (), b""),
    2: ReleaseSchema(("001.sql", "002.sql"), (), b""),
    3: ReleaseSchema(("001.sql", "002.sql", "003.sql"), ("003.sql",), b""),
}


def test_every_release_counts_that_migrated() -> None:
    assert behind(SCHEMAS, 1) == Behind(("002.sql", "003.sql"), ("003.sql",))
    assert behind(SCHEMAS, 2) == Behind(("003.sql",), ("003.sql",))
    assert behind(SCHEMAS, 3) == Behind()
    went_back = {**SCHEMAS, 4: SCHEMAS[1]}
    assert behind(went_back, 2) == Behind(("003.sql",), ("003.sql",))


def test_a_release_of_an_older_golive_is_not_known() -> None:
    assert behind(SCHEMAS, 9) is None
