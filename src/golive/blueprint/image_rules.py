"""Rules about services that are built from a Dockerfile."""

from __future__ import annotations

from collections.abc import Iterator

from golive.blueprint.facts import Facts, inside, services_of
from golive.blueprint.faults import Fault
from golive.blueprint.models import Service, ServiceKind, VariableType
from golive.blueprint.positions import KeyPath


def _images(facts: Facts) -> Iterator[Fault]:
    for path, service in services_of(facts):
        at = (*path, "build")
        also = ((*at, "builder"), (*at, "dockerfile"))
        if service.build.builder == "docker":
            yield from _image(facts, path, service)
            continue
        for key in ("dockerfile", "target", "args"):
            if key in facts.table(*map(str, at)):
                message = f"has no meaning for the builder {service.build.builder}"
                yield Fault((*at, key), message, 'leave it out, or set `builder = "docker"`', also=also)


def _image(facts: Facts, path: KeyPath, service: Service) -> Iterator[Fault]:
    build, at = service.build, (*path, "build")
    also = ((*at, "builder"), (*at, "dockerfile"))
    if build.dockerfile is not None:
        yield from inside(facts.checkout, (*at, "dockerfile"), build.dockerfile)
    for key in ("command", "output", "workspace"):
        if getattr(build, key) is not None:
            hint = "write it as a RUN line; `command` of the service replaces CMD"
            yield Fault((*at, key), "has no meaning beside a Dockerfile", hint, also=also)
    if service.kind in (ServiceKind.STATIC, ServiceKind.CRON):
        hint = "use `web` or `worker`, or build it without its Dockerfile"
        yield Fault((*path, "kind"), f"a {service.kind.value} service cannot be a container yet", hint, also=also)
    if service.scale.cpu is not None:
        message = "the CPU of a container is not measured yet"
        yield Fault((*path, "scale", "cpu"), message, "leave it out, and use `golive scale`", also=also)
    for name in build.args:
        if (variable := facts.blueprint.env.get(name)) and variable.type is VariableType.SECRET:
            message = f"{name} is a secret, and the values of ARG stay in the image"
            yield Fault((*at, "args", name), message, "let the program read it when it runs")


def _tools(facts: Facts) -> Iterator[Fault]:
    """What runs programs of this machine in a service's environment."""
    settings, hooks = facts.blueprint.migrations, facts.blueprint.hooks
    asked: list[tuple[KeyPath, str | None, str]] = []
    if settings is not None:
        asked.append((("migrations", "service"), settings.service, "a migration tool"))
    for when, listed in (("pre_deploy", hooks.pre_deploy), ("post_deploy", hooks.post_deploy)):
        asked += [(("hooks", when, index, "service"), hook.service, "a hook") for index, hook in enumerate(listed)]
    for path, name, what in asked:
        service = facts.blueprint.services.get(name) if name else None
        if name and service and service.build.builder == "docker":
            message = f"{name} is a container, in which {what} cannot run yet"
            hint = "name another service, or build this one without its Dockerfile"
            yield Fault(path, message, hint, also=(("services", name, "build"),))


IMAGE_RULES = (_images, _tools)
