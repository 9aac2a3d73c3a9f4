"""Rules about hooks: what they run, and in which service."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from golive.blueprint.facts import Facts
from golive.blueprint.faults import Fault
from golive.blueprint.models import Hook, ServiceKind
from golive.blueprint.positions import KeyPath
from golive.errors import nearest


def _hooks(facts: Facts) -> Iterator[Fault]:
    hooks = facts.blueprint.hooks
    for when, listed in (("pre_deploy", hooks.pre_deploy), ("post_deploy", hooks.post_deploy)):
        for index, hook in enumerate(listed):
            path: KeyPath = ("hooks", when, index)
            yield from _line((*path, "run"), hook.run)
            yield from _service((*path, "service"), hook, facts)
            if not hook.timeout:
                yield Fault((*path, "timeout"), "must be more than 0")


def _line(path: KeyPath, line: str) -> Iterator[Fault]:
    if not line.strip():
        yield Fault(path, "is empty", 'the line to run, such as `run = "python -m app.warm"`')
        return
    try:
        shlex.split(line)
    except ValueError:
        yield Fault(path, "has a quote that is not closed")


def _service(path: KeyPath, hook: Hook, facts: Facts) -> Iterator[Fault]:
    services = facts.blueprint.services
    running = [name for name, service in services.items() if service.kind is not ServiceKind.STATIC]
    choices = f"one of {', '.join(running)}" if running else "a service that is not static"
    if hook.service is None:
        what = "is required: there is more than one service to run it in" if running else "there is none to run it in"
        yield Fault(path, what, choices, also=(path[:-1], ("services",)))
    elif hook.service not in facts.table("services"):
        close = nearest(hook.service, running)
        yield Fault(path, f"there is no service `{hook.service}`", f"did you mean `{close}`?" if close else choices)
    elif hook.service in services and hook.service not in running:
        yield Fault(path, f"`{hook.service}` is static: it has no environment to run in", choices)


HOOK_RULES = (_hooks,)
