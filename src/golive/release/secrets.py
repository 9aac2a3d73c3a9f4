"""The search for secrets before a deploy (ENV-6): where others can read them, they stop it.

Beside the build the checkout and its git history are searched; after it what browsers get, and what the build said.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from golive.blueprint.env import default_text
from golive.blueprint.models import Blueprint
from golive.build import shapes
from golive.build.artifact import Artifact
from golive.build.build_log import BuildLog, forget_old
from golive.build.finding import VALUE, Finding, Verdict, judge
from golive.build.history import repository
from golive.build.leaks import client_places, shown_from
from golive.build.needles import distinctive
from golive.build.search import Bundle, Request, Summary
from golive.build.tools import tail
from golive.errors import BuildFailed, GoliveError, SecretFound, StartFailed
from golive.release import environment
from golive.release.host import Host
from golive.release.journal import Journal, StepNote
from golive.secret import Secret
from golive.state.records import Place
from golive.system.processes import Limits, run
from golive.units import human_size

BUDGET = 60.0
"""Seconds that a deploy gives the git history; what then is left is said, and searched by the next."""
PATIENCE = 600.0
"""Seconds for everything else of one search."""
MEMORY = 2**30
SHOWN = 10
"""Findings that an error names."""


@dataclass
class Search:
    """Of one deployment. `logs` are those of its builds, `artifacts` what they made that no release has yet."""

    host: Host
    place: Place
    journal: Journal
    blueprint: Blueprint
    values: dict[str, str] = field(repr=False)
    checking: asyncio.Task[tuple[list[Finding], Summary]]
    logs: list[BuildLog] = field(default_factory=list)
    artifacts: dict[str, Artifact] = field(default_factory=dict)

    def log(self, service: str) -> BuildLog:
        """Takes the lines of a service's build."""
        folder = self.host.home.builds / str(self.journal.deployment)
        tell = functools.partial(self.journal.log, service)
        made = BuildLog(folder / f"{service}.log", service, self.values, self.journal.mask, tell)
        self.logs.append(made)
        return made

    def built(self, service: str, artifact: Artifact, *, cached: bool) -> None:
        """What a release has was searched when that was made."""
        if cached:
            self.logs.pop().drop()
        recipe = self.blueprint.services[service].build
        copied = recipe.builder == "static" and not recipe.command  # its files are those of the work tree
        if client_places(artifact) and not copied and artifact.key not in self._released():
            self.artifacts[service] = artifact

    def _released(self) -> set[str]:
        releases = self.host.state.releases(self.place)
        return {key for release in releases if release.state == "ready" for key in release.artifacts.values()}

    async def finish(self, note: StepNote) -> None:
        """Wait for what goes on beside the build, search what that made, and stop the deploy. Raises SecretFound."""
        found, summary = await self.checking
        more, after = await self._results()
        verdict = judge([*found, *more, *self.logged()], self.blueprint.secrets.allow)
        for text in dict.fromkeys(filter(None, (summary.note, after.note))):
            self.journal.note(text)
        if verdict.stops:
            raise refusal(verdict)
        count = summary.files + summary.versions + after.bundles
        parts = [f"{count} files searched, none found"] if count else []
        if verdict.told:
            parts.append(f"{len(verdict.told)} that stop nothing: golive secrets scan")
        note.detail = "; ".join(parts)
        note.skipped = not count

    async def _results(self) -> tuple[list[Finding], Summary]:
        """In bundles and logs. Kept logs are masked by the search itself."""
        logs = {log.service: str(log.part) for log in self.logs if log.close() and log.suspicious}
        bundles = tuple(
            Bundle(name, str(shown_from(made)), tuple(str(place) for place in client_places(made)))
            for name, made in self.artifacts.items()
        )
        found: list[Finding] = []
        summary = Summary()
        if logs or bundles:
            request = Request(
                cache=str(self.host.home.cache),
                rules=shapes.version(),
                public=tuple(public_values(self.blueprint, self.host.state.variables(self.place))),
                bundles=bundles,
                logs=logs,
            )
            found, summary = await search(request, lambda _: None)
        for log in self.logs:
            if summary.note and log.suspicious:
                log.drop()  # it may hold a token, and nobody knows
            else:
                log.settle()
        await asyncio.to_thread(forget_old, self.host.home.builds)
        return found, summary

    def logged(self) -> list[Finding]:
        return [finding for log in self.logs for finding in log.found]

    async def failed(self, error: BuildFailed) -> None:
        """The build failed: its log is kept all the same, and what the error shows of it is as masked as the log is."""
        found, _ = await self._results()
        tokens = [finding for finding in found if finding.place == "log"]
        if error.log and tokens:
            kept = next(log.file for log in self.logs if log.service == tokens[0].service)
            error.log = tail(await asyncio.to_thread(kept.read_text, errors="replace"))


@asynccontextmanager
async def searching(
    host: Host, place: Place, journal: Journal, blueprint: Blueprint, checkout: Path, values: Mapping[str, Secret]
) -> AsyncIterator[Search]:
    """Search the checkout and its history while the block builds. `values` are all secrets of the app, by name."""
    request = request_for(host, place, blueprint, checkout, values)
    task = asyncio.create_task(search(request, functools.partial(journal.log, "secrets")))
    made = Search(host, place, journal, blueprint, request.values, task)
    try:
        yield made
    except BuildFailed as error:
        await made.failed(error)
        raise
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, GoliveError):
            await task
        for log in made.logs:
            log.drop()


