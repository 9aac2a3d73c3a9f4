"""Rules about who is let in: a password must be a declared secret."""

from __future__ import annotations

from collections.abc import Iterator

from golive.blueprint.facts import Facts
from golive.blueprint.faults import Fault
from golive.blueprint.models import VariableType
from golive.errors import nearest


def _password(facts: Facts) -> Iterator[Fault]:
    protect, declared = facts.blueprint.protect, facts.blueprint.env
    if protect is None:
        return
    if protect.password is None:
        if not protect.link:
            yield Fault(("protect",), "lets nobody in", 'give `password = "PREVIEW_PASSWORD"` or `link = true`')
        return
    variable = declared.get(protect.password)
    how = f'[env.{protect.password}] with `type = "secret"`, and `generate = true` for one that golive makes'
    if variable is None:
        close = nearest(protect.password, declared)
        what = f"there is no variable `{protect.password}`"
        yield Fault(("protect", "password"), what, f"did you mean `{close}`?" if close else how, also=(("env",),))
    elif variable.type is not VariableType.SECRET:
        also = (("env", protect.password),)
        yield Fault(("protect", "password"), f"`{protect.password}` is not a secret", how, also=also)


PROTECT_RULES = (_password,)
