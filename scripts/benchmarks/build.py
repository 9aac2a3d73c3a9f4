"""Builds of the examples' services by golive and by their bare tools, cold and warm, in turns; and deploys of nothing.

Cold: no cache of packages, of compiled code or of builds. Warm: the same again after one changed line.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.bare import Bare, forget
from benchmarks.command import Golive, scratch
from benchmarks.result import Bar, Result, Table
from golive.blueprint.env import build_environment
from golive.blueprint.load import load
from golive.blueprint.models import ServiceKind
from golive.build.builder import Builder
from golive.build.plan import BuildPlan, BuildRequest, plan_build
from golive.daemon.wiring import BUILD_USER
from golive.home import Home
from golive.system import users

EXAMPLES = Path(__file__).parents[2] / "examples"
OVERHEAD = 10.0
"""Per cent of the bare tool's cold time that golive may add."""
CHANGED = {
    "threadr/api": "backend/main.py",
    "datifyy/api": "apps/backend/cmd/server/main.go",
    "rt-apps/api": "api/cmd/server/main.go",
    "rt-apps/web": "web/next.config.ts",
    "akashic/web": "src/app/layout.tsx",
    "darasa/web": "src/app/layout.tsx",
}
"""Where a line is added for a warm build."""
COMMENT = {".py": "#", ".go": "//", ".ts": "//", ".tsx": "//"}


@dataclass
class Times:
    """Seconds of each round, by who built and from what."""

    bare: dict[str, list[float]] = field(default_factory=lambda: {"cold": [], "warm": []})
    golive: dict[str, list[float]] = field(default_factory=lambda: {"cold": [], "warm": []})

    def overhead(self, kind: str) -> float:
        """Per cent; of the medians."""
        bare = statistics.median(self.bare[kind])
        return (statistics.median(self.golive[kind]) - bare) / bare * 100

    @property
    def round(self) -> float:
        """Seconds that one round takes."""
        every = [*self.bare.values(), *self.golive.values()]
        return sum(max(times) for times in every if times)


def run(rounds: int = 3, only: tuple[str, ...] = (), seconds: float = 420) -> Result:
    """At least one round of each; another one is begun while it is likely to end within `seconds` of the start."""
    result = Result("build")
    deadline = time.monotonic() + seconds
    found: dict[str, Times] = {}
    still: dict[str, list[float]] = {}
    with scratch(EXAMPLES) as golive:
        examples = [name for name in sorted({name.split("/")[0] for name in CHANGED}) if not only or name in only]
        for number in range(rounds):
            for name, request in (pair for example in examples for pair in _requests(golive, example)):
                times = found.setdefault(name, Times())
                if number and time.monotonic() + times.round > deadline:
                    continue
                _round(golive, name, request, times, golive_first=number % 2 == 1)
        for example in examples:
            still[example] = _nothing(golive, golive.checkout / example)
    result.tables += [_table(found), _still(still)]
    result.bars += [
        Bar(f"{name}, cold: added by golive", times.overhead("cold"), OVERHEAD, unit=" %")
        for name, times in found.items()
    ]
    slowest = max(statistics.median(times) for times in still.values())
    result.bars.append(Bar("up, nothing changed, slowest example", slowest, 1.0, unit=" s"))
    result.details["seconds"] = {name: {"bare": t.bare, "golive": t.golive} for name, t in found.items()}
    return result


def _requests(golive: Golive, example: str) -> Iterator[tuple[str, BuildRequest]]:
    """What the daemon would build: of services that are no mere files."""
    loaded = load(golive.checkout / example)
    blueprint = loaded.blueprint
    for name, service in blueprint.services.items():
        if service.kind is ServiceKind.STATIC:
            continue
        yield f"{example}/{name}", BuildRequest(
            app=blueprint.name, name=name, service=service, checkout=loaded.checkout, policy=blueprint.build,
            build_env=build_environment(blueprint, name, {}), user=users.ensure(users.app_user_name(blueprint.name)),
        )  # fmt: skip


