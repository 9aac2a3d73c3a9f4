"""golive dev: the checkout as it is being written, behind its own routes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from golive.cli import complete, output
from golive.cli.place import Target, client, find

if TYPE_CHECKING:
    from golive.blueprint.load import Loaded
    from golive.daemon.client import Client
    from golive.dev.plan import Planned
    from golive.dev.session import Given

ENVIRONMENT = "development"
COLOURS = ("cyan", "green", "magenta", "blue", "yellow")
STATES = {"failed": "bold red", "ready": "green", "built": "green", "installed": "dim", "changed": "dim", "done": "dim"}
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_CONTROL = re.compile(
    r"\x1b(\[[0-9;?]*[A-LN-Za-ln-z]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][A-Z0-9]|[a-zA-Z])|[\x00-\x08\x0b-\x1a]"
)
"""What moves the cursor, clears the screen or names the window: one program's, and not the log's."""
RECONNECT = 0.5
"""Seconds before a daemon that went away is asked again."""


@click.command()
@click.argument("services", nargs=-1, shell_complete=complete.services, metavar="[SERVICE]…")
@click.option("-C", "--directory", type=click.Path(path_type=Path), default=Path(), help="Checkout to look in.")
@click.option("--print", "only_print", is_flag=True, help="What would run, without running it.")
def dev(services: tuple[str, ...], directory: Path, only_print: bool) -> int:
    """Run SERVICES (all when none is named) by their dev servers, behind the same routes as a deploy.

    The environment is `development`, with its own database, variables and `[environments.development]`. Packages are
    installed in the checkout where they are missing, migrations are run. Output is on stdout. Ctrl-C ends all of it;
    the data stays.

    \b
    Examples:
      golive dev
      golive dev api --print
      golive env set -e development OPENAI_API_KEY
    """
    from golive.blueprint.load import load
    from golive.dev.plan import plan

    target = find(directory, ENVIRONMENT)
    loaded = load(target.checkout or directory, ENVIRONMENT)
    _known(loaded, services)
    planned = plan(loaded.blueprint, loaded.checkout, services)
    if only_print:
        _print(loaded, planned)
        return 0
    return asyncio.run(_Dev(target, loaded, planned, services).run())


def _known(loaded: Loaded, services: tuple[str, ...]) -> None:
    from golive.errors import UsageError, nearest

    for name in services:
        if name not in loaded.blueprint.services:
            close = nearest(name, loaded.blueprint.services)
            hint = f"golive dev {close}" if close else f"it has {', '.join(loaded.blueprint.services)}"
            hint = f"a checkout is named by -C: golive dev -C {name}" if Path(name).is_dir() else hint
            raise UsageError(f"{loaded.blueprint.name} has no service {name!r}", hint=hint)


def _print(loaded: Loaded, planned: tuple[Planned, ...]) -> None:
    """A table for people and tests: service, routes, command, who follows changes."""
    for one in planned:
        routes = " ".join(one.service.route) or "-"
        port = str(one.service.port) if one.service.port else "PORT" if one.answers else "-"
        print("\t".join((one.name, port, routes, one.command.line, one.command.follows.value)))
    for name, resource in loaded.blueprint.resources.items():
        print(f"{name}\t-\t-\t{resource.engine}\t{'by ' + resource.url_from if resource.url_from else 'run by golive'}")


class Stream:
    """One log of everything: `service | line` on stdout, each service in its colour. `gone` is called when nobody
    reads it any more: the terminal is closed, or what it was piped into has ended."""

    def __init__(self, names: tuple[str, ...], mask: Callable[[str], str], gone: Callable[[], None]) -> None:
        self._gone = gone
        self._width = max(map(len, (*names, "migrations")))
        self._colours = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(names)}
        self._mask = mask

    def line(self, name: str, text: str) -> None:
        label = output.paint(name.ljust(self._width), self._colours.get(name, "dim"), sys.stdout)
        bar = output.paint("|", "dim", sys.stdout)
        shown = plain(self._mask(text), coloured=output.coloured(sys.stdout))
        try:
            print(f"{label} {bar} {shown}", flush=True)
        except OSError:
            _silence(sys.stdout)
            self._gone()

    def report(self, name: str, state: str, words: str) -> None:
        said = output.paint(state, STATES.get(state, "dim"), sys.stdout)
        sign = output.paint(">", STATES.get(state, "dim"), sys.stdout)
        self.line(name, f"{sign} {said} {words}")


def plain(text: str, *, coloured: bool) -> str:
    """A program's line as one of many: nothing moves the cursor, no colour where there is none. Pure."""
    shown = _CONTROL.sub("", text.rpartition("\r")[2] if text.rstrip("\r") else "")
    if not coloured:
        return _STYLE.sub("", shown)
    return f"{shown}\x1b[0m" if "\x1b[" in shown else shown


