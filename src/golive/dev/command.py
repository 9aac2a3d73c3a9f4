"""Which command develops a service, and who follows changes: its own dev server or golive. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from golive.blueprint.models import Service, ServiceKind
from golive.build.command import PORT, start_argv

_PYTHON = frozenset((".py", ".toml", ".ini", ".cfg", ".yaml", ".yml", ".env", ".html", ".j2", ".jinja", ".jinja2"))
_NODE = frozenset((".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".jsx", ".tsx", ".json", ".graphql", ".env"))
_GO = frozenset((".go", ".mod", ".sum", ".work", ".tmpl", ".gotmpl", ".html", ".sql", ".proto", ".env"))
SUFFIXES: Mapping[str, frozenset[str]] = {"python": _PYTHON, "node": _NODE, "go": _GO}
"""What counts as a change, by builder: sources, and nothing that an application writes beside them by itself."""

PROGRAM = "$PROGRAM"
"""Stands for where golive has a Go program built: not in the checkout."""
_LOOPBACK = "--host 127.0.0.1 --port $PORT"
_TOOLS: tuple[tuple[str, str, str], ...] = (
    ("next", "next dev", "--hostname 127.0.0.1 --port $PORT"),
    ("nuxt", "nuxt dev", _LOOPBACK),
    ("astro", "astro dev", _LOOPBACK),
    ("sveltekit", "vite dev", f"{_LOOPBACK} --strictPort"),
    ("gatsby", "gatsby develop", _LOOPBACK),
    ("docusaurus", "docusaurus start", f"{_LOOPBACK} --no-open"),
    ("create-react-app", "react-scripts start", ""),
    ("vue-cli", "vue-cli-service serve", _LOOPBACK),
    ("angular", "ng serve", _LOOPBACK),
    ("eleventy", "eleventy --serve", "--port=$PORT"),
    ("vite", "vite", f"{_LOOPBACK} --strictPort"),
    ("parcel", "parcel", _LOOPBACK),
)
"""golive's name for a framework, its dev server, and how that is told where to listen."""
_OWN_FLAGS = re.compile(r"(?<!\S)(-p|--port|-H|--host|--hostname)([\s=]+[\w.$:{}-]+|(?!\S))(?!\S)")


_SHELL = re.compile(r"[;&|<>`$*?\n]|^\s*\w+=")


class Follows(StrEnum):
    """Who takes up a change."""

    ITSELF = "by itself"
    GOLIVE = "started again on a change"
    BUILD = "built and started again on a change"
    FILES = "served from the folder"
    NOBODY = "not run"


@dataclass(frozen=True)
class DevCommand:
    """`line` is for reading; `argv` has `$PORT` still in it. `needs` are packages that golive adds for it.

    `first` is what is run before each start, for a program that has to be built.
    """

    line: str
    argv: tuple[str, ...] = ()
    follows: Follows = Follows.ITSELF
    first: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def dev_command(
    service: Service, scripts: Mapping[str, str], *, manager: str = "npm", django: bool = False
) -> DevCommand:
    """`scripts` are those of the service's package.json, `manager` who runs them; `django`: there is a manage.py."""
    builder, command = service.build.builder, service.command or ""
    if service.kind is ServiceKind.CRON:
        return DevCommand(f"cron, {service.schedule}", follows=Follows.NOBODY)
    if service.dev:
        return _run(service.dev, Follows.ITSELF)
    if builder == "docker":
        return DevCommand("an image; `dev` of the service can say what runs instead", follows=Follows.NOBODY)
    if builder == "node":
        return _node(service, scripts, manager)
    if service.kind is ServiceKind.STATIC:
        first = ("/bin/sh", "-c", service.build.command) if service.build.command else ()
        return DevCommand(service.build.output or ".", follows=Follows.FILES, first=first)
    if builder == "go":
        return _go(service)
    if builder == "python" and service.kind is ServiceKind.WEB:
        return _python(command, service.build.framework, django=django)
    return _run(command, Follows.GOLIVE)


def _run(line: str, follows: Follows, needs: tuple[str, ...] = ()) -> DevCommand:
    return DevCommand(line, start_argv(line), follows, needs=needs)


def _go(service: Service) -> DevCommand:
    """The program of a deploy, made by its own build command or by `go build`."""
    recipe = service.build
    output = recipe.output or "bin/server"
    if recipe.command:
        return DevCommand(
            service.command or f"./{output}",
            start_argv(service.command or f"./{output}"),
            Follows.BUILD,
            ("/bin/sh", "-c", recipe.command),
        )
    package = recipe.package or "."
    words = start_argv(service.command) if service.command else (f"./{output}",)
    build = ("go", "build", "-o", PROGRAM, package)
    return DevCommand(f"go run {package}", (PROGRAM, *words[1:]), Follows.BUILD, build)


