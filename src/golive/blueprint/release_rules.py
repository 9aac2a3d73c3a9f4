"""Rules about how a release is made live: checks that it requires have to exist."""

from __future__ import annotations

from collections.abc import Iterator

from golive.blueprint.check_names import CHECK_NAMES
from golive.blueprint.facts import Facts
from golive.blueprint.faults import Fault
from golive.errors import nearest


def _required(facts: Facts) -> Iterator[Fault]:
    for at, name in enumerate(facts.blueprint.release.require):
        if name not in CHECK_NAMES:
            close = nearest(name, CHECK_NAMES)
            hint = f"did you mean `{close}`?" if close else "golive check --all names them"
            yield Fault(("release", "require", at), f"there is no check or family `{name}`", hint)


RELEASE_RULES = (_required,)