@dataclass
class _Link:
    """The daemon's session, read in a thread. `events` ends with an exception when the daemon goes away."""

    body: dict[str, Any]
    loop: asyncio.AbstractEventLoop
    events: asyncio.Queue[dict[str, Any] | BaseException] = field(default_factory=asyncio.Queue)

    def open(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for event in client().stream("POST", "/v1/dev", self.body):
                self._put(event)
            self._put({"type": "closed"})
        except BaseException as error:
            self._put(error)

    def _put(self, event: dict[str, Any] | BaseException) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)

    async def ready(self, progress: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """What the daemon gives. Raises what it refuses with."""
        while True:
            event = await self.events.get()
            if isinstance(event, BaseException):
                raise event
            if event["type"] == "ready":
                return event
            progress(event)


class _Dev:
    """One `golive dev`, from its start to its end."""

    def __init__(self, target: Target, loaded: Loaded, planned: tuple[Planned, ...], services: tuple[str, ...]) -> None:
        from golive.dev.leftovers import Record, record_path
        from golive.home import Home

        self._target, self._loaded, self._planned = target, loaded, planned
        self._home = Home.default()
        self._record = Record(record_path(self._home, target.app, ENVIRONMENT))
        self._name = {**target.query(), "session": secrets.token_hex(8)}
        self._body = {**self._name, "checkout": str(loaded.checkout), "services": list(services)}
        self._ours = self._home.root / "dev.daemon"
        self._signals = 0
        self._stop = asyncio.Event()
        self._fetched: set[str] = set()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled)
        await asyncio.to_thread(self._start_daemon)
        output.say(output.paint(f"{self._target.app} · {ENVIRONMENT}", "bold"))
        story = asyncio.create_task(self._story())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([story, stopped], return_when=asyncio.FIRST_COMPLETED)
            if not story.done():
                _say("\nstopping" + ("" if self._signals > 1 else "; Ctrl-C again kills"))
        finally:
            story.cancel()
            await asyncio.wait([story])
            stopped.cancel()
            await asyncio.to_thread(self._leave)
        if not story.cancelled() and (error := story.exception()):
            raise _first(error)
        _say("stopped; the data of development stays")
        return 0

    def _signalled(self) -> None:
        """The first asks everything to end; the second kills it."""
        self._signals += 1
        self._stop.set()
        if self._signals > 1:
            self._record.kill()

    async def _story(self) -> None:
        from golive.dev.leftovers import end_left_behind

        link = self._link()
        given = await link.ready(self._progress)
        if count := await end_left_behind(self._record.path):
            output.say(f"  ended {count} programs that an earlier golive dev left behind")
        self._banner(given)
        session = asyncio.create_task(self._session(given))
        try:
            while not session.done():
                event = asyncio.create_task(link.events.get())
                await asyncio.wait([session, event], return_when=asyncio.FIRST_COMPLETED)
                event.cancel()
                if not session.done():
                    link = await self._again(given)
            session.result()
        finally:
            session.cancel()
            await asyncio.wait([session])

    def _link(self, **ports: Any) -> _Link:
        link = _Link({**self._body, **ports}, asyncio.get_running_loop())
        link.open()
        return link

    async def _again(self, given: dict[str, Any]) -> _Link:
        """The daemon ended or was killed: another one takes the same ports; programs have run on."""
        from golive.daemon.client import Unreachable
        from golive.errors import Conflict

        while True:
            await asyncio.sleep(RECONNECT)
            link = self._link(ports=given["ports"], grpc_ports=given["grpc_ports"])
            with contextlib.suppress(Unreachable, Conflict):
                await link.ready(self._progress)
                await asyncio.to_thread(self._adopt_daemon)
                output.say("the daemon went away and is back")
                return link

    async def _session(self, given: dict[str, Any]) -> None:
        from golive.dev.session import Session
        from golive.dev.workbench import Workbench
        from golive.engines.store import Engines
        from golive.secret import Mask, Secret
        from golive.system.machine import inspect

        hidden = set(given["secret_names"])
        values = given["environments"].values()
        mask = Mask(Secret(value) for own in values for name, value in own.items() if name in hidden)
        stream = Stream(tuple(one.name for one in self._planned), mask, self._stop.set)
        bench = Workbench(
            home=self._home,
            engines=Engines(self._home, inspect()),
            checkout=self._loaded.checkout,
            place=self._record.path.with_suffix(""),
            record=self._record,
            output=stream.line,
        )
        session = Session(bench, self._loaded.blueprint, self._planned, _given(given), stream.report, _extra(given))
        await session.run()

    def _progress(self, event: dict[str, Any]) -> None:
        if event["what"] not in self._fetched:
            self._fetched.add(event["what"])
            output.say(f"  fetching {event['what']}")

    def _banner(self, given: dict[str, Any]) -> None:
        """Where it answers and what runs."""
        names = [one.name for one in self._planned] + list(given["resources"])
        width = max(map(len, names))
        for note in given["notes"]:
            output.say(output.paint(output.wrap(note, "  ", "  "), "dim"))
        for name, version in given["resources"].items():
            engine = self._loaded.blueprint.resources[name].engine
            output.say(f"  {name.ljust(width)}  {engine} {version}")
        urls = list(given["urls"].values())
        for one in self._planned:
            places = [f"{urls[0]}{route}" for route in one.service.route] if one.name in given["ports"] else []
            what = f"{one.command.line} ({one.command.follows.value})"
            output.say(f"  {one.name.ljust(width)}  {'  '.join([*places[:1], what])}")
        output.say(f"  {', '.join(urls)}; Ctrl-C ends it")

    def _start_daemon(self) -> None:
        """One that is started for this is remembered, so that it ends with the last of us, whoever that is."""
        from golive.daemon.client import Unreachable

        try:
            client(start=False).get("/v1/daemon")
        except Unreachable:
            self._ours.parent.mkdir(parents=True, exist_ok=True)
            self._ours.write_text(str(client().get("/v1/daemon")["pid"]))

    def _adopt_daemon(self) -> None:
        """The one that took the place of ours is ours."""
        if self._ours.exists():
            self._ours.write_text(str(client().get("/v1/daemon")["pid"]))

    def _leave(self) -> None:
        """Resources and routes end; the daemon too where it was started for this and nobody else needs it."""
        from golive.daemon.client import Unreachable, wait_gone
        from golive.errors import GoliveError

        with contextlib.suppress(Unreachable, GoliveError):
            daemon: Client = client(start=False)
            idle = daemon.send("POST", "/v1/dev/end", self._name)["idle"]
            pid = daemon.get("/v1/daemon")["pid"]
            if idle and self._ours.exists() and self._ours.read_text() == str(pid):
                daemon.send("POST", "/v1/daemon/stop")
                wait_gone(pid)
                self._ours.unlink()


def _say(text: str) -> None:
    """Narration at the end, where the terminal may be gone."""
    try:
        output.say(text)
    except OSError:
        _silence(sys.stderr)


def _silence(stream: TextIO) -> None:
    """What is still to be written goes nowhere, and is no error at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _given(event: dict[str, Any]) -> Given:
    from golive.dev.session import Given
    from golive.secret import Secret

    environments = {s: {n: Secret(v) for n, v in e.items()} for s, e in event["environments"].items()}
    url = event["database_url"]
    return Given(event["ports"], event["grpc_ports"], environments, Secret(url) if url else None)


def _extra(event: dict[str, Any]) -> dict[str, str]:
    """For every program: colour as on this terminal, the hosts that Vite lets in, the certificate authority."""
    colour = {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"} if output.coloured(sys.stdout) else {"NO_COLOR": "1"}
    return colour | {"__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS": next(iter(event["urls"]))}


def _first(error: BaseException) -> BaseException:
    """What happened, out of the groups that tasks put it in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