def _node(service: Service, scripts: Mapping[str, str], manager: str) -> DevCommand:
    """The project's own dev script before the framework's command; without either, the start command."""
    framework = service.build.framework
    tool = next((t for t in _TOOLS if t[0] == framework), None)
    serves = service.kind is not ServiceKind.WORKER and (
        service.kind is ServiceKind.STATIC or tool or _is_start(service, scripts)
    )
    if "dev" in scripts and serves:
        return _script(scripts["dev"], "dev", manager)
    if tool and serves:
        return _run(f"{tool[1]} {tool[2]}".strip(), Follows.ITSELF)
    if service.command is None and "start" in scripts:
        return _script(scripts["start"], "start", manager)
    return _run(service.command or "node .", Follows.GOLIVE)


def _is_start(service: Service, scripts: Mapping[str, str]) -> bool:
    """Whether the service is what the package's start script starts, so that its dev script develops it."""
    starts = {line.strip() for name, line in scripts.items() if name.startswith("start")}
    return service.command is None or service.command.strip() in starts or not starts


def _script(script: str, name: str, manager: str) -> DevCommand:
    """`npm run dev`, with the port for the last command of the script where that is one that takes it.

    A script that has a port of its own is run without it: `npm run` can only add words.
    """
    last = re.split(r"&&|;|\|", script)[-1].strip()
    plain = re.sub(r"^(npx|pnpm exec|yarn)\s+", "", re.sub(r"^(\w+=\S+\s+|cross-env\s+)+", "", last))
    flags = next((flags for _, tool, flags in _TOOLS if plain == tool or plain.startswith(f"{tool} ")), "")
    if flags and _OWN_FLAGS.search(last):
        return _run(f"{re.sub('  +', ' ', _OWN_FLAGS.sub('', script)).strip()} {flags}", Follows.ITSELF)
    between = " --" if flags and manager == "npm" else ""
    return _run(f"{manager} run {name}{between} {flags}".strip(), Follows.ITSELF)


def _python(command: str, framework: str | None, *, django: bool) -> DevCommand:
    words = _plain_words(command)
    if framework == "django" and django:
        return _run("python manage.py runserver 127.0.0.1:$PORT", Follows.ITSELF)
    if not words:
        return _run(command, Follows.GOLIVE)
    server, start = _server(words)
    rest = _without_workers(words[start:])
    if (
        framework == "flask"
        and server in ("gunicorn", "waitress-serve", "flask", "granian")
        and (target := _target(rest))
    ):
        return _run(f"flask --app {shlex.quote(target)} run --debug --host 127.0.0.1 --port $PORT", Follows.ITSELF)
    if server in ("uvicorn", "granian", "hypercorn"):
        again = [] if "--reload" in rest else ["--reload"]
        return _run(_joined([*words[:start], *again, *rest]), Follows.ITSELF, ("watchfiles",))
    if server == "gunicorn":
        return _run(_joined([*words[:start], "--reload", "--workers", "1", *rest]), Follows.ITSELF)
    if server == "fastapi" and rest[:1] == ["run"]:
        return _run(_joined([*words[:start], "dev", *rest[1:]]), Follows.ITSELF)
    return _run(command, Follows.GOLIVE)


def _plain_words(line: str) -> list[str]:
    """The words of a line that needs no shell; none of one that does."""
    return [] if _SHELL.search(PORT.sub("", line)) else shlex.split(line)


def _server(words: list[str]) -> tuple[str, int]:
    """The server's name, and where its arguments begin: `uvicorn …`, `python -m uvicorn …`."""
    if words[1:2] == ["-m"] and len(words) > 2 and re.fullmatch(r"python[\d.]*", words[0].rpartition("/")[2]):
        return words[2], 3
    return words[0].rpartition("/")[2], 1


def _without_workers(words: list[str]) -> list[str]:
    """A reloading server has one process."""
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in ("--workers", "-w"):
            skip = True
        elif not word.startswith(("--workers=", "-w=")):
            kept.append(word)
    return kept


def _target(words: list[str]) -> str | None:
    """The `module:object` among a server's arguments."""
    return next((word for word in words if re.fullmatch(r"[\w.]+:[\w.]+(\(\))?", word) and not word[0].isdigit()), None)


def _joined(words: list[str]) -> str:
    """A line again, in which $PORT stays a variable."""
    return " ".join(word if "$PORT" in word else shlex.quote(word) for word in words)
