"""What developing the services of one checkout shares: folders, the user's environment, who is told, who records."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from golive.build.environment import client_settings
from golive.dev.leftovers import Record
from golive.engines.store import Engines
from golive.home import Home
from golive.system.processes import Completed, ProcessId, run

Say = Callable[[str, str], None]
"""Service and line: output of its programs. A line of golive's own about it begins with a mark."""
HIDDEN = ("GOLIVE_HOME", "VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "PORT", "HOST", "NODE_ENV")
"""Not handed on: they are golive's own, or say where another project's packages are."""
GRACE = timedelta(seconds=5)


@dataclass(frozen=True)
class Workbench:
    """`place` is a folder for what is made beside the checkout; `output` gets every line of a program."""

    home: Home
    engines: Engines
    checkout: Path
    place: Path
    record: Record
    output: Say
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)

    def environment(self, own: Mapping[str, str], path: Sequence[Path] = ()) -> dict[str, str]:
        """The user's environment, the toolchain's folders before their PATH, then what the service is given."""
        theirs = {name: value for name, value in self.environ.items() if name not in HIDDEN}
        folders = os.pathsep.join([*map(str, path), theirs.get("PATH", os.defpath)])
        return {**theirs, **client_settings(theirs), "PATH": folders, **own}

    async def run(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        started: Callable[[ProcessId], None] = lambda _: None,
    ) -> Completed:
        """A program to its end, recorded while it runs; cancelled, it is killed with all it started."""
        known: list[ProcessId] = []

        async def remember(id: ProcessId) -> None:
            known.append(id)
            self.record.add(id)
            started(id)

        try:
            return await run(
                argv, env=env, cwd=cwd, on_line=lambda line: self.output(name, line), name=name, on_start=remember
            )
        finally:
            for id in known:
                self.record.remove(id)