def _round(golive: Golive, name: str, request: BuildRequest, times: Times, *, golive_first: bool) -> None:
    """Cold, then warm, of both; who comes first alternates."""
    home = Home(golive.home)
    aside = golive.home.parent / "bare"
    forget(aside, home.cache, home.layers)
    _touch(request.checkout, name)  # or the artifact of the last round would do
    shutil.copytree(request.checkout, aside / "checkout")
    plan = _plan(request, home)
    bare = Bare(plan, aside / "checkout", aside / "cache")
    builder = Builder(home, user_for_build=users.ensure(BUILD_USER))
    for kind in ("cold", "warm"):
        if kind == "warm":
            _touch(request.checkout, name)
            _touch(bare.folder, name)
        turns: list[Callable[[], None]] = [
            lambda kind=kind: times.bare[kind].append(bare.build()),  # type: ignore[misc]
            lambda kind=kind: times.golive[kind].append(_build(builder, request)),  # type: ignore[misc]
        ]
        for turn in reversed(turns) if golive_first else turns:
            turn()
        _say(f"{name}, {kind}: bare {times.bare[kind][-1]:.1f} s, golive {times.golive[kind][-1]:.1f} s")


def _plan(request: BuildRequest, home: Home) -> BuildPlan:
    """For its choice of tools; what planning leaves in the cache is taken away again, to be cold."""
    home.cache.mkdir(mode=0o711, parents=True, exist_ok=True)
    plan = plan_build(request, home.cache)
    forget(home.cache)
    return plan


def _build(builder: Builder, request: BuildRequest) -> float:
    began = time.perf_counter()
    built = asyncio.run(builder.build(request, lambda _line: None))
    assert not built.cached, "it was built before"
    return time.perf_counter() - began


def _touch(checkout: Path, name: str) -> None:
    file = checkout / CHANGED[name]
    file.write_text(f"{file.read_text()}\n{COMMENT[file.suffix]} {time.monotonic_ns()}\n")


def _nothing(golive: Golive, checkout: Path, times: int = 5) -> list[float]:
    """Seconds of `golive up` where it is live already."""
    golive.run("up", str(checkout))
    found: list[float] = []
    for _ in range(times):
        golive.run("up", str(checkout))
        found.append(golive.seconds)
    golive.run("down", "--app", checkout.name)
    _say(f"{checkout.name}, nothing changed: {statistics.median(found):.2f} s")
    return found


def _table(found: dict[str, Times]) -> Table:
    columns = ("service", "tool", "cold, bare", "golive", "added", "warm, bare", "golive", "added", "rounds")
    table = Table("seconds to build", columns)
    for name, times in found.items():
        row = [name, _tool(name)]
        for kind in ("cold", "warm"):
            bare, golive = statistics.median(times.bare[kind]), statistics.median(times.golive[kind])
            added = f"{times.overhead('cold'):+.0f} %" if kind == "cold" else f"{golive - bare:+.1f} s"
            row += [f"{bare:.1f}", f"{golive:.1f}", added]
        table.rows.append((*row, f"{len(times.bare['cold'])}"))
    table.note = (
        "Medians. Cold: all packages are fetched and nothing is compiled. Warm: again after one changed line. "
        f"The same versions of tools, index, flags and priority. {os.cpu_count()} cores."
    )
    return table


def _tool(name: str) -> str:
    if name == "threadr/api":
        return "uv venv && uv pip install --compile-bytecode"
    return "go build" if name.endswith("/api") else "npm ci && npm run build"


def _still(still: dict[str, list[float]]) -> Table:
    table = Table("seconds of `golive up` when nothing changed", ("example", "median", "slowest", "times"))
    for name, times in still.items():
        table.rows.append((name, f"{statistics.median(times):.2f}", f"{max(times):.2f}", f"{len(times)}"))
    return table


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