async def prepare(host: Host) -> None:
    """Compile the rules of a new home, beside what else its first deploy has to fetch."""
    if not any((host.home.cache / "secrets").glob("*.vscdb")):
        await search(Request(cache=str(host.home.cache), rules=shapes.version(), prepare=True), lambda _: None)


def request_for(
    host: Host, place: Place, blueprint: Blueprint, checkout: Path, values: Mapping[str, Secret]
) -> Request:
    """What to search of a checkout."""
    names = environment.secret_names(blueprint)
    shipped = [service.source for service in blueprint.services.values()]
    tracked = ["."] if repository(checkout) else []  # without git nobody gets more than is shipped
    return Request(
        cache=str(host.home.cache),
        rules=shapes.version(),
        checkout=str(checkout),
        sources=tuple(dict.fromkeys([*tracked, *shipped])),
        memory=str(host.home.app(*place) / "secrets.json"),
        values={name: telling(value.reveal()) for name, value in values.items() if name in names},
        public=tuple(public_values(blueprint, host.state.variables(place))),
        budget=BUDGET,
    )


def telling(value: str) -> str:
    """Of a URL its password, which is the secret in it however the rest is written. Pure."""
    with contextlib.suppress(ValueError):
        password = unquote(urlsplit(value).password or "") if "://" in value else ""
        if distinctive(password):
            return password
    return value


def public_values(blueprint: Blueprint, values: Mapping[str, Secret]) -> Iterable[str]:
    """What variables for browsers hold: it is meant to be read."""
    for name, variable in blueprint.env.items():
        text = values[name].reveal() if name in values else default_text(variable)
        if variable.client and text:
            yield text


async def search(request: Request, say: Callable[[str], None]) -> tuple[list[Finding], Summary]:
    """Run the search in a process of its own. What it could not do is in the summary's `note`."""
    found: list[Finding] = []
    summary = Summary(note="secrets were not searched for: the search ended early")
    other: list[str] = []

    def take(line: str) -> None:
        nonlocal summary
        try:
            event: dict[str, Any] = json.loads(line)
            kind = event.pop("type")
        except (ValueError, KeyError, TypeError, AttributeError):
            other.append(line)
            return
        if kind == "finding":
            found.append(Finding(**event))
        elif kind == "progress":
            say(event["text"])
        elif kind == "end":
            summary = Summary(**event)

    argv = (sys.executable, "-I", "-m", "golive.build.search")
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": request.cache}
    try:
        done = await run(
            argv,
            env=env,
            cwd=Path(request.cache),
            limits=Limits(memory=MEMORY, nice=5),
            timeout=PATIENCE + request.budget,
            on_line=take,
            input=json.dumps(asdict(request)).encode(errors="surrogateescape"),
            name="secrets",
            private=True,
        )
    except TimeoutError:
        summary.note = "not everything was searched for secrets: it took too long"
    except StartFailed as error:
        summary.note = f"secrets were not searched for: {error.why or error.what}"
    else:
        if done.out_of_memory:
            summary.note = f"secrets were not searched for: the search needs more than {human_size(MEMORY)}"
        elif done.code:
            summary.note += f" ({other[-1]})" if other else ""
    return found, summary


def refusal(verdict: Verdict) -> SecretFound:
    """Every finding with file and line, and what to do about it. Pure."""
    stops = verdict.stops
    lines = [f"  {finding.where}: {finding.what}{_mark(finding)}" for finding in stops[:SHOWN]]
    more = [f"  … and {len(stops) - SHOWN} more: golive secrets scan"] if len(stops) > SHOWN else []
    what = "a secret stands" if len(stops) == 1 else f"{len(stops)} secrets stand"
    return SecretFound(
        "\n".join([f"{what} where others can read {'it' if len(stops) == 1 else 'them'}:", *lines, *more]),
        where=stops[0].where,
        why=_why(stops),
        hint=_hint(stops),
    )


def _mark(finding: Finding) -> str:
    return "" if finding.rule == VALUE else f" [{finding.fingerprint}]"


def _why(stops: Sequence[Finding]) -> str:
    places = {finding.place for finding in stops}
    said = {
        "work tree": "everybody who has the source has it",
        "history": "taking it out of the newest commit leaves it in the older ones",
        "bundle": "whoever opens the page can read it",
        "log": "logs are kept, and read by others",
    }
    return "; ".join(text for place, text in said.items() if place in places)


def _hint(stops: Sequence[Finding]) -> str:
    own = next((f"golive env set {finding.name}" for finding in stops if finding.rule == VALUE), None)
    renew = "have a new one issued" + (f" ({own})" if own else "") + " and take this one out"
    mark = next((finding.fingerprint for finding in stops if finding.rule != VALUE), None)
    entry = f'fingerprint = "{mark}"' if mark else f'path = "{stops[0].file}"'
    return (
        f"{renew}; one that opens nothing any more may stay, with this in golive.toml:\n"
        f'[secrets]\nallow = [{{ {entry}, because = "revoked" }}]'
    )
